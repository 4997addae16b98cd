"""The body of an action as a schema, from the form of the desk's page.

The schema holds the types, so that no other type reaches the form. What the form checks itself, with its own messages,
stands in the OpenAPI document only: which fields are required, the choices and the lengths.
"""

from typing import Annotated, Any

from django import forms
from ninja import Schema
from pydantic import ConfigDict, Field, create_model

SEEN = Annotated[int | None, Field(ge=0, lt=2**63, description="The value of `seen` in the last answer.")]
DAY = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
INSTANT = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?$")]


class Body(Schema):
    """Fields that the action does not have are refused, so that no misspelt one is left out silently."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seen: SEEN = None


def body_of(form: type[forms.Form], name: str) -> type[Body]:
    """The schema of a form's fields. Required fields have no null; the form says in its words that they are missing."""
    fields: dict[str, Any] = {key: _field(field) for key, field in form.base_fields.items()}
    required: Any = [key for key, field in form.base_fields.items() if field.required]

    class Required(Body):
        model_config = ConfigDict(json_schema_extra={"required": required} if required else {})

    return create_model(name, __base__=Required, **fields)


def _field(field: forms.Field) -> tuple[Any, Any]:
    kind = _type(field)
    document = _document(field)
    if field.required:
        return kind, Field(default_factory=list if kind == list[str] else str, json_schema_extra=document)
    return kind | None, Field(default=None, json_schema_extra=document)


def _type(field: forms.Field) -> Any:
    match field:
        case forms.BooleanField():
            return bool
        case forms.MultipleChoiceField() | forms.ModelMultipleChoiceField():
            return list[str]
        case forms.ModelChoiceField():
            return str | int
        case forms.DateTimeField():
            return INSTANT
        case forms.DateField():
            return DAY
        case _:
            return str


def _document(field: forms.Field) -> dict[str, Any]:
    """What the form checks beyond the type, as JSON Schema."""
    document: dict[str, Any] = {"title": str(field.label)} if field.label else {}
    if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
        values: Any = field.choices
        choices = {"enum": [str(value) for value, _ in values]}
        document |= (
            {"items": {"type": "string", **choices}} if isinstance(field, forms.MultipleChoiceField) else choices
        )
    if (length := getattr(field, "max_length", None)) is not None:
        document["maxLength"] = length
    if field.required and isinstance(field, forms.CharField):
        document["pattern"] = r"\S"
    return document

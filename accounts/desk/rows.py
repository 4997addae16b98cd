"""A form field for a short table: a row of inputs for each entry, and some empty rows to add more."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict
from django.utils.safestring import SafeString

EMPTY_ROWS = 3
MAX_ROWS = 200

Row = Mapping[str, Any]


class RowsWidget(forms.Widget):
    """A table with an input for each column of `row_form`. A row that is left empty does not count."""

    template_name = "desk/rows.html"

    def __init__(self, row_form: type[forms.Form]) -> None:
        super().__init__()
        self.row_form = row_form

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        rows = [*(value or []), *({} for _ in range(EMPTY_ROWS))]
        context["count_name"], context["count"] = _count_name(name), len(rows)
        context["titles"] = [field.label for field in self.row_form.base_fields.values()]
        context["rows"] = [
            [_with_label(field, number) for field in self.row_form(initial=row, prefix=f"{name}-{number}")]
            for number, row in enumerate(rows)
        ]
        return context

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Renders it with the portal's templates; Django's renderer of forms knows only those of packages."""
        return render_to_string(self.template_name, self.get_context(name, value, attrs))

    def value_from_datadict(self, data: Mapping[str, Any], files: MultiValueDict[str, Any], name: str) -> list[Row]:
        count = str(data.get(_count_name(name), "0"))
        numbers = range(min(int(count), MAX_ROWS) if count.isdecimal() and len(count) < 6 else 0)
        rows = [
            {column: data.get(f"{name}-{number}-{column}", "") for column in self.row_form.base_fields}
            for number in numbers
        ]
        return [row for row in rows if any(str(value).strip() for value in row.values())]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: MultiValueDict[str, Any], name: str) -> bool:
        return _count_name(name) not in data

    def id_for_label(self, id_: str | None) -> str:
        return ""  # the label names the table, not one of its inputs


class RowsField(forms.Field):
    """The rows of a table. `row_form` checks each row; `pack` and `unpack` turn rows into the value and back.

    `pack` may raise ValidationError.
    """

    def __init__(
        self,
        row_form: type[forms.Form],
        *,
        pack: Callable[[list[dict[str, Any]]], Any],
        unpack: Callable[[Any], Sequence[Row]],
        **kwargs: Any,
    ) -> None:
        super().__init__(required=False, widget=RowsWidget(row_form), **kwargs)
        self.row_form, self.pack, self.unpack = row_form, pack, unpack

    def prepare_value(self, value: Any) -> Sequence[Row]:
        """Returns the rows to show: those that were typed, or those of the stored value."""
        return value if isinstance(value, list) and _are_typed(value, self.row_form) else self.unpack(value)

    def clean(self, value: Any) -> Any:
        forms_of_rows = [self.row_form(row) for row in value or []]
        errors = [
            f"Row {number}, {form.fields[name].label}: {message}" if name in form.fields else f"Row {number}: {message}"
            for number, form in enumerate(forms_of_rows, start=1)
            for name, messages in form.errors.items()
            for message in messages
        ]
        if errors:
            raise ValidationError(errors)
        return self.pack([form.cleaned_data for form in forms_of_rows])

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except ValidationError:
            return True


def _count_name(name: str) -> str:
    return f"{name}-rows"


def _are_typed(rows: list[Any], row_form: type[forms.Form]) -> bool:
    return all(isinstance(row, dict) and set(row) == set(row_form.base_fields) for row in rows)


def _with_label(field: forms.BoundField, number: int) -> str:
    label = f"{field.label}, row {number + 1}"
    return field.as_widget(attrs={"aria-label": label})

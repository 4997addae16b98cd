"""What every form of the portal shares: text is checked against the one rule (messaging/text.py)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from messaging.address_syntax import is_sendable
from messaging.text import find_unkeepable, remove_direction_marks, unify_line_ends


class KeepableTextMixin:
    """Refuses text with a character that cannot be kept, and names the character. Line ends become LF."""

    cleaned_data: dict[str, Any]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data  # type: ignore[misc]  # mixed into a form
        for name, value in list(data.items()):
            if isinstance(value, str):
                data[name] = unify_line_ends(value)
            if unkeepable := next(filter(None, map(find_unkeepable, _texts(value))), ""):
                message = _("Remove the character U+%(code)s: it cannot be kept") % {"code": f"{ord(unkeepable):04X}"}
                self.add_error(name, message)  # type: ignore[attr-defined]
        return data


class KeepableModelForm(KeepableTextMixin, forms.ModelForm):
    """For the pages of Django's admin that edit a row."""


class WordsField(forms.CharField):
    """Words that are evidence: kept as they were typed, with white space at both ends. Only white space is no words."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "strip": False})

    def validate(self, value: Any) -> None:
        super().validate(value if value.strip() else "")


class IdentifierField(forms.CharField):
    """A number, name or code that is compared: without the direction marks that copying may add."""

    def to_python(self, value: Any) -> Any:
        return super().to_python(remove_direction_marks(value) if isinstance(value, str) else value)


class AddressField(forms.EmailField):
    """An e-mail address. Direction marks around it are dropped, and none can stand in it.

    One that no mail server can accept is refused: nothing could be sent to it.
    """

    def to_python(self, value: Any) -> Any:
        return super().to_python(remove_direction_marks(value) if isinstance(value, str) else value)

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and "@" in value and not is_sendable(value):
            raise ValidationError(
                _("Enter a shorter e-mail address: at most 64 characters before the @, and 254 in all")
            )


class ChoicesByReference(forms.ModelMultipleChoiceField):
    """Rows chosen by a text, such as their reference. Text that cannot be kept names none of them."""

    def clean(self, value: Any) -> Any:
        if unkeepable := next((item for item in value or () if find_unkeepable(str(item))), ""):
            raise ValidationError(
                self.error_messages["invalid_choice"], code="invalid_choice", params={"value": repr(unkeepable)}
            )
        return super().clean(value)


def check_keepable(value: Any) -> None:
    """Validates a value and what it holds. Raises ValidationError."""
    if unkeepable := next(filter(None, map(find_unkeepable, _texts(value))), ""):
        raise ValidationError(f"Remove the character U+{ord(unkeepable):04X}: it cannot be kept.")


def _texts(value: Any) -> Iterable[str]:
    """All texts in the value: also those in the mappings and lists of a JSON field."""
    if isinstance(value, str):
        yield unify_line_ends(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)

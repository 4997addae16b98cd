"""The form that adds files."""

from typing import Any

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from cancellations.forms.fields import CrispyForm
from cancellations.rules.files import MAX_FILE_BYTES


class SeveralFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several. The service checks their content."""

    widget = SeveralFiles

    def clean(self, data: Any, initial: Any = None) -> Any:
        files = data if isinstance(data, list | tuple) else [data]
        return [super(FilesField, self).clean(file, initial) for file in files] if any(files) else super().clean(None)


class FilesForm(CrispyForm):
    file = FilesField(
        label=_("Add files"),
        help_text=format_lazy(
            _("PDF, JPEG, PNG, WebP or plain text, up to {limit} MB each. You can choose several."),
            limit=MAX_FILE_BYTES // 1_000_000,
        ),
        widget=SeveralFiles(attrs={"accept": ".pdf,.jpg,.jpeg,.png,.webp,.txt", "class": "form-control"}),
        error_messages={"required": _("Choose a file"), "max_length": _("Choose a file with a shorter name")},
    )

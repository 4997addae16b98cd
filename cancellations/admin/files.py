"""Files in the staff interface: added by a verb, offered as downloads."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path

from accounts.desk import VerbForm
from cancellations.forms.files import FilesField, SeveralFiles
from cancellations.queries.requests import attachments_of
from cancellations.rules.files import MAX_FILE_BYTES
from cancellations.web.downloads import attachment_response


class AddFilesForm(VerbForm):
    file = FilesField(
        label="Files",
        help_text=f"PDF, JPEG, PNG, WebP or plain text, up to {MAX_FILE_BYTES // 1_000_000} MB each. One or more.",
        widget=SeveralFiles,
        error_messages={"required": "Choose a file."},
    )


class FilesAdmin:
    """Mixin of admins whose rows have attachments."""

    def get_urls(self) -> list[URLPattern]:
        self_: Any = self
        name = f"{self_.opts.app_label}_{self_.opts.model_name}_file"
        page = self_.admin_site.admin_view(self.file_view)
        urls: list[URLPattern] = super().get_urls()  # type: ignore[misc]  # mixed into a ModelAdmin
        return [path("<path:object_id>/files/<uuid:key>/", page, name=name), *urls]

    def file_view(self, request: HttpRequest, object_id: str, key: UUID) -> HttpResponse:
        self_: Any = self
        row = self_.get_object(request, object_id)
        if row is None or not self_.has_view_permission(request, row):
            raise PermissionDenied
        file = get_object_or_404(self.files_of(row), pk=key)
        if file.is_held:
            messages.warning(request, file.why_held)
            return redirect(f"admin:{self_.opts.app_label}_{self_.opts.model_name}_change", row.pk)
        return attachment_response(file)

    def files_of(self, row: Any) -> Any:
        """Returns the files of the row, with their content."""
        return attachments_of(row).defer(None)

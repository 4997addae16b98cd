"""Incoming mail, and the mailboxes from which it is fetched."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.text import Truncator
from unfold.decorators import display

from accounts.desk import DeskAdmin
from cancellations.services.conversations import PERMISSION
from messaging.models import IncomingMessage, Mailbox, ReadState
from messaging.numbers import tidy_reference
from messaging.services.inbox import file_of, html_of, read_again
from messaging.virus_scanner import ScannerUnavailable, find_virus, is_scanner_set


@admin.register(IncomingMessage)
class IncomingMessageAdmin(DeskAdmin):
    list_display = ["arrived", "who", "shown_subject", "shown_sort", "outcome", "shown_checked", "shown_state"]
    list_filter = ["state", "sort", "checked", "door", "mailbox"]
    search_fields = ["sender"]
    search_help_text = "The beginning of the sender’s address, or a whole reference"
    change_form_template = "desk/incoming.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[IncomingMessage]:
        rows: QuerySet[IncomingMessage] = super().get_queryset(request)
        return rows.select_related("mailbox", "duplicate_of").defer("raw", "duplicate_of__raw")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-arrived_at", "-id"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[IncomingMessage], search_term: str
    ) -> tuple[QuerySet[IncomingMessage], bool]:
        term = search_term.strip()
        reference = tidy_reference(term)
        if reference.startswith(("CR-", "CV-", "RF-")):
            return queryset.filter(**{"thread" if reference.startswith("CV-") else "about": reference}), False
        return (queryset.filter(sender__istartswith=term) if term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:key>/raw/", view(self.raw_view), name="messaging_incomingmessage_raw"),
            path("<uuid:key>/file/<int:number>/", view(self.file_view), name="messaging_incomingmessage_file"),
            path("<uuid:key>/again/", view(self.again_view), name="messaging_incomingmessage_again"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row: Any = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None:
            may = request.user.has_perm(PERMISSION) and row.state == ReadState.SET_ASIDE  # type: ignore[union-attr]
            context |= {"row": row, "html": html_of(row), "may_read_again": may}
        return super().change_view(request, object_id, form_url, context)

    def raw_view(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Downloads the original mail. It is never shown as a page."""
        return _checked_download(request, key, bytes(self._row(request, key).raw), f"{key}.eml", "message/rfc822")

    def file_view(self, request: HttpRequest, key: Any, number: int) -> HttpResponse:
        file = file_of(self._row(request, key), number)
        if file is None:
            raise Http404
        name = file.name or f"file-{number + 1}"
        return _checked_download(request, key, file.content, name, "application/octet-stream")

    @csrf_protect_m
    def again_view(self, request: HttpRequest, key: Any) -> HttpResponse:
        row = self._row(request, key)
        if request.method != "POST" or not request.user.has_perm(PERMISSION):  # type: ignore[union-attr]
            raise PermissionDenied
        if read_again(message=row, now=timezone.now()):
            messages.success(request, "The mail will be read again shortly.")
        return redirect("admin:messaging_incomingmessage_change", key)

    def _row(self, request: HttpRequest, key: Any) -> IncomingMessage:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = IncomingMessage.objects.filter(pk=key).first()
        if row is None:
            raise Http404
        return row

    @display(description="arrived", ordering="arrived_at")
    def arrived(self, row: IncomingMessage) -> str:
        return f"{timezone.localtime(row.arrived_at):%d %b %Y, %H:%M:%S}"

    @display(description="from", header=True)
    def who(self, row: IncomingMessage) -> list[str]:
        return [row.sender_name or row.sender or "unknown", row.sender if row.sender_name else ""]

    @display(description="subject")
    def shown_subject(self, row: IncomingMessage) -> str:
        return Truncator(row.subject).chars(70) or "(no subject)"

    @display(description="written by")
    def shown_sort(self, row: IncomingMessage) -> str:
        return row.get_sort_display() or "–"

    @display(
        description="sender",
        label={"the sender is genuine": "success", "the sender may be forged": "danger"},
    )
    def shown_checked(self, row: IncomingMessage) -> str:
        return row.get_checked_display()

    @display(description="state", label={"set aside": "danger", "waiting to be read": "info", "read": "success"})
    def shown_state(self, row: IncomingMessage) -> str:
        return row.get_state_display()


@admin.register(Mailbox)
class MailboxAdmin(DeskAdmin):
    list_display = ["name", "read_at", "last_uid", "passed_over", "failing_since", "last_error"]
    fields = ["name", "read_at", "uid_validity", "last_uid", "passed_over", "failing_since", "last_error"]
    readonly_fields = fields

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["name", "id"]


def _checked_download(request: HttpRequest, key: Any, content: bytes, name: str, kind: str) -> HttpResponse:
    """Returns the content as a download, unless the virus scanner finds something in it, or gives no verdict."""
    try:
        virus = find_virus(content) if is_scanner_set() else ""
    except ScannerUnavailable as error:
        messages.warning(request, f"The file cannot be checked for viruses now, so it was not opened: {error}")
    else:
        if not virus:
            return _download(content, name, kind)
        messages.warning(request, f"A virus was found ({virus}), so the file was not opened.")
    return redirect("admin:messaging_incomingmessage_change", key)


def _download(content: bytes, name: str, kind: str) -> HttpResponse:
    """Returns the content as a download. Shown in the browser, it could run scripts on our origin."""
    response = HttpResponse(content, content_type=kind)
    response.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    return response

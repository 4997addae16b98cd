"""Outgoing messages with their state, saved replies, and previews of all mails."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import display

from accounts.desk import DeskAdmin
from cancellations.letters.samples import LANGUAGES, kinds, sample
from messaging.forms import KeepableModelForm
from messaging.models import NOT_ARRIVED, VARIABLES, CannedReply, MessageState, OutgoingMessage
from messaging.numbers import tidy_reference
from messaging.outbound.rendering import markdown_to_html
from messaging.services.outbox import send_again

MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"


class Arrived(admin.SimpleListFilter):
    title, parameter_name = "arrived", "arrived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "did not arrive, not settled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutgoingMessage]) -> QuerySet[OutgoingMessage]:
        if self.value() == "no":
            return queryset.filter(NOT_ARRIVED)
        return queryset


@admin.register(OutgoingMessage)
class OutgoingMessageAdmin(DeskAdmin):
    list_display = ["written", "kind", "about", "recipient", "shown_state", "attempts", "sent_at"]
    list_filter = ["state", Arrived, "kind", "language"]
    search_fields = ["about", "recipient"]
    search_help_text = "The whole reference, or the beginning of the address"
    actions = ("send_failed_again",)
    change_form_template = "desk/outgoing.html"
    list_before_template = "desk/messages_before.html"

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-created_at", "-id"]

    def get_urls(self) -> list[URLPattern]:
        page, mail = (self.admin_site.admin_view(view) for view in (self.templates_view, self.template_html_view))
        return [
            path("templates/", page, name="messaging_templates"),
            path("templates/<slug:kind>/<slug:language>/", mail, name="messaging_template_html"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OutgoingMessage], search_term: str
    ) -> tuple[QuerySet[OutgoingMessage], bool]:
        term = search_term.strip()
        if term:
            queryset = queryset.filter(Q(about=tidy_reference(term)) | Q(recipient__istartswith=term))
        return queryset, False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row: Any = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None:
            context |= {"row": row, "html": markdown_to_html(row.shown_text)}
        return super().change_view(request, object_id, form_url, context)

    def templates_view(self, request: HttpRequest) -> HttpResponse:
        """Shows each mail in each language, with example values."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        language = request.GET.get("language", "en")
        language = language if language in LANGUAGES else "en"
        names = kinds(language)
        chosen = request.GET.get("kind", "")
        chosen = chosen if chosen in names else names[0]
        context = {
            **self.admin_site.each_context(request),
            "title": "Mail previews",
            "opts": self.opts,
            "kinds": names,
            "chosen": chosen,
            "language": language,
            "languages": LANGUAGES,
            "mail": sample(chosen, language),
        }
        return render(request, "desk/templates.html", context)

    def template_html_view(self, request: HttpRequest, kind: str, language: str) -> HttpResponse:
        """The HTML part of a mail, for the frame on the page of previews. A page of its own, because it has styles."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if language not in LANGUAGES or kind not in kinds(language):
            raise Http404
        response = HttpResponse(sample(kind, language).html)
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        return response

    @display(description="written", ordering="created_at")
    def written(self, message: OutgoingMessage) -> str:
        return f"{timezone.localtime(message.created_at):%d %b %Y, %H:%M}"

    @display(
        description="state",
        label={"sent": "success", "pending": "info", "given up": "danger", "came back": "danger"},
    )
    def shown_state(self, message: OutgoingMessage) -> str:
        return "pending" if message.state == MessageState.PENDING else message.get_state_display()

    @admin.action(description="Send undelivered messages again", permissions=["send_again"])
    def send_failed_again(self, request: HttpRequest, queryset: QuerySet[OutgoingMessage]) -> None:
        queued = sum(send_again(message=message, now=timezone.now()) for message in queryset)
        self.message_user(
            request,
            f"{queued} of {queryset.count()} will be sent again. The others have not failed, or held a code.",
        )

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.send_message_again"))  # type: ignore[union-attr]


@admin.register(CannedReply)
class CannedReplyAdmin(ModelAdmin):
    """Saved replies. Managers write them; staff pick one and adapt it when they write to a customer."""

    form = KeepableModelForm
    list_display = ["name", "used_for", "languages"]
    list_filter = ["used_for"]
    search_fields = ["name", "text_en", "text_de", "text_fr"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "used_for", "text_en", "text_de", "text_fr"],
                "description": "Variables, replaced for each customer: "
                + "; ".join(f"{{{name}}} {meaning}" for name, meaning in VARIABLES.items())
                + ".",
            },
        )
    ]

    @display(description="languages")
    def languages(self, reply: CannedReply) -> str:
        return ", ".join(tag for tag in ("en", "de", "fr") if getattr(reply, f"text_{tag}"))

"""Webhooks to the company's own systems: endpoints with their secrets, and deliveries."""

import json
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import display

from accounts.desk import Verb, VerbAdmin, VerbForm
from accounts.desk.proof import is_proven_recently, requires_recent_proof, restored_input
from accounts.models import User
from cancellations.services import endpoints
from cancellations.services.common import RequestRefused
from messaging.forms import KeepableTextMixin
from messaging.models import DeliveryState, EndpointState, EventType, WebhookDelivery, WebhookEndpoint
from messaging.sealing import InvalidToken
from messaging.services.webhooks import secrets_of

CHANGE = endpoints.CHANGE
S = EndpointState


class EndpointForm(KeepableTextMixin, forms.Form):
    name = forms.CharField(max_length=80, error_messages={"required": "Enter a name."})
    url = forms.URLField(
        label="Address",
        max_length=500,
        assume_scheme="https",
        error_messages={
            "required": "Enter the address.",
            "invalid": "Enter an address like https://crm.example.com/in.",
        },
        help_text="It starts with https:// and answers with a 2xx status once it has stored the event.",
    )
    event_types = forms.MultipleChoiceField(
        label="Events",
        choices=EventType.choices,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose the events to send."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


class ChangeForm(EndpointForm, VerbForm):  # type: ignore[misc]  # both are forms
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        VerbForm.__init__(self, *args, **kwargs)
        row: WebhookEndpoint = self.row
        self.initial = {"name": row.name, "url": row.url, "event_types": row.event_types, **self.initial}


class DisableForm(VerbForm):
    why = forms.CharField(max_length=250, error_messages={"required": "Say why. Other staff read it."})


def _change(row: WebhookEndpoint, user: User, data: dict[str, Any], now: datetime) -> None:
    endpoints.change(endpoint=row, by=user, now=now, **data)


def _rotate(row: WebhookEndpoint, user: User, data: dict[str, Any], now: datetime) -> None:
    endpoints.rotate(endpoint=row, by=user, now=now)


def _disable(row: WebhookEndpoint, user: User, data: dict[str, Any], now: datetime) -> None:
    endpoints.disable(endpoint=row, why=data["why"], by=user, now=now)


def _enable(row: WebhookEndpoint, user: User, data: dict[str, Any], now: datetime) -> None:
    endpoints.enable(endpoint=row, by=user, now=now)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(VerbAdmin):
    list_display = ["name", "url", "events", "shown_state", "failing_since"]
    list_filter = ["state"]
    search_fields = ["name", "url"]
    refusals = (RequestRefused,)
    change_form_template = "desk/endpoint.html"
    verbs = (
        Verb(
            "change", "Change", CHANGE, tuple(S), ChangeForm, _change,
            "Waiting deliveries go to the new address. A newly chosen event is sent from now on.", "changed.",
            sensitive=True,
        ),
        Verb(
            "rotate", "Change the secret", CHANGE, tuple(S), VerbForm, _rotate,
            "A new secret signs from now on. For a day the old one signs as well, so that you can change the "
            "receiver.", "secret changed.",
            sensitive=True,
        ),
        Verb(
            "disable", "Disable", CHANGE, (S.ACTIVE,), DisableForm, _disable,
            "Nothing is sent to it. Events wait until it is enabled again.", "disabled.",
        ),
        Verb(
            "enable", "Enable", CHANGE, (S.DISABLED,), VerbForm, _enable, "Waiting deliveries are sent in order.",
            "enabled.",
        ),
    )  # fmt: skip

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["name", "id"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(endpoints.ADD))  # type: ignore[union-attr]

    @csrf_protect_m
    @requires_recent_proof
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        assert isinstance(request.user, User)
        now = timezone.now()
        form = EndpointForm(request.POST if request.method == "POST" else None, initial=restored_input(request))
        if form.is_valid():
            try:
                endpoint = endpoints.add(**form.cleaned_data, by=request.user, now=now)
            except RequestRefused as error:
                form.add_error("name" if str(error) == endpoints.SAME_NAME else "url", str(error))
            else:
                messages.success(
                    request, f"{endpoint} receives events from now on. Give its secret to the operator of the receiver."
                )
                return redirect("admin:messaging_webhookendpoint_change", endpoint.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Add a webhook endpoint",
            "opts": self.opts,
            "form": form,
            "consequence": "Events from now on are sent to it, signed with a secret of its own.",
            "back": reverse("admin:messaging_webhookendpoint_changelist"),
        }
        return render(request, "desk/data.html", context, status=422 if form.is_bound else 200)

    def page_context(self, request: HttpRequest, row: WebhookEndpoint) -> dict[str, Any]:
        now = timezone.now()
        secret = ""
        if request.user.has_perm(CHANGE) and is_proven_recently(request, now):  # type: ignore[union-attr]
            try:
                secret = secrets_of(row, now)[0]
            except InvalidToken:
                secret = "It cannot be decrypted: SECRET_KEY_FALLBACKS lacks the earlier key."  # noqa: S105 - no secret
        recent = row.deliveries.select_related("event").order_by("-pk")[:15]
        waiting = row.deliveries.filter(state=DeliveryState.PENDING)[:1001].count()
        return {"row": row, "secret": secret, "deliveries": recent, "waiting_count": waiting}

    @display(description="events")
    def events(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.event_types)

    @display(description="state", label={"active": "success", "disabled": "danger"})
    def shown_state(self, row: WebhookEndpoint) -> str:
        return row.get_state_display()


def _send(row: WebhookDelivery, user: User, data: dict[str, Any], now: datetime) -> None:
    endpoints.send_again(delivery=row, by=user, now=now)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(VerbAdmin):
    """Deliveries of webhooks, and the answers to them."""

    list_display = ["happened", "shown_type", "subject", "endpoint", "attempts", "last_status", "shown_state"]
    list_filter = ["state", "endpoint", "event__type"]
    search_fields = ["subject"]
    search_help_text = "The whole subject, such as account:AT-104233"
    change_form_template = "desk/delivery.html"
    verbs = (
        Verb(
            "send-again", "Send again", "messaging.send_webhook_again",
            (DeliveryState.DELIVERED, DeliveryState.GIVEN_UP), VerbForm, _send,
            "It is sent again under the same id.", "it is sent again.",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        rows: QuerySet[WebhookDelivery] = super().get_queryset(request)
        return rows.select_related("endpoint", "event")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-id"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery], search_term: str
    ) -> tuple[QuerySet[WebhookDelivery], bool]:
        return (queryset.filter(subject=search_term.strip()) if search_term.strip() else queryset), False

    def page_context(self, request: HttpRequest, row: WebhookDelivery) -> dict[str, Any]:
        return {"row": row, "payload": json.dumps(row.event.payload, indent=2, ensure_ascii=False)}

    @display(description="happened")
    def happened(self, row: WebhookDelivery) -> str:
        return f"{timezone.localtime(row.event.occurred_at):%d %b %Y, %H:%M:%S}"

    @display(description="event")
    def shown_type(self, row: WebhookDelivery) -> str:
        return row.event.type

    @display(description="state", label={"delivered": "success", "waiting": "info", "given up": "danger"})
    def shown_state(self, row: WebhookDelivery) -> str:
        return row.get_state_display()

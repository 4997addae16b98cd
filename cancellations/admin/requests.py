"""The review desk: the queue of requests with its verbs."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from accounts.desk import Verb, VerbAdmin, VerbForm
from accounts.models import User
from accounts.queries import account_given
from billing.models import Subscription
from billing.queries import payments_with_returned
from billing.states import IllegalTransition
from cancellations.admin.files import AddFilesForm, FilesAdmin
from cancellations.models import CancellationRequest, DeclineGround, Kind
from cancellations.picture import points
from cancellations.queries import attachments_of, declared, difference_since, timeline
from cancellations.services.attachments import attach_to_request
from cancellations.services.common import RequestRefused
from cancellations.services.review import change_kind, decline, reopen, schedule, try_again, waive_notice
from cancellations.states import OPEN, RequestState
from messaging.models import OutgoingMessage

S = RequestState
WORDS: dict[str, Any] = {"required": False, "widget": forms.Textarea(attrs={"rows": 3})}


class ScheduleForm(VerbForm):
    subscription: Any = forms.ModelChoiceField(
        queryset=Subscription.objects.none(),
        required=False,
        empty_label="Choose the subscription that the customer means",
        help_text="We could not match this request by itself.",
    )
    words = forms.CharField(
        label="Message to the customer", help_text="Optional; it stands in the mail above the working.", **WORDS
    )
    field_order = ["subscription", "words"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        request: CancellationRequest = self.row
        account = request.account or _named_account(request)
        field = self.fields["subscription"]
        if request.subscription_id is not None:
            del self.fields["subscription"]
        elif account is not None and isinstance(field, forms.ModelChoiceField):
            field.queryset = account.subscriptions.all()


class DeclineForm(VerbForm):
    ground = forms.ChoiceField(
        choices=DeclineGround.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose the ground: a request is declined on one of these and on no other."},
    )
    words = forms.CharField(label="Message to the customer", help_text="Optional; it follows the ground.", **WORDS)


class WaiveForm(VerbForm):
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Kept with the request for good. The customer does not read it.",
        error_messages={"required": "State the ground for waiving the notice: it is kept with the request."},
    )


class ReopenForm(VerbForm):
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Why, and how the address was proven if it was not. Kept for good; the customer does not read it.",
        error_messages={"required": "State the ground for reopening: it is kept with the request."},
    )


class ChangeKindForm(VerbForm):
    kind = forms.ChoiceField(
        label="It counts as",
        choices=Kind.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose the kind of the cancellation."},
    )
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The customer reads it.",
        error_messages={"required": "State the ground for the other kind: it is kept with the request."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["kind"]
        field.choices = [choice for choice in Kind.choices if choice[0] != self.row.kind]


def _named_account(request: CancellationRequest) -> Any:
    return account_given(account_number=request.account_number_given, username=request.username_given)


def _schedule(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    schedule(request=request, by=user, now=now, subscription=given.get("subscription"), words=given["words"])


def _decline(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    decline(request=request, by=user, now=now, ground=given["ground"], words=given["words"])


def _waive(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    waive_notice(request=request, by=user, now=now, ground=given["ground"])


def _change_kind(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    change_kind(request=request, by=user, now=now, kind=given["kind"], ground=given["ground"])


def _add_files(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    attach_to_request(request=request, files=given["file"], by=user, now=now)


def _reopen(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    reopen(request=request, by=user, now=now, ground=given["ground"])


def _try_again(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    try_again(request=request, by=user, now=now)


@admin.register(CancellationRequest)
class CancellationRequestAdmin(FilesAdmin, VerbAdmin):
    list_display = [
        "reference",
        "falls_due",
        "shown_state",
        "customer",
        "plan",
        "shown_kind",
        "shown_on_time",
        "received",
        "channel",
    ]
    list_filter = ["state", "kind", "channel", "on_time", "reason"]
    search_fields = [
        "reference",
        "account_number_given",
        "username_given",
        "email_given",
        "account__account_number",
        "account__name",
    ]
    refusals, illegal = (RequestRefused,), (IllegalTransition,)
    change_form_template = "desk/request.html"
    verbs = (
        Verb(
            "schedule", "Schedule", "cancellations.schedule_request", (S.IN_REVIEW,), ScheduleForm, _schedule,
            "The request is accepted. It takes effect on its end date, and the customer is told at once.", "scheduled.",
            applies=lambda request, user: request.kind != Kind.FOR_CAUSE,
        ),
        Verb(
            "accept-ground", "Accept the ground", "cancellations.schedule_request", (S.IN_REVIEW,), ScheduleForm,
            _schedule, "The subscription ends at once, by the time of receipt. The customer is told, and what was paid "
            "is reviewed for a refund. If the ground does not hold, change the kind to ordinary instead.",
            "ground accepted.",
            applies=lambda request, user: request.kind == Kind.FOR_CAUSE,
        ),
        Verb(
            "change-kind", "Change the kind", "cancellations.change_kind", (S.IN_REVIEW, S.SCHEDULED), ChangeKindForm,
            _change_kind, "The end date is worked out anew from the same time of receipt, and the customer reads the "
            "ground. A scheduled request may only come to end sooner.", "counts as another kind now.",
        ),
        Verb(
            "waive", "Waive late notice", "cancellations.waive_notice", (S.IN_REVIEW, S.SCHEDULED), WaiveForm, _waive,
            "The subscription ends as if no notice had been asked for, and the customer is told the earlier date.",
            "late notice waived.",
            applies=lambda request, user: request.on_time is False and request.notice_waived_by_id is None,
        ),
        Verb(
            "reopen", "Reopen", "cancellations.schedule_request", (S.EXPIRED, S.DECLINED, S.SUPERSEDED), ReopenForm,
            _reopen, "The request is in review again, from the same time of receipt, and the customer is told.",
            "in review again.",
        ),
        Verb(
            "try-again", "Try again", "cancellations.schedule_request", OPEN, VerbForm, _try_again,
            "The worker set it aside because of the error shown. Once that is mended, it can try again.",
            "given back to the worker.",
            applies=lambda request, user: bool(request.enforcement_error),
        ),
        Verb(
            "decline", "Decline", "cancellations.decline_request", (S.UNVERIFIED, S.IN_REVIEW), DeclineForm, _decline,
            "The request ends here, the subscription goes on, and the customer reads the ground.", "declined.",
        ),
        Verb(
            "add-files", "Add files", "cancellations.schedule_request", tuple(RequestState), AddFilesForm, _add_files,
            "They are kept with the request for good; the customer sees them, too.", "files added.",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[CancellationRequest]:
        found: QuerySet[CancellationRequest] = super().get_queryset(request)
        return found.select_related("account", "subscription__account", "policy_version", "refund", "decided_by")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("due_at").asc(nulls_last=True), "-received_at", "-id"]

    def page_context(self, request: HttpRequest, row: CancellationRequest) -> dict[str, Any]:
        names = {person.pk: str(person) for person in User.objects.filter(is_staff=True)}
        context: dict[str, Any] = {
            "row": row,
            "named_account": None if row.account_id else _named_account(row),
            "difference": difference_since(row) if row.is_open else None,
            "payments": payments_with_returned(row.subscription)[:6] if row.subscription else [],
            "others": self._others(row),
            "entries": [(entry, names.get(entry.by or 0, entry.actor)) for entry in timeline(row)],
            "letters": OutgoingMessage.objects.filter(about=row.declaration).order_by("created_at"),
            "files": attachments_of(row),
            "siblings": declared(row.reference).exclude(pk=row.pk).select_related("subscription"),
        }
        if row.effective_on is not None and row.is_open and not row.at_once:
            context["points"] = points(
                today=timezone.localdate(),
                deadline_on=row.deadline_on,
                next_billing_on=row.next_billing_on,
                effective_on=row.effective_on,
            )
        return context

    def _others(self, row: CancellationRequest) -> QuerySet[CancellationRequest]:
        same = CancellationRequest.objects.exclude(declaration=row.declaration).order_by("-received_at")
        if row.account_id:
            return same.filter(account_id=row.account_id)[:10]
        return same.filter(account_number_given__iexact=row.account_number_given)[:10]

    @display(description="customer")
    def customer(self, request: CancellationRequest) -> str:
        return request.account.name if request.account else f"{request.email_given} (not matched)"

    @display(description="subscription")
    def plan(self, request: CancellationRequest) -> str:
        return request.subscription.plan_name if request.subscription else "–"

    @display(description="kind", ordering="kind")
    def shown_kind(self, request: CancellationRequest) -> str:
        return request.get_kind_display()

    @display(description="received", ordering="received_at")
    def received(self, request: CancellationRequest) -> str:
        return f"{timezone.localtime(request.received_at):%d %b %Y, %H:%M}"

    @display(description="on time", label={"on time": "success", "late": "warning", "waived": "info"})
    def shown_on_time(self, request: CancellationRequest) -> str:
        if request.notice_waived_by_id is not None:
            return "waived"
        return {True: "on time", False: "late", None: "–"}[request.on_time]

    @display(description="falls due", ordering="due_at")
    def falls_due(self, request: CancellationRequest) -> str:
        if request.enforcement_error:
            return "set aside: look at it"
        if request.due_at is None:
            return "–"
        if request.state == S.UNVERIFIED:
            return f"proof by {timezone.localtime(request.due_at):%d %b %Y}"
        if request.effective_on is None:
            return "match it now"
        if request.ground_is_open:
            return "look at the ground now"
        if request.at_once:
            return "ends now"
        return f"ends {request.effective_on:%d %b %Y}"

    @display(
        description="state",
        ordering="state",
        label={"in review": "warning", "scheduled": "info", "effective": "success", "declined": "danger"},
    )
    def shown_state(self, request: CancellationRequest) -> str:
        return request.get_state_display()

"""The review desk: the queue of requests with its verbs, and the policy versions."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import display

from accounts.desk import Verb, VerbAdmin, VerbForm
from accounts.models import User
from accounts.queries import account_given
from billing.models import Subscription
from billing.queries import payments_with_returned
from billing.states import IllegalTransition
from cancellations.models import CancellationRequest, DeclineGround, PolicyVersion
from cancellations.picture import points
from cancellations.policy_text import FIRST_TEXT, filled_in
from cancellations.queries import difference_since, timeline
from cancellations.services.common import RequestRefused
from cancellations.services.policies import publish
from cancellations.services.review import decline, reopen, schedule, try_again, waive_notice
from cancellations.states import OPEN, PolicyState, RequestState
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


class PublishForm(VerbForm):
    change_summary = forms.CharField(
        label="What changes",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="In a sentence. Customers read it in the policy’s history.",
        error_messages={"required": "Say in a sentence what changes: customers read it."},
    )
    effective_from = forms.DateTimeField(
        label="In force from",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: at once.",
        error_messages={"invalid": "Enter a date and a time."},
    )


DONE = {
    "submit": "Submitted",
    "verify": "Address proven",
    "schedule": "Scheduled",
    "decline": "Declined",
    "waive": "Late notice waived",
    "withdraw": "Withdrawn",
    "take_effect": "Taken into effect",
    "expire": "Expired",
    "supersede": "Superseded",
    "set_aside": "Set aside",
    "reopen": "Reopened",
    "try_again": "Given back to the worker",
}


def _named_account(request: CancellationRequest) -> Any:
    return account_given(account_number=request.account_number_given, username=request.username_given)


def _schedule(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    schedule(request=request, by=user, now=now, subscription=given.get("subscription"), words=given["words"])


def _decline(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    decline(request=request, by=user, now=now, ground=given["ground"], words=given["words"])


def _waive(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    waive_notice(request=request, by=user, now=now, ground=given["ground"])


def _reopen(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    reopen(request=request, by=user, now=now, ground=given["ground"])


def _try_again(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    try_again(request=request, by=user, now=now)


def _publish(version: PolicyVersion, user: User, given: dict[str, Any], now: datetime) -> None:
    moment = given["effective_from"] or now
    publish(version=version, by=user, now=now, effective_from=moment, change_summary=given["change_summary"])


@admin.register(CancellationRequest)
class CancellationRequestAdmin(VerbAdmin):
    list_display = ["reference", "falls_due", "shown_state", "customer", "plan", "shown_on_time", "received", "channel"]
    list_filter = ["state", "channel", "on_time", "reason"]
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
            "entries": [
                (DONE.get(entry.verb, entry.verb), entry, names.get(entry.by or 0, entry.actor))
                for entry in timeline(row)
            ],
            "letters": OutgoingMessage.objects.filter(about=row.reference).order_by("created_at"),
        }
        if row.effective_on is not None and row.is_open:
            context["points"] = points(
                today=timezone.localdate(),
                deadline_on=row.deadline_on,
                next_billing_on=row.next_billing_on,
                effective_on=row.effective_on,
            )
        return context

    def _others(self, row: CancellationRequest) -> QuerySet[CancellationRequest]:
        same = CancellationRequest.objects.exclude(pk=row.pk).order_by("-received_at")
        if row.account_id:
            return same.filter(account_id=row.account_id)[:10]
        return same.filter(account_number_given__iexact=row.account_number_given)[:10]

    @display(description="customer")
    def customer(self, request: CancellationRequest) -> str:
        return request.account.name if request.account else f"{request.email_given} (not matched)"

    @display(description="subscription")
    def plan(self, request: CancellationRequest) -> str:
        return request.subscription.plan_name if request.subscription else "–"

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
        return f"ends {request.effective_on:%d %b %Y}"

    @display(
        description="state",
        ordering="state",
        label={"in review": "warning", "scheduled": "info", "effective": "success", "declined": "danger"},
    )
    def shown_state(self, request: CancellationRequest) -> str:
        return request.get_state_display()


@admin.register(PolicyVersion)
class PolicyVersionAdmin(VerbAdmin):
    """Drafts are edited here; a published version is only shown."""

    list_display = ["__str__", "state", "effective_from", "notice_days", "refund_decision_days", "change_summary"]
    refusals, illegal = (RequestRefused,), (IllegalTransition,)
    change_form_template = "desk/policy.html"
    fieldsets = [
        (None, {"fields": ["number", "text"]}),
        ("Figures", {"fields": ["notice_days", "trial_notice_days", "cooling_off_days", "verification_days"]}),
        ("Review", {"fields": ["review_mode", "refund_decision_days", "refund_payment_days", "approval_limits"]}),
    ]
    verbs = (
        Verb(
            "publish", "Publish", "cancellations.publish_policyversion", (PolicyState.DRAFT,), PublishForm, _publish,
            "From then on, requests received are bound to this version. It can never be changed again.", "published.",
        ),
    )  # fmt: skip

    def page_context(self, request: HttpRequest, row: PolicyVersion) -> dict[str, Any]:
        return {"row": row, "policy_html": filled_in(row)}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        newest = PolicyVersion.objects.order_by("-number").first()
        if newest is None:
            return {"number": 1, "text": FIRST_TEXT.read_text(encoding="utf-8")}
        kept = {name: getattr(newest, name) for _, part in self.fieldsets for name in part["fields"]}
        return {**kept, "number": newest.number + 1}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(ModelAdmin.has_add_permission(self, request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        editable = obj is None or obj.state == PolicyState.DRAFT
        return editable and bool(ModelAdmin.has_change_permission(self, request, obj))

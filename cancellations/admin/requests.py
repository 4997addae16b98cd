"""The review desk: the queue of requests with its verbs."""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from accounts.desk import Verb, VerbAdmin, VerbForm, words_field
from accounts.models import User
from accounts.queries import account_given
from accounts.story import changed_since
from billing.models import Subscription
from billing.periods import local_date
from billing.queries import payments_with_returned
from billing.states import IllegalTransition
from cancellations.admin.bulk import BulkActions
from cancellations.admin.files import AddFilesForm, FilesAdmin
from cancellations.admin.filters import (
    Assigned,
    Due,
    Ground,
    Informed,
    Jurisdiction,
    OnTime,
    found,
    waiting_for,
    who_work_on_requests,
)
from cancellations.admin.story import story
from cancellations.models import CancellationRequest, DeclineGround, Kind
from cancellations.picture import points
from cancellations.queries import declared, difference_since, failed_letters
from cancellations.services.attachments import attach_to_request
from cancellations.services.common import RequestRefused
from cancellations.services.conversations import ask
from cancellations.services.handling import PERMISSION, add_note, ask_again, assign, claim
from cancellations.services.review import change_kind, decline, reopen, schedule, try_again, waive_notice
from cancellations.states import OPEN, RequestState
from messaging.wording import day_words, reading

S = RequestState


class ScheduleForm(VerbForm):
    replies_to = "words"
    subscription: Any = forms.ModelChoiceField(
        queryset=Subscription.objects.none(),
        required=False,
        empty_label="Choose the subscription that the customer means",
        help_text="We could not match this request by itself.",
    )
    words = words_field(help_text="Optional; it stands in the mail above the working.", required=False)
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
    replies_to = "words"
    ground = forms.ChoiceField(
        choices=DeclineGround.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose the ground: a request is declined on one of these and on no other."},
    )
    words = words_field(help_text="Optional; it follows the ground.", required=False)


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


class AssignForm(VerbForm):
    to = forms.ModelChoiceField(
        label="To",
        queryset=User.objects.none(),
        empty_label="Choose a person",
        error_messages={"required": "Choose a person."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["to"]
        field.queryset = who_work_on_requests().exclude(pk=self.row.assigned_to_id)


class AskForm(VerbForm):
    replies_to = "words"
    words = words_field("Question", "The customer answers by mail.", error_messages={"required": "Write the question."})


class NoteForm(VerbForm):
    words = words_field("Note", "For staff only; it is kept as it is.", error_messages={"required": "Write the note."})


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


def _claim(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    claim(request=request, by=user, now=now)


def _release(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    assign(request=request, to=None, by=user, now=now)


def _assign(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    assign(request=request, to=given["to"], by=user, now=now)


def _ask(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    ask(request=request, by=user, words=given["words"], now=now)


def _note(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    add_note(request=request, by=user, words=given["words"], now=now)


def _ask_again(request: CancellationRequest, user: User, given: dict[str, Any], now: datetime) -> None:
    ask_again(request=request, by=user, now=now)


@admin.register(CancellationRequest)
class CancellationRequestAdmin(BulkActions, FilesAdmin, VerbAdmin):
    actions = ("schedule_selected", "assign_selected", "ask_selected_again", "export_selected")
    list_display = [
        "reference",
        "falls_due",
        "customer",
        "plan",
        "received",
        "shown_channel",
        "shown_kind",
        "shown_on_time",
        "in_hands_of",
        "shown_state",
    ]
    list_filter = [
        Due,
        "state",
        Assigned,
        "kind",
        OnTime,
        "channel",
        Jurisdiction,
        Ground,
        "decline_ground",
        "reason",
        Informed,
    ]
    search_fields = ["reference"]  # the box; `found` does the search
    search_help_text = "Reference, account number, username, e-mail address or name"
    sortable = ("falls_due", "received")
    replies_for = "request"
    export_permission = "cancellations.export_cancellationrequest"
    columns = (
        ("Reference", lambda row: row.reference),
        ("Declaration", lambda row: row.declaration),
        ("State", lambda row: row.get_state_display()),
        ("Received", lambda row: row.received_at),
        ("Channel", lambda row: row.get_channel_display()),
        ("Account number", lambda row: row.account.account_number if row.account else row.account_number_given),
        ("Customer", lambda row: row.account.name if row.account else row.name_given),
        ("E-mail address", lambda row: row.email_given),
        ("Subscription", lambda row: row.subscription.reference if row.subscription else ""),
        ("Plan", lambda row: row.subscription.plan_name if row.subscription else ""),
        ("Kind declared", lambda row: row.get_kind_declared_display()),
        ("Counts as", lambda row: row.get_kind_display()),
        ("Reason", lambda row: row.get_reason_display()),
        ("Words", lambda row: row.words),
        ("Ground", lambda row: row.cause),
        ("Wished end", lambda row: row.requested_end),
        ("On time", lambda row: row.on_time),
        ("Notice waived", lambda row: row.notice_waived_by is not None),
        ("Notice deadline", lambda row: row.deadline_on),
        ("Ends on", lambda row: row.effective_on),
        ("Falls due", lambda row: row.due_at),
        ("Assigned to", lambda row: str(row.assigned_to or "")),
        ("Decided by", lambda row: str(row.decided_by or "")),
        ("Decline ground", lambda row: row.get_decline_ground_display()),
        ("Policy", lambda row: row.policy_version.number),
        ("Jurisdiction", lambda row: row.jurisdiction),
        ("Refund", lambda row: row.refund.reference if row.refund else ""),
    )
    refusals, illegal = (RequestRefused,), (IllegalTransition,)
    change_form_template = "desk/request.html"
    verbs = (
        Verb(
            "schedule", "Schedule", "cancellations.schedule_request", (S.IN_REVIEW,), ScheduleForm, _schedule,
            "The request is accepted. It takes effect on its end date, and the customer is told at once.", "scheduled.",
            applies=lambda request, user: request.kind != Kind.FOR_CAUSE,
            key="s", decides=True,
        ),
        Verb(
            "accept-ground", "Accept the ground", "cancellations.schedule_request", (S.IN_REVIEW,), ScheduleForm,
            _schedule, "The subscription ends at once, by the time of receipt. The customer is told, and what was paid "
            "is reviewed for a refund. If the ground does not hold, change the kind to ordinary instead.",
            "ground accepted.",
            applies=lambda request, user: request.kind == Kind.FOR_CAUSE,
            key="s", decides=True,
        ),
        Verb(
            "change-kind", "Change the kind", "cancellations.change_kind", (S.IN_REVIEW, S.SCHEDULED), ChangeKindForm,
            _change_kind, "The end date is worked out anew from the same time of receipt, and the customer reads the "
            "ground. A scheduled request may only come to end sooner.", "counts as another kind now.",
            key="k",
        ),
        Verb(
            "waive", "Waive late notice", "cancellations.waive_notice", (S.IN_REVIEW, S.SCHEDULED), WaiveForm, _waive,
            "The subscription ends as if no notice had been asked for, and the customer is told the earlier date.",
            "late notice waived.",
            applies=lambda request, user: request.on_time is False and request.notice_waived_by_id is None,
            key="w",
        ),
        Verb(
            "ask", "Ask the customer", "cancellations.answer_conversation", OPEN, AskForm, _ask,
            "The question goes out as a mail. The answer comes back to this request, which keeps its time of receipt.",
            "asked.",
            key="q",
        ),
        Verb(
            "reopen", "Reopen", "cancellations.schedule_request", (S.EXPIRED, S.DECLINED, S.SUPERSEDED), ReopenForm,
            _reopen, "The request is in review again, from the same time of receipt, and the customer is told.",
            "in review again.",
            key="o",
        ),
        Verb(
            "try-again", "Try again", "cancellations.schedule_request", OPEN, VerbForm, _try_again,
            "The worker set it aside because of the error shown. Once that is mended, it can try again.",
            "given back to the worker.",
            applies=lambda request, user: bool(request.enforcement_error),
            key="t",
        ),
        Verb(
            "decline", "Decline", "cancellations.decline_request", (S.UNVERIFIED, S.IN_REVIEW), DeclineForm, _decline,
            "The request ends here, the subscription goes on, and the customer reads the ground.", "declined.",
            key="d", decides=True,
        ),
        Verb(
            "claim", "Claim", PERMISSION, OPEN, VerbForm, _claim, "It is in your hands.", "in your hands.",
            applies=lambda request, user: request.assigned_to_id is None,
            key="c", at_a_click=True,
        ),
        Verb(
            "release", "Release", PERMISSION, OPEN, VerbForm, _release, "Nobody has it in hand.", "back in the queue.",
            applies=lambda request, user: request.assigned_to_id is not None,
            key="r", at_a_click=True,
        ),
        Verb(
            "assign", "Assign", PERMISSION, OPEN, AssignForm, _assign,
            "The person finds it under «assigned to me».", "assigned.",
            key="a",
        ),
        Verb(
            "note", "Write a note", PERMISSION, tuple(RequestState), NoteForm, _note,
            "Staff read it in the story of the request; the customer never does.", "note written.",
            key="m",
        ),
        Verb(
            "ask-again", "Ask for proof again", PERMISSION, (S.UNVERIFIED,), VerbForm, _ask_again,
            "The link that proves the address goes out once more.", "asked again.",
            key="p",
        ),
        Verb(
            "add-files", "Add files", "cancellations.schedule_request", tuple(RequestState), AddFilesForm, _add_files,
            "They are kept with the request for good; the customer sees them, too.", "files added.",
            key="f",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[CancellationRequest]:
        rows: QuerySet[CancellationRequest] = super().get_queryset(request)
        return rows.select_related(
            "account",
            "subscription__account",
            "policy_version",
            "refund",
            "decided_by",
            "assigned_to",
            "notice_waived_by",
        )

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("due_at").asc(nulls_last=True), "-received_at", "-id"]

    def page_context(self, request: HttpRequest, row: CancellationRequest) -> dict[str, Any]:
        context: dict[str, Any] = {
            "row": row,
            "named_account": None if row.account_id else _named_account(row),
            "difference": difference_since(row) if row.is_open else None,
            "payments": payments_with_returned(row.subscription)[:6] if row.subscription else [],
            "others": self._others(row),
            "story": story(row),
            "uninformed": failed_letters(row),
            "siblings": declared(row.reference).exclude(pk=row.pk).select_related("subscription"),
            "due_words": self.falls_due(row),
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

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CancellationRequest], search_term: str
    ) -> tuple[QuerySet[CancellationRequest], bool]:
        return found(queryset, search_term), False

    def facts(self, row: CancellationRequest) -> dict[str, str]:
        told = {
            "State": str(row.get_state_display()),
            "Ends on": day_words(row.effective_on) or "–",
            "Counts as": str(row.get_kind_display()),
            "In the hands of": str(row.assigned_to or "nobody"),
        }
        if row.refund is not None:
            told["Refund"] = f"{row.refund}, {row.refund.get_state_display()}"
        return told

    def variables(self, row: CancellationRequest) -> tuple[str, dict[str, str]]:
        with reading(row.language):
            return row.language, {
                "name": row.account.name if row.account else row.name_given,
                "reference": row.declaration,
                "plan": row.subscription.plan_name if row.subscription else "",
                "end_date": day_words(row.effective_on),
                "support_email": settings.SUPPORT_EMAIL,
            }

    def what_changed(self, row: CancellationRequest, since: int) -> list[str]:
        return changed_since(row, since)

    def waiting(self, rows: QuerySet[CancellationRequest], user: User) -> QuerySet[CancellationRequest]:
        return waiting_for(rows, user)

    @display(description="customer", header=True)
    def customer(self, request: CancellationRequest) -> list[str]:
        if request.account:
            return [request.account.name, request.account.account_number]
        return [request.email_given, f"{request.account_number_given} · not matched"]

    @display(description="assigned to")
    def in_hands_of(self, request: CancellationRequest) -> str:
        return str(request.assigned_to or "–")

    @display(description="subscription")
    def plan(self, request: CancellationRequest) -> str:
        return request.subscription.plan_name if request.subscription else "–"

    @display(description="kind", ordering="kind")
    def shown_kind(self, request: CancellationRequest) -> str:
        return request.get_kind_display()

    @display(description="received", ordering="received_at")
    def received(self, request: CancellationRequest) -> str:
        at = timezone.localtime(request.received_at)
        return f"{at:%d %b, %H:%M}" if at.year == timezone.localtime().year else f"{at:%d %b %Y}"

    @display(description="channel")
    def shown_channel(self, request: CancellationRequest) -> str:
        return {"signed_in": "signed in", "guest": "guest"}.get(request.channel, request.get_channel_display())

    @display(description="on time", label={"on time": "success", "late": "warning", "waived": "info"})
    def shown_on_time(self, request: CancellationRequest) -> str:
        if request.notice_waived_by_id is not None:
            return "waived"
        return {True: "on time", False: "late", None: "–"}[request.on_time]

    @display(description="falls due", ordering="due_at", header=True)
    def falls_due(self, request: CancellationRequest) -> list[str]:
        """What falls due next, and when: in words, so that no colour is needed to see it."""
        what, when = _due_words(request)
        return [what, when]

    @display(
        description="state",
        ordering="state",
        label={"in review": "warning", "scheduled": "info", "effective": "success", "declined": "danger"},
    )
    def shown_state(self, request: CancellationRequest) -> str:
        return request.get_state_display()


def _due_words(request: CancellationRequest) -> tuple[str, str]:
    if request.enforcement_error:
        return "Set aside by the worker", "look at it now"
    if request.due_at is None:
        return "–", ""
    now = timezone.now()
    if request.state == S.UNVERIFIED:
        return "Proof of the address", _in_days(request.due_at, now)
    if request.effective_on is None:
        return "Match it", f"waits {_ago(request.received_at, now)}"
    if request.ground_is_open:
        return "Look at the ground", f"waits {_ago(request.received_at, now)}"
    if request.at_once:
        return "Ends", "now"
    what = "Decide before it ends" if request.state == S.IN_REVIEW else "Ends"
    return what, _in_days(request.effective_at or request.due_at, now)


def _in_days(moment: datetime, now: datetime) -> str:
    zone = settings.COMPANY_TIME_ZONE
    days = (local_date(moment, zone) - local_date(now, zone)).days
    told = f"{local_date(moment, zone):%d %b %Y}"
    if moment <= now:
        return f"{told}, overdue"
    return f"{told}, " + ("today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days")


def _ago(moment: datetime, now: datetime) -> str:
    hours = int((now - moment).total_seconds() // 3600)
    if hours < 48:
        return f"{hours} hour{'' if hours == 1 else 's'}"
    return f"{hours // 24} days"

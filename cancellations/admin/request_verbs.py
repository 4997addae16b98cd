"""The verbs of staff on a request, each with its form."""

from datetime import datetime
from typing import Any

from django import forms

from accounts.desk import Verb, VerbForm, text_field
from accounts.models import User
from billing.models import Subscription
from cancellations.admin.files import AddFilesForm
from cancellations.admin.filters import request_workers
from cancellations.models import CancellationRequest, DeclineGround, Kind
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.requests import named_account
from cancellations.services.attachments import attach_to_request
from cancellations.services.common import StatedEnd
from cancellations.services.conversations import ask
from cancellations.services.handling import PERMISSION, add_note, ask_again, assign, claim
from cancellations.services.review import change_kind, decline, reopen, schedule, try_again, waive_notice

S = RequestState


class ScheduleForm(VerbForm):
    replies_to = "words"
    subscription: Any = forms.ModelChoiceField(
        queryset=Subscription.objects.none(),
        required=False,
        empty_label="Choose the subscription that the customer means",
        help_text="This request could not be matched automatically.",
    )
    ends = forms.ChoiceField(
        label="When it should end",
        choices=[("earliest", "as early as possible"), ("day", "on a certain day, or the first possible one after it")],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose when it should end."},
    )
    requested_end = forms.DateField(
        label="Requested end date",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Enter a date."},
    )
    words = text_field(
        help_text="Optional. It appears in the mail above the explanation of the end date.", required=False
    )
    field_order = ["subscription", "ends", "requested_end", "words"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        request: CancellationRequest = self.row
        account = request.account or named_account(request)
        field = self.fields["subscription"]
        if request.subscription_id is not None:
            del self.fields["subscription"]
        elif account is not None and isinstance(field, forms.ModelChoiceField):
            field.queryset = account.subscriptions.all()
        if request.end_is_open:
            self.fields["ends"].help_text = f"The mail says: «{request.end_unread}»"
        else:
            del self.fields["ends"], self.fields["requested_end"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("ends") == "day" and not data.get("requested_end") and "requested_end" not in self.errors:
            self.add_error("requested_end", "Enter the date on which it should end.")
        return data


class DeclineForm(VerbForm):
    replies_to = "words"
    ground = forms.ChoiceField(
        choices=DeclineGround.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a ground from the list."},
    )
    words = text_field(help_text="Optional. It appears in the mail below the ground.", required=False)


class WaiveForm(VerbForm):
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Stored with the request. The customer does not see it.",
        error_messages={"required": "State the ground for waiving the notice. It is stored with the request."},
    )


class ReopenForm(VerbForm):
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Why, and how the address was proven if it was not yet. The customer does not see it.",
        error_messages={"required": "State the ground for reopening. It is stored with the request."},
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
        error_messages={"required": "State the ground for changing the kind. The customer reads it."},
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
        field.queryset = request_workers().exclude(pk=self.row.assigned_to_id)


class AskForm(VerbForm):
    replies_to = "words"
    words = text_field("Question", "The customer answers by mail.", error_messages={"required": "Write the question."})


class NoteForm(VerbForm):
    words = text_field(
        "Note", "For staff only. It cannot be changed afterwards.", error_messages={"required": "Write the note."}
    )


def _schedule(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    stated = StatedEnd(data["requested_end"] if data["ends"] == "day" else None) if data.get("ends") else None
    schedule(
        request=request, by=user, now=now, subscription=data.get("subscription"), words=data["words"], stated_end=stated
    )


def _decline(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    decline(request=request, by=user, now=now, ground=data["ground"], words=data["words"])


def _waive(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    waive_notice(request=request, by=user, now=now, ground=data["ground"])


def _change_kind(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    change_kind(request=request, by=user, now=now, kind=data["kind"], ground=data["ground"])


def _add_files(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    attach_to_request(request=request, files=data["file"], by=user, now=now)


def _reopen(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    reopen(request=request, by=user, now=now, ground=data["ground"])


def _try_again(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    try_again(request=request, by=user, now=now)


def _claim(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    claim(request=request, by=user, now=now)


def _release(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    assign(request=request, to=None, by=user, now=now)


def _assign(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    assign(request=request, to=data["to"], by=user, now=now)


def _ask(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    ask(request=request, by=user, words=data["words"], now=now)


def _note(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    add_note(request=request, by=user, words=data["words"], now=now)


def _ask_again(request: CancellationRequest, user: User, data: dict[str, Any], now: datetime) -> None:
    ask_again(request=request, by=user, now=now)


VERBS = (
    Verb(
        "schedule", "Schedule", "cancellations.schedule_request", (S.IN_REVIEW,), ScheduleForm, _schedule,
        "The request is accepted and takes effect on its end date. The customer is notified immediately.", "scheduled.",
        applies=lambda request, user: request.kind != Kind.FOR_CAUSE,
        key="s", decides=True,
    ),
    Verb(
        "accept-ground", "Accept the ground", "cancellations.schedule_request", (S.IN_REVIEW,), ScheduleForm,
        _schedule, "The subscription ends at once, at the time of receipt. The customer is notified, and a refund "
        "review is queued. If you do not accept the ground, change the kind to ordinary instead.",
        "ground accepted.",
        applies=lambda request, user: request.kind == Kind.FOR_CAUSE,
        key="s", decides=True,
    ),
    Verb(
        "change-kind", "Change the kind", "cancellations.change_kind", (S.IN_REVIEW, S.SCHEDULED), ChangeKindForm,
        _change_kind, "The end date is recalculated from the same time of receipt, and the customer reads the "
        "ground. A scheduled request may only move to an earlier end.", "kind changed.",
        key="k",
    ),
    Verb(
        "waive", "Waive late notice", "cancellations.waive_notice", (S.IN_REVIEW, S.SCHEDULED), WaiveForm, _waive,
        "The subscription ends as if the policy required no notice. The customer is sent the earlier date.",
        "late notice waived.",
        applies=lambda request, user: request.on_time is False and request.notice_waived_by_id is None,
        key="w",
    ),
    Verb(
        "ask", "Ask the customer", "cancellations.answer_conversation", OPEN, AskForm, _ask,
        "The question is sent by mail. The answer is filed under this request, which keeps its time of receipt.",
        "question sent.",
        key="q",
    ),
    Verb(
        "reopen", "Reopen", "cancellations.schedule_request", (S.EXPIRED, S.DECLINED, S.SUPERSEDED), ReopenForm,
        _reopen, "The request returns to review with the same time of receipt. The customer is notified.",
        "in review again.",
        key="o",
    ),
    Verb(
        "try-again", "Try again", "cancellations.schedule_request", OPEN, VerbForm, _try_again,
        "The worker set it aside because of the error shown. Once the cause is fixed, it can try again.",
        "returned to the worker.",
        applies=lambda request, user: bool(request.enforcement_error),
        key="t",
    ),
    Verb(
        "decline", "Decline", "cancellations.decline_request", (S.UNVERIFIED, S.IN_REVIEW), DeclineForm, _decline,
        "The request is settled and the subscription continues. The customer reads the ground.", "declined.",
        key="d", decides=True,
    ),
    Verb(
        "claim", "Claim", PERMISSION, OPEN, VerbForm, _claim, "It is assigned to you.", "assigned to you.",
        applies=lambda request, user: request.assigned_to_id is None,
        key="c", one_click=True,
    ),
    Verb(
        "release", "Release", PERMISSION, OPEN, VerbForm, _release, "It returns to the queue.",
        "returned to the queue.",
        applies=lambda request, user: request.assigned_to_id is not None,
        key="r", one_click=True,
    ),
    Verb(
        "assign", "Assign", PERMISSION, OPEN, AssignForm, _assign,
        "They find it under «assigned to me».", "assigned.",
        key="a",
    ),
    Verb(
        "note", "Write a note", PERMISSION, tuple(RequestState), NoteForm, _note,
        "Staff see it in the timeline of the request. The customer never does.", "note written.",
        key="m",
    ),
    Verb(
        "ask-again", "Ask for proof again", PERMISSION, (S.UNVERIFIED,), VerbForm, _ask_again,
        "The link that proves the address is sent again.", "link sent.",
        key="p",
    ),
    Verb(
        "add-files", "Add files", "cancellations.schedule_request", tuple(RequestState), AddFilesForm, _add_files,
        "They are stored with the request for good. The customer sees them as well.", "files added.",
        key="f",
    ),
)  # fmt: skip

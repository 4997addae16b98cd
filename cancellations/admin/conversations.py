"""The queue of conversations: incoming mail and undelivered messages that wait for staff."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import Truncator
from unfold.decorators import display

from accounts.desk import Verb, VerbAdmin, VerbForm, text_field
from accounts.models import User
from accounts.timeline import action_item, changed_since, entries, staff_names
from billing.models.states import IllegalTransition
from cancellations.admin.filters import Assigned, mail_workers
from cancellations.models import Conversation, Kind, Todo
from cancellations.models.states import ConversationState
from cancellations.services.common import RequestRefused
from cancellations.services.conversations import (
    PERMISSION,
    answer,
    assign,
    close,
    declare,
    file_under,
    letters_of,
    mails_of,
    reopen,
    send_again,
)
from messaging.forms import IdentifierField
from messaging.numbers import tidy_reference
from messaging.outbound.rendering import markdown_to_html
from messaging.services.inbox import html_of

S = ConversationState
WITHOUT_INCOMING_MAIL = (Todo.NOT_INFORMED, Todo.ASKED)  # opened by us, so there is no first mail


class AnswerForm(VerbForm):
    replies_to = "words"
    words = text_field("Answer", "It is sent above a quotation of the mail that it answers.")
    close = forms.BooleanField(label="Close the conversation: nothing is left to do", required=False)


class DeclareForm(VerbForm):
    account_number = IdentifierField(
        label="Account number", max_length=40, required=False, help_text="As the customer wrote it."
    )
    username = IdentifierField(max_length=150, required=False)
    kind = forms.ChoiceField(choices=Kind.choices, widget=forms.RadioSelect, initial=Kind.ORDINARY)
    requested_end = forms.DateField(
        label="Requested end date",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Leave it empty for the earliest date.",
    )


class FileForm(VerbForm):
    reference = IdentifierField(
        max_length=20,
        help_text="Such as CR-7KQ4-M9XT.",
        error_messages={"required": "Enter the reference of the request."},
    )


class CloseForm(VerbForm):
    words = text_field(
        "Result",
        "For staff only. If a message did not arrive, say how the customer was informed instead.",
        required=False,
    )


class AssignForm(VerbForm):
    to: Any = forms.ModelChoiceField(
        queryset=User.objects.none(), empty_label="Choose a person", error_messages={"required": "Choose a person."}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["to"]
        field.queryset = mail_workers().exclude(pk=self.row.assigned_to_id)


def _answer(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    answer(conversation=row, by=user, words=data["words"], close=data["close"], now=now)


def _declare(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    declare(conversation=row, by=user, now=now, **data)


def _file(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    file_under(conversation=row, by=user, reference=data["reference"], now=now)


def _close(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    close(conversation=row, by=user, words=data["words"], now=now)


def _send_again(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    send_again(conversation=row, by=user, now=now)


def _reopen(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    reopen(conversation=row, by=user, now=now)


def _claim(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    assign(conversation=row, to=user, by=user, now=now)


def _release(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    assign(conversation=row, to=None, by=user, now=now)


def _assign(row: Conversation, user: User, data: dict[str, Any], now: datetime) -> None:
    assign(conversation=row, to=data["to"], by=user, now=now)


@admin.register(Conversation)
class ConversationAdmin(VerbAdmin):
    list_display = ["reference", "since", "who", "shown_subject", "shown_todo", "about", "assignee", "shown_state"]
    list_filter = ["state", "todo", Assigned]
    search_fields = ["reference"]
    search_help_text = "Reference, e-mail address, or the reference of a request"
    sortable = ("since",)
    refusals, illegal = (RequestRefused,), (IllegalTransition,)
    replies_for = "request"
    change_form_template = "desk/conversation.html"
    verbs = (
        Verb(
            "send-again", "Send again", PERMISSION, (S.OPEN, S.WAITING), VerbForm, _send_again,
            "The message that did not arrive is sent again to the same address.", "the message is sent again.",
            applies=lambda row, user: row.todo == Todo.NOT_INFORMED,
            key="t", decides=True,
        ),
        Verb(
            "answer", "Answer", PERMISSION, tuple(S), AnswerForm, _answer,
            "It is sent to the customer by mail. Replies are filed in this conversation.", "answered.",
            applies=lambda row, user: bool(row.email) and row.todo != Todo.NOT_INFORMED,
            key="s", decides=True,
        ),
        Verb(
            "declare", "It is a cancellation", PERMISSION, tuple(S), DeclareForm, _declare,
            "The first mail becomes a cancellation request. Its time of receipt is the mail’s arrival, and it waits "
            "for the sender’s proof.", "request created.",
            applies=lambda row, user: row.todo not in WITHOUT_INCOMING_MAIL,
            key="d", decides=True,
        ),
        Verb(
            "file", "File under a request", PERMISSION, tuple(S), FileForm, _file,
            "Its mail is shown in the timeline of that request.", "filed.",
            key="f",
        ),
        Verb(
            "close", "Close", PERMISSION, (S.OPEN, S.WAITING), CloseForm, _close,
            "Nothing is left to do. A new mail reopens it.", "closed.",
            key="x", decides=True,
        ),
        Verb(
            "take-up", "Open again", PERMISSION, (S.CLOSED, S.WAITING), VerbForm, _reopen,
            "It waits for staff again.", "reopened.",
            key="o",
        ),
        Verb(
            "claim", "Claim", PERMISSION, (S.OPEN, S.WAITING), VerbForm, _claim, "It is assigned to you.",
            "assigned to you.",
            applies=lambda row, user: row.assigned_to_id is None,
            key="c", one_click=True,
        ),
        Verb(
            "release", "Release", PERMISSION, (S.OPEN, S.WAITING), VerbForm, _release, "It returns to the queue.",
            "returned to the queue.",
            applies=lambda row, user: row.assigned_to_id is not None,
            key="r", one_click=True,
        ),
        Verb(
            "assign", "Assign", PERMISSION, (S.OPEN, S.WAITING), AssignForm, _assign,
            "They find it under «assigned to me».", "assigned.",
            key="a",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        rows: QuerySet[Conversation] = super().get_queryset(request)
        return rows.select_related("request", "account", "assigned_to")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("waiting_since").asc(nulls_last=True), "-opened_at", "-id"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        if term := search_term.strip():
            by_name = Q(reference=tidy_reference(term)) | Q(about=tidy_reference(term))
            queryset = queryset.filter(by_name | Q(email__istartswith=term))
        return queryset, False

    def page_context(self, request: HttpRequest, row: Conversation) -> dict[str, Any]:
        letters = list(letters_of(row))
        mails: list[tuple[datetime, str, Any, str]]
        mails = [(message.arrived_at, "in", message, html_of(message)) for message in mails_of(row)]
        mails += [(message.created_at, "out", message, markdown_to_html(message.shown_text)) for message in letters]
        names = staff_names()
        return {
            "row": row,
            "mails": sorted(mails, key=lambda message: message[0]),
            "failed": [letter for letter in letters if letter.has_failed],
            "timeline": [action_item(entry, names) for entry in entries(row)],
        }

    def facts(self, row: Conversation) -> dict[str, str]:
        return {
            "State": str(row.get_state_display()),
            "About": row.about or "–",
            "Assigned to": str(row.assigned_to or "nobody"),
        }

    def variables(self, row: Conversation) -> tuple[str, dict[str, str]]:
        plan = row.request.subscription.plan_name if row.request and row.request.subscription else ""
        return row.language, {"name": row.name, "reference": row.about, "plan": plan}

    def what_changed(self, row: Conversation, since: int) -> list[str]:
        return changed_since(row, since)

    def waiting(self, rows: QuerySet[Conversation], user: User) -> QuerySet[Conversation]:
        mine = Q(assigned_to=user.pk) | Q(assigned_to__isnull=True)
        return rows.filter(mine, state=S.OPEN)

    @display(description="waiting since", ordering="waiting_since")
    def since(self, row: Conversation) -> str:
        at = row.waiting_since
        return f"{timezone.localtime(at):%d %b %Y, %H:%M}" if at else "–"

    @display(description="who", header=True)
    def who(self, row: Conversation) -> list[str]:
        return [row.name or row.email or "unknown", row.email if row.name else ""]

    @display(description="subject")
    def shown_subject(self, row: Conversation) -> str:
        return Truncator(row.subject).chars(70) or "(no subject)"

    @display(
        description="what to do",
        label={
            "is it a cancellation?": "warning",
            "the customer is not informed": "danger",
            "a mail that could not be read": "danger",
            "a mail that was too large": "warning",
            "takes a cancellation back": "warning",
        },
    )
    def shown_todo(self, row: Conversation) -> str:
        return row.get_todo_display()

    @display(description="assigned to")
    def assignee(self, row: Conversation) -> str:
        return str(row.assigned_to or "–")

    @display(description="state", ordering="state", label={"waits for us": "warning", "closed": "success"})
    def shown_state(self, row: Conversation) -> str:
        return row.get_state_display()

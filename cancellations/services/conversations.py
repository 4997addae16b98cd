"""Conversations with customers: answering mail, asking, filing, making requests, and undelivered messages."""

from datetime import date, datetime
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import QuerySet

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.models import Refund
from billing.models.states import IllegalTransition
from cancellations.letters.conversations import send_written
from cancellations.models import CancellationRequest, Conversation, Kind, Termination, Todo
from cancellations.models.states import ConversationState
from cancellations.queries.requests import declared
from cancellations.services.common import ANSWER, RequestRefused, accounts_at, assign_to, open_conversation
from cancellations.services.submission import declared_by_mail, submit_by_mail
from messaging.addresses import fold_address
from messaging.due import UNLIMITED, Run, Work
from messaging.models import NOT_ARRIVED, IncomingMessage, OutgoingMessage, Sort
from messaging.services import outbox

PERMISSION = ANSWER
S = ConversationState
BATCH = 20


@permitted(PERMISSION)
@transaction.atomic
def answer(*, conversation: Conversation, by: User, words: str, now: datetime, close: bool = False) -> Conversation:
    """Answers the newest mail of the conversation, in the same thread (RFC 5322, 3.6.4). Raises RequestRefused."""
    row = _locked(conversation, "answer", *S)
    if not words.strip():
        raise RequestRefused("Write the answer first.")
    if not row.email:
        raise RequestRefused("There is no address to answer to. Close the conversation, and say what you did.")
    newest = mails_of(row).exclude(sort__in=[Sort.BOUNCE, Sort.AUTOMATIC, Sort.LIST]).order_by("-arrived_at").first()
    with recorded("reply", actor="staff", by=by.pk, why=words):
        send_written("answer", row, words.strip(), now=now, answers=newest)
        _move(row, S.CLOSED if close else S.WAITING, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def ask(*, request: CancellationRequest, by: User, words: str, now: datetime) -> Conversation:
    """Asks the customer about a request in a new conversation, to which the answer returns. Raises RequestRefused."""
    if not words.strip():
        raise RequestRefused("Write the question first.")
    with recorded("ask", actor="staff", by=by.pk, why=words):
        conversation = Conversation.objects.create(
            todo=Todo.ASKED,
            state=S.WAITING,
            state_changed_at=now,
            opened_at=now,
            request=request,
            account=request.account,
            about=request.declaration,
            email=request.email_given,
            name=request.account.name if request.account else request.name_given,
            subject=request.declaration,
            language=request.language,
        )
        send_written("question", conversation, words.strip(), now=now)
    return conversation


@permitted(PERMISSION)
@transaction.atomic
def file_under(*, conversation: Conversation, by: User, reference: str, now: datetime) -> Conversation:
    """Files the conversation and its mail under the request with this reference. Raises RequestRefused."""
    row = _locked(conversation, "file", *S)
    request = declared(reference.strip().upper()).first() if reference.strip() else None
    if request is None:
        raise RequestRefused("There is no request with this reference. Check it and try again.")
    row.request, row.about = request, request.declaration
    row.account = request.account or row.account
    with recorded("file", actor="staff", by=by.pk, why=request.declaration):
        row.save(update_fields=["request", "about", "account"])
        mails_of(row).update(about=request.declaration)
        letters_of(row).update(about=request.declaration)
    return row


@permitted(PERMISSION)
@transaction.atomic
def declare(
    *,
    conversation: Conversation,
    by: User,
    now: datetime,
    account_number: str = "",
    username: str = "",
    kind: str = Kind.ORDINARY,
    requested_end: date | None = None,
) -> CancellationRequest:
    """Makes a cancellation request of the first mail of the conversation.

    Its time of receipt is the mail's arrival (policy 1.1), and the sender is asked for proof. Raises RequestRefused.
    """
    row = _locked(conversation, "declare", *S)
    if kind not in Kind.values:
        raise RequestRefused("Choose the kind of the cancellation.")
    mail = mails_of(row).filter(sort__in=["", Sort.PERSON, Sort.AUTOMATIC, Sort.LIST]).order_by("arrived_at").first()
    if mail is None or not row.email:
        raise RequestRefused("This conversation has no mail or no sender, so it cannot become a request.")
    declaration = declared_by_mail(
        mail,
        email=row.email,
        words=mail.text,
        holder=accounts_at(row.email).first(),
        account_number=account_number.strip(),
        username=username.strip(),
        kind=Kind(kind),
        requested_end=requested_end,
        language=row.language,
    )
    key = uuid5(mail.pk, f"declared {account_number.strip().upper()}")
    with recorded("declare", actor="staff", by=by.pk):
        request = submit_by_mail(declaration=declaration, submission_key=key, mail=mail, now=now)
        row.request, row.about = request, request.declaration
        row.closing_words = f"It is the cancellation {request.declaration}."
        _move(row, S.CLOSED, now)
        mails_of(row).update(about=request.declaration)
    return request


@permitted(PERMISSION)
@transaction.atomic
def close(*, conversation: Conversation, by: User, words: str, now: datetime) -> Conversation:
    """Closes the conversation. If a message did not arrive, `words` says how the customer was informed instead.

    Raises RequestRefused, IllegalTransition.
    """
    row = _locked(conversation, "close", S.OPEN, S.WAITING)
    failed_letters = [letter for letter in letters_of(row) if letter.has_failed]
    if failed_letters and not words.strip():
        raise RequestRefused("Say how the customer was informed instead: by telephone, or by another message.")
    row.closing_words = words.strip()
    with recorded("close", actor="staff", by=by.pk, why=words):
        outbox.settle(messages=failed_letters, now=now)
        _move(row, S.CLOSED, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def send_again(*, conversation: Conversation, by: User, now: datetime) -> Conversation:
    """Sends the messages that did not arrive again. Raises RequestRefused if none can be sent again."""
    row = _locked(conversation, "send again", S.OPEN, S.WAITING)
    resent = [letter for letter in letters_of(row) if outbox.send_again(message=letter, now=now)]
    if not resent:
        raise RequestRefused(
            "The link or code in the message is deleted, so it cannot be sent again. Ask for proof again instead."
        )
    with recorded("send_again", actor="staff", by=by.pk):
        _move(row, S.WAITING, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def reopen(*, conversation: Conversation, by: User, now: datetime) -> Conversation:
    """Reopens the conversation. Raises IllegalTransition."""
    row = _locked(conversation, "open again", S.CLOSED, S.WAITING)
    with recorded("take_up", actor="staff", by=by.pk):
        _move(row, S.OPEN, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def assign(*, conversation: Conversation, to: User | None, by: User, now: datetime) -> Conversation:
    """Assigns the conversation, or returns it to the queue (`to` is None). Raises RequestRefused."""
    row = _locked(conversation, "assign", S.OPEN, S.WAITING)
    assign_to(row, to=to, by=by, permission=PERMISSION)
    return row


def open_tasks_for_failed_messages(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Opens a conversation for staff for each message that did not arrive, once. Returns how many."""
    return sum(FAILED_MESSAGES.results(Run(now, seconds=seconds)))


def _failed_messages(now: datetime) -> QuerySet[OutgoingMessage]:
    return OutgoingMessage.objects.filter(NOT_ARRIVED, noticed=False).order_by("created_at", "pk")


def _open_tasks(keys: list[UUID], now: datetime) -> list[bool]:
    messages = sorted(_failed_messages(now).filter(pk__in=keys), key=lambda message: fold_address(message.recipient))
    return [_open_task(message, now) for message in messages]  # in one order of locks


def _open_task(message: OutgoingMessage, now: datetime) -> bool:
    message.noticed = True
    concerned = _request_and_language(message)
    if concerned is not None:
        request, language = concerned
        conversation = open_conversation(
            thread=message.thread,
            todo=Todo.NOT_INFORMED,
            email=fold_address(message.recipient),
            subject=message.subject,
            language=message.language or language,
            about=message.about,
            request=request,
            account=request.account if request else None,
            at=now,
            now=now,
            actor="system",
        )
        message.thread = conversation.reference
    message.save(update_fields=["noticed", "thread"])
    return concerned is not None


FAILED_MESSAGES = Work(
    name="messages.notice_failed",
    task="mail.failed",
    label="open a task for a message that did not arrive",
    due=_failed_messages,
    process=_open_tasks,
    batch=BATCH,
    order=("created_at", "pk"),
)


def _request_and_language(message: OutgoingMessage) -> tuple[CancellationRequest | None, str] | None:
    """Returns the message's request and the customer's language; None if it belongs to no case.

    Policy announcements, sign-in codes and notifications to staff open no conversation: staff see their failure
    in the list of messages.
    """
    if message.thread:
        conversation = Conversation.objects.filter(reference=message.thread).first()
        return (conversation.request, conversation.language) if conversation else (None, "en")
    request = declared(message.about).first() if message.about else None
    if request is not None:
        return request, request.language
    for rows in (Refund.objects.all(), Termination.objects.all()):
        if message.about and rows.filter(reference=message.about).exists():
            return None, message.language or "en"
    return None


def mails_of(conversation: Conversation) -> QuerySet[IncomingMessage]:
    return IncomingMessage.objects.filter(thread=conversation.reference)


def letters_of(conversation: Conversation) -> QuerySet[OutgoingMessage]:
    return OutgoingMessage.objects.filter(thread=conversation.reference)


def _locked(conversation: Conversation, verb: str, *allowed: ConversationState) -> Conversation:
    rows = Conversation.objects.select_for_update(of=("self",)).select_related("request", "account", "assigned_to")
    row = rows.get(pk=conversation.pk)
    if row.state not in allowed:
        raise IllegalTransition(reference=row.reference, state=row.state, verb=verb)
    return row


def _move(row: Conversation, state: ConversationState, now: datetime) -> None:
    if row.state != state:
        row.state, row.state_changed_at = state, now
    row.waiting_since = (row.waiting_since or now) if state == S.OPEN else None
    row.save()

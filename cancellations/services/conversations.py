"""Mail to and fro: answering, asking, filing, making a request of a mail, and messages that did not arrive."""

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
from cancellations.services.common import ANSWER, RequestRefused, accounts_at, open_conversation, put_into_hands
from cancellations.services.submission import declared_by_mail, submit_by_mail
from messaging.models import FAILED, NOT_ARRIVED, IncomingMessage, OutgoingMessage, Sort
from messaging.services import outbox

PERMISSION = ANSWER
S = ConversationState
BATCH = 100


@permitted(PERMISSION)
@transaction.atomic
def answer(*, conversation: Conversation, by: User, words: str, now: datetime, close: bool = False) -> Conversation:
    """Answers the newest mail of the conversation, threaded below it (RFC 5322, 3.6.4). Raises RequestRefused."""
    row = _locked(conversation, "answer", *S)
    if not words.strip():
        raise RequestRefused("Write the answer first.")
    if not row.email:
        raise RequestRefused("There is no address to answer to. Close it with what you did.")
    newest = mails_of(row).exclude(sort__in=[Sort.BOUNCE, Sort.AUTOMATIC, Sort.LIST]).order_by("-arrived_at").first()
    with recorded("reply", actor="staff", by=by.pk, why=words):
        send_written("answer", row, words.strip(), now=now, answers=newest)
        _move(row, S.CLOSED if close else S.WAITING, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def ask(*, request: CancellationRequest, by: User, words: str, now: datetime) -> Conversation:
    """Asks the customer about a request; the answer comes back to it. Raises RequestRefused."""
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
    """Files it under the request with this reference, with all of its mail. Raises RequestRefused."""
    row = _locked(conversation, "file", *S)
    request = declared(reference.strip().upper()).first() if reference.strip() else None
    if request is None:
        raise RequestRefused("There is no request with this reference.")
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
    """Says that the first mail of the conversation is a cancellation: a request is made of it.

    It counts from the mail's arrival (policy 1.1), has its words, and the sender is asked for proof. Raises
    RequestRefused.
    """
    row = _locked(conversation, "declare", *S)
    if kind not in Kind.values:
        raise RequestRefused("Choose the kind of the cancellation.")
    mail = mails_of(row).filter(sort__in=["", Sort.PERSON, Sort.AUTOMATIC, Sort.LIST]).order_by("arrived_at").first()
    if mail is None or not row.email:
        raise RequestRefused("There is no mail here, or no sender, of which a request could be made.")
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
    """Nothing is left to do. Where a message did not arrive, the words say how the customer was informed instead.

    Raises RequestRefused, IllegalTransition.
    """
    row = _locked(conversation, "close", S.OPEN, S.WAITING)
    failed = [one for one in letters_of(row) if one.has_failed]
    if failed and not words.strip():
        raise RequestRefused("Say how the customer was informed instead: by telephone, or by another message.")
    row.closing_words = words.strip()
    with recorded("close", actor="staff", by=by.pk, why=words):
        outbox.settle(messages=failed, now=now)
        _move(row, S.CLOSED, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def send_again(*, conversation: Conversation, by: User, now: datetime) -> Conversation:
    """Sends what did not arrive once more. Raises RequestRefused where nothing can be sent again."""
    row = _locked(conversation, "send again", S.OPEN, S.WAITING)
    sent = [one for one in letters_of(row) if outbox.send_again(message=one, now=now)]
    if not sent:
        raise RequestRefused("What did not arrive held a link or a code that is gone. Ask for proof again instead.")
    with recorded("send_again", actor="staff", by=by.pk):
        _move(row, S.WAITING, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def take_up(*, conversation: Conversation, by: User, now: datetime) -> Conversation:
    """Opens it again. Raises IllegalTransition."""
    row = _locked(conversation, "open again", S.CLOSED, S.WAITING)
    with recorded("take_up", actor="staff", by=by.pk):
        _move(row, S.OPEN, now)
    return row


@permitted(PERMISSION)
@transaction.atomic
def hand_to(*, conversation: Conversation, to: User | None, by: User, now: datetime) -> Conversation:
    """Puts it into somebody's hands, or back into the queue (`to` is None). Raises RequestRefused."""
    row = _locked(conversation, "assign", S.OPEN, S.WAITING)
    put_into_hands(row, to=to, by=by, permission=PERMISSION)
    return row


def notice_failed(*, now: datetime) -> int:
    """What did not arrive becomes a task for staff: the customer is not informed. Returns how many did.

    Each message is a transaction of its own, and is told of once.
    """
    failed = OutgoingMessage.objects.filter(NOT_ARRIVED, noticed=False)
    keys = list(failed.order_by("created_at").values_list("pk", flat=True)[:BATCH])
    return sum(_notice(key, now) for key in keys)


def _notice(key: UUID, now: datetime) -> bool:
    with transaction.atomic():
        failed = OutgoingMessage.objects.filter(state__in=FAILED, noticed=False)
        message = failed.select_for_update(skip_locked=True).filter(pk=key).first()
        if message is None:
            return False
        message.noticed = True
        known = _concerned(message)
        if known is not None:
            request, language = known
            conversation = open_conversation(
                thread=message.thread,
                todo=Todo.NOT_INFORMED,
                email=message.recipient.lower(),
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
    return known is not None


def _concerned(message: OutgoingMessage) -> tuple[CancellationRequest | None, str] | None:
    """The request that the message tells of, and the customer's language; None where no case is concerned.

    Announcements of the policy, codes and word to staff make no task: they are seen among the messages.
    """
    if message.thread:
        found = Conversation.objects.filter(reference=message.thread).first()
        return (found.request, found.language) if found else (None, "en")
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
    found = rows.get(pk=conversation.pk)
    if found.state not in allowed:
        raise IllegalTransition(reference=found.reference, state=found.state, verb=verb)
    return found


def _move(row: Conversation, state: ConversationState, now: datetime) -> None:
    if row.state != state:
        row.state, row.state_changed_at = state, now
    row.waiting_since = (row.waiting_since or now) if state == S.OPEN else None
    row.save()

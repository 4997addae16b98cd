"""Queues and delivers outgoing messages. Only this module writes to the outbox."""

import logging
import smtplib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Upper

from messaging.addresses import our_message, reply_address
from messaging.due import UNLIMITED, Run, Work
from messaging.models import FAILED, NOT_ARRIVED, IncomingMessage, MessageState, OutgoingMessage, Priority
from messaging.outbound.rendering import Rendered, Value, render
from messaging.text import on_one_line, replace_unkeepable
from messaging.waking import wake
from messaging.wording import active_language

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=2)
BATCH = 10
BATCH_SECONDS = 30  # short enough that the slowest last message (four times EMAIL_TIMEOUT) ends within the lease
RETRY_AFTER = tuple(
    timedelta(seconds=s) for s in (10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14400, 28800, 43200, 57600, 86400)
)  # nearly three days (RFC 5321, 4.5.4.1)
SERVER_PAUSE = timedelta(seconds=30)
HOUR = timedelta(hours=1)
REPORTED_WITHIN = timedelta(days=7)
WIPED = "(Held a code or a proving link; removed once sent.)"
# Proofs and receipts leave first, like codes and links; what goes to many at once leaves last
PRIORITIES = {
    "received": Priority.FIRST,
    "policy_changed": Priority.BULK,
    "renewal_reminder": Priority.BULK,
    "staff_digest": Priority.BULK,
}
BY_PEOPLE = ("answer", "question")  # written by staff, so without the header «Auto-Submitted»


def queue_message(
    *,
    kind: str,
    recipient: str,
    context: Mapping[str, Value],
    now: datetime,
    about: str = "",
    thread: str = "",
    answers: IncomingMessage | None = None,
    holds_secret: bool = False,
    pause: timedelta = timedelta(0),
) -> OutgoingMessage:
    """Renders templates/messages/<language>/<kind>.md in the active language and queues the message.

    `about` is the reference that the message is about, `thread` the conversation that it belongs to, `answers` the
    mail that it replies to. It leaves after the pause, within which `hold_back` can stop it.
    """
    return queue_rendered(
        kind=kind,
        recipient=recipient,
        rendered=render(kind, context),
        now=now,
        about=about,
        thread=thread,
        answers=answers,
        holds_secret=holds_secret,
        pause=pause,
    )


def queue_rendered(
    *,
    kind: str,
    recipient: str,
    rendered: Rendered,
    now: datetime,
    about: str = "",
    thread: str = "",
    answers: IncomingMessage | None = None,
    holds_secret: bool = False,
    pause: timedelta = timedelta(0),
) -> OutgoingMessage:
    in_reply_to = answers.message_id if answers else ""
    message = OutgoingMessage.objects.create(
        kind=kind,
        about=about,
        thread=thread,
        recipient=recipient,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        language=active_language(),
        in_reply_to=in_reply_to,
        references=[*answers.references[-20:], in_reply_to] if answers and in_reply_to else [],
        holds_secret=holds_secret,
        priority=Priority.FIRST if holds_secret else PRIORITIES.get(kind, Priority.NORMAL),
        due_at=now + pause,
        created_at=now,
    )
    wake("messaging.deliver")
    return message


def hold_back(*, kind: str, about: str, names: str, now: datetime) -> int:
    """Deletes messages of this kind whose pause is not over and whose text has `names`; returns how many."""
    waiting = OutgoingMessage.objects.filter(kind=kind, about=about, state=MessageState.PENDING, due_at__gt=now)
    keys = waiting.filter(attempts=0, text__contains=names).select_for_update().values_list("pk", flat=True)
    return OutgoingMessage.objects.filter(pk__in=list(keys)).delete()[0]


def deliver_due(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Sends due messages; returns how many were sent. Several workers can run at once.

    Each batch is leased in its own transaction before the mail server is called. If a worker dies in between, the
    lease runs out and the message is sent again, under the same Message-ID.
    """
    sent, run = 0, Run(now, seconds=seconds)
    for batch in DELIVERY.results(run):
        count, is_server_up = _deliver_batch(batch, run)
        sent += count
        if not is_server_up:
            break
    return sent


def send_again(*, message: OutgoingMessage, now: datetime) -> bool:
    """Queues a failed message again; False if it has not failed, or if its secret text was removed."""
    failed = OutgoingMessage.objects.filter(pk=message.pk, state__in=FAILED).exclude(text=WIPED)
    queued = failed.update(state=MessageState.PENDING, due_at=now, attempts=0, noticed=False, settled_at=None)
    wake("messaging.deliver")
    return queued == 1


def record_bounce(
    *, message_id: str, recipient: str, words: str, now: datetime, reference: str = "", is_from_provider: bool = False
) -> OutgoingMessage | None:
    """Records that a mail server returned a message. Returns the message; None if it is unclear, or not one of ours.

    Anybody can send a report that names a customer's address. So it has to hold what only the recipient of the
    message can have: its Message-ID, or the reply address with the signed `reference`. Then it is the newest message
    about that to the recipient within a week. A report of our own mail provider needs no more than the recipient.
    """
    sent = OutgoingMessage.objects.filter(state=MessageState.SENT)
    if (key := our_message(message_id)) is not None:
        message = sent.filter(pk=key).first() or OutgoingMessage.objects.filter(pk=key).first()
    elif message_id or not recipient:
        return None
    else:
        lately = sent.filter(recipient__same_address=recipient, sent_at__gt=now - REPORTED_WITHIN)
        if not is_from_provider:
            lately = lately.filter(Q(about=reference) | Q(thread=reference)) if reference else lately.none()
        message = lately.order_by("-sent_at").first()
    if message is not None:
        sent.filter(pk=message.pk).update(
            state=MessageState.BOUNCED, last_error=f"It came back: {words}"[:2000], noticed=False, settled_at=None
        )
    return message


def latest_to(recipient: str, *, now: datetime) -> OutgoingMessage | None:
    """Returns the newest message that went to the address within a week."""
    if not recipient:
        return None
    sent = OutgoingMessage.objects.filter(recipient__same_address=recipient, sent_at__gt=now - REPORTED_WITHIN)
    return sent.order_by("-sent_at").first()


def settle(*, messages: Iterable[OutgoingMessage], now: datetime) -> int:
    """Records that staff informed the recipients of these failed messages in another way; returns how many."""
    keys = [message.pk for message in messages]
    failed = OutgoingMessage.objects.filter(NOT_ARRIVED, pk__in=keys)
    return failed.update(settled_at=now)


def _due_messages(now: datetime) -> QuerySet[OutgoingMessage]:
    return OutgoingMessage.objects.filter(state=MessageState.PENDING, due_at__lte=now).order_by("priority", "due_at")


def _lease(keys: list[UUID], now: datetime) -> list[list[OutgoingMessage]]:
    """Leases the batch. Messages above the hourly limit of an address wait."""
    allowed = _within_limit(list(_due_messages(now).filter(pk__in=keys)), now)
    OutgoingMessage.objects.filter(pk__in=[message.pk for message in allowed]).update(due_at=now + LEASE)
    return [allowed]


def _within_limit(claimed: list[OutgoingMessage], now: datetime) -> list[OutgoingMessage]:
    """Returns the messages within MAIL_PER_ADDRESS_HOUR, and postpones the others.

    Codes and proving links always pass: somebody waits for them, and they have limits of their own.
    """
    most = settings.MAIL_PER_ADDRESS_HOUR
    addresses = {message.recipient.upper() for message in claimed if not message.holds_secret}
    if not most or not addresses:
        return claimed
    lately = OutgoingMessage.objects.annotate(address=Upper("recipient")).filter(
        address__in=addresses, sent_at__gt=now - HOUR
    )
    sent = {row["address"]: row for row in lately.values("address").annotate(count=Count("pk"), first=Min("sent_at"))}
    counts = Counter({address: row["count"] for address, row in sent.items()})
    allowed = []
    for message in claimed:
        address = message.recipient.upper()
        if message.holds_secret or counts[address] < most:
            counts[address] += not message.holds_secret
            allowed.append(message)
            continue
        first = sent[address]["first"] if address in sent else now
        OutgoingMessage.objects.filter(pk=message.pk).update(due_at=max(first + HOUR, now + timedelta(minutes=1)))
    return allowed


def _deliver_batch(claimed: list[OutgoingMessage], run: Run) -> tuple[int, bool]:
    """Returns (how many were sent, whether the server is up). Messages that were not tried stay due, uncounted."""
    sent, batch = 0, Run(run.now, seconds=BATCH_SECONDS)
    firsts = _first_in_thread(claimed)
    connection: BaseEmailBackend | None = None
    for number, message in enumerate(claimed):
        try:
            if connection is None:
                connection = get_connection()
                connection.open()
        except OSError as error:  # smtplib's errors are among them
            log.warning("The mail server cannot be reached: %s", error)
            _release(claimed[number:], run.now + SERVER_PAUSE, f"{type(error).__name__}: {error}")
            return sent, False
        is_sent = False
        with DELIVERY.setting_aside(message.pk, run):
            is_sent = _deliver(message, firsts.get(message.pk), connection, run.now)
        sent += is_sent
        if not is_sent:  # some errors end the connection, so the next message gets a new one
            _close(connection)
            connection = None
        if batch.is_over:
            _release(claimed[number + 1 :], run.now)
            break
    if connection is not None:
        _close(connection)
    return sent, True


def _close(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except OSError as error:
        log.info("The mail server ended the connection first: %s", error)


def _release(messages: list[OutgoingMessage], due_at: datetime, why: str = "") -> None:
    waiting = OutgoingMessage.objects.filter(pk__in=[message.pk for message in messages], state=MessageState.PENDING)
    waiting.update(due_at=due_at, **({"last_error": why[:2000]} if why else {}))


def _first_in_thread(messages: list[OutgoingMessage]) -> dict[UUID, OutgoingMessage]:
    """Returns, for each of the messages that answers no mail, the first one about the same to the same address."""
    earlier = OutgoingMessage.objects.annotate(address=Upper("recipient")).filter(
        about=OuterRef("about"), recipient=OuterRef("recipient"), address=Upper(OuterRef("recipient"))
    )
    first = Subquery(earlier.order_by("created_at", "written_at").values("pk")[:1])
    later = OutgoingMessage.objects.filter(pk__in=[message.pk for message in messages], in_reply_to="")
    keys = dict(later.exclude(about="").annotate(first=first).values_list("pk", "first"))
    rows = OutgoingMessage.objects.only("references").in_bulk(
        list({first for key, first in keys.items() if first != key})
    )
    return {key: rows[first] for key, first in keys.items() if first in rows and first != key}


def _deliver(
    message: OutgoingMessage, first: OutgoingMessage | None, connection: BaseEmailBackend, now: datetime
) -> bool:
    try:
        _compose(message, first, connection).send()
    except Exception as error:  # one bad address or server error must not hold up the messages behind it
        _record_failure(message, error, now)
        return False
    pending = OutgoingMessage.objects.filter(pk=message.pk, state=MessageState.PENDING)
    wiped = {"text": WIPED, "html": ""} if message.holds_secret else {}
    pending.update(state=MessageState.SENT, sent_at=now, attempts=message.attempts + 1, last_error="", **wiped)
    return True


def _compose(
    message: OutgoingMessage, first: OutgoingMessage | None, connection: BaseEmailBackend
) -> EmailMultiAlternatives:
    """`first` is the first mail of the thread, if the message answers none (RFC 5322, 3.6.4)."""
    headers = {"Message-ID": message.message_id}
    if message.kind not in BY_PEOPLE:  # RFC 3834, 3.1.7 and 5
        headers["Auto-Submitted"] = "auto-replied" if message.in_reply_to else "auto-generated"
        headers["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    if message.in_reply_to:
        headers |= {"In-Reply-To": message.in_reply_to, "References": " ".join(message.references)}
    elif first is not None:
        headers["References"] = " ".join([*first.references, first.message_id])
    if address := reply_address(message.thread) or reply_address(message.about):
        headers["Reply-To"] = address
    mail = EmailMultiAlternatives(
        on_one_line(message.subject), message.text, to=[message.recipient], connection=connection, headers=headers
    )
    if message.html:
        mail.attach_alternative(message.html, "text/html")
    return mail


def _record_failure(message: OutgoingMessage, error: Exception, now: datetime) -> None:
    attempts = message.attempts
    log.warning("Message %s (%s) failed, attempt %d: %s", message.pk, message.kind, attempts + 1, error)
    pending = OutgoingMessage.objects.filter(pk=message.pk, state=MessageState.PENDING)
    values = {"attempts": attempts + 1, "last_error": replace_unkeepable(f"{type(error).__name__}: {error}")[:2000]}
    if attempts < len(RETRY_AFTER) and not _is_final(error):
        pending.update(due_at=now + RETRY_AFTER[attempts], **values)
    else:
        pending.update(state=MessageState.DEAD, **values)


def _is_final(error: Exception) -> bool:
    """Whether trying again is useless: a permanent reply (RFC 5321, 4.2.1), or an address no server can accept."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(500 <= code < 600 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPDataError):
        return 500 <= error.smtp_code < 600
    # The server lacks what the address needs, or the address cannot be written in a header
    return isinstance(error, smtplib.SMTPNotSupportedError | ValueError)


DELIVERY = Work(
    name="messages.deliver",
    task="messaging.deliver",
    label="send a message",
    due=_due_messages,
    process=_lease,
    batch=BATCH,
)

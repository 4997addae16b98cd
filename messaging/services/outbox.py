"""Writing messages and delivering them. The only writers of the outbox."""

import logging
import smtplib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Count, Min
from django.db.models.functions import Upper

from messaging.addresses import our_message, reply_address
from messaging.models import FAILED, NOT_ARRIVED, IncomingMessage, MessageState, OutgoingMessage
from messaging.outbound.rendering import Rendered, Value, render
from messaging.runs import Run
from messaging.waking import wake
from messaging.wording import active_language

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=2)
BATCH = 10
BATCH_SECONDS = 30  # with the slowest last message (four commands of EMAIL_TIMEOUT) still within the lease
RUN_SECONDS = 150
RETRY_AFTER = tuple(
    timedelta(seconds=s) for s in (10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14400, 28800, 43200, 57600, 86400)
)  # nearly three days (RFC 5321, 4.5.4.1)
SERVER_PAUSE = timedelta(seconds=30)
HOUR = timedelta(hours=1)
REPORTED_WITHIN = timedelta(days=7)
WIPED = "(Held a code or a proving link; removed once sent.)"
BY_PEOPLE = ("answer", "question")  # written by somebody of staff, so not «Auto-Submitted»


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
) -> OutgoingMessage:
    """Writes one message of the kind (templates/messages/<language>/<kind>.md), in the active language.

    `about` is the reference that it tells of, `thread` the conversation that it belongs to, `answers` the mail to
    which it replies.
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
) -> OutgoingMessage:
    replied = answers.message_id if answers else ""
    message = OutgoingMessage.objects.create(
        kind=kind,
        about=about,
        thread=thread,
        recipient=recipient,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        language=active_language(),
        in_reply_to=replied,
        references=[*answers.references[-20:], replied] if answers and replied else [],
        holds_secret=holds_secret,
        due_at=now,
        created_at=now,
    )
    wake("messaging.deliver")
    return message


def deliver_due(*, now: datetime) -> int:
    """Sends what is due, several workers at once if need be, and returns how many were sent.

    A row is leased in a transaction of its own before the mail server is called. A worker that dies in
    between leaves a row whose lease runs out: it is sent again, under the same Message-ID. Ends after some
    minutes, so that no run is cut off in the middle; what is left then is due for the next.
    """
    sent, run = 0, Run(now, seconds=RUN_SECONDS)
    while claimed := _claim(run.now):
        count, goes_on = _deliver_batch(claimed, run)
        sent += count
        if not goes_on:
            break
        if run.is_over:
            wake("messaging.deliver")
            break
    return sent


def send_again(*, message: OutgoingMessage, now: datetime) -> bool:
    """Puts a message that failed back into the queue; False where it has not failed, or held a secret that is gone."""
    failed = OutgoingMessage.objects.filter(pk=message.pk, state__in=FAILED).exclude(text=WIPED)
    revived = failed.update(state=MessageState.PENDING, due_at=now, attempts=0, noticed=False, settled_at=None)
    wake("messaging.deliver")
    return revived == 1


def note_bounce(*, message_id: str, recipient: str, words: str, now: datetime) -> OutgoingMessage | None:
    """A mail server reports that a message did not arrive; returns the message, None where it is none of ours.

    Without a Message-ID of ours, the newest one to that recipient within a week is meant.
    """
    sent = OutgoingMessage.objects.filter(state=MessageState.SENT)
    if (key := our_message(message_id)) is not None:
        found = sent.filter(pk=key).first() or OutgoingMessage.objects.filter(pk=key).first()
    elif message_id or not recipient:
        return None
    else:
        lately = sent.filter(recipient__iexact=recipient, sent_at__gt=now - REPORTED_WITHIN)
        found = lately.order_by("-sent_at").first()
    if found is not None:
        sent.filter(pk=found.pk).update(
            state=MessageState.BOUNCED, last_error=f"It came back: {words}"[:2000], noticed=False, settled_at=None
        )
    return found


def settle(*, messages: Iterable[OutgoingMessage], now: datetime) -> int:
    """Somebody of staff says that who these were for was informed otherwise."""
    keys = [one.pk for one in messages]
    failed = OutgoingMessage.objects.filter(NOT_ARRIVED, pk__in=keys)
    return failed.update(settled_at=now)


def _claim(now: datetime) -> list[OutgoingMessage]:
    """Leases a batch. What would be too much for one address waits until it is not."""
    while True:
        with transaction.atomic():
            due = OutgoingMessage.objects.filter(state=MessageState.PENDING, due_at__lte=now).order_by("due_at")
            claimed = list(due.select_for_update(skip_locked=True)[:BATCH])
            allowed = _within_limit(claimed, now)
            OutgoingMessage.objects.filter(pk__in=[one.pk for one in allowed]).update(due_at=now + LEASE)
        if allowed or not claimed:
            return allowed


def _within_limit(claimed: list[OutgoingMessage], now: datetime) -> list[OutgoingMessage]:
    """Codes and proving links have limits of their own, and somebody waits for them."""
    most = settings.MAIL_PER_ADDRESS_HOUR
    addresses = {one.recipient.upper() for one in claimed if not one.holds_secret}
    if not most or not addresses:
        return claimed
    lately = OutgoingMessage.objects.annotate(address=Upper("recipient")).filter(
        address__in=addresses, sent_at__gt=now - HOUR
    )
    told = {row["address"]: row for row in lately.values("address").annotate(count=Count("pk"), first=Min("sent_at"))}
    counts = Counter({address: row["count"] for address, row in told.items()})
    allowed = []
    for one in claimed:
        address = one.recipient.upper()
        if one.holds_secret or counts[address] < most:
            counts[address] += not one.holds_secret
            allowed.append(one)
            continue
        first = told[address]["first"] if address in told else now
        OutgoingMessage.objects.filter(pk=one.pk).update(due_at=max(first + HOUR, now + timedelta(minutes=1)))
    return allowed


def _deliver_batch(claimed: list[OutgoingMessage], run: Run) -> tuple[int, bool]:
    """(how many were sent, whether the server is there). What was not tried is due again, and counts no attempt."""
    sent, batch = 0, Run(run.now, seconds=BATCH_SECONDS)
    connection: BaseEmailBackend | None = None
    for number, message in enumerate(claimed):
        try:
            if connection is None:
                connection = get_connection()
                connection.open()
        except OSError as error:  # smtplib's errors are among them
            log.warning("The mail server cannot be reached: %s", error)
            _give_back(claimed[number:], run.now + SERVER_PAUSE, f"{type(error).__name__}: {error}")
            return sent, False
        moment = run.now
        trouble = _deliver(message, connection, moment)
        sent += trouble is None
        if trouble is not None:  # after some answers the connection is gone, and the next message needs another
            _close(connection)
            connection = None
        if batch.is_over:
            _give_back(claimed[number + 1 :], moment)
            break
    if connection is not None:
        _close(connection)
    return sent, True


def _close(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except OSError as error:
        log.info("The mail server ended the connection first: %s", error)


def _give_back(messages: list[OutgoingMessage], due_at: datetime, why: str = "") -> None:
    waiting = OutgoingMessage.objects.filter(pk__in=[one.pk for one in messages], state=MessageState.PENDING)
    waiting.update(due_at=due_at, **({"last_error": why[:2000]} if why else {}))


def _deliver(message: OutgoingMessage, connection: BaseEmailBackend, now: datetime) -> Exception | None:
    try:
        _composed(message, connection).send()
    except Exception as error:  # one bad address or a server's mood must not hold up the rows behind it
        _note_failure(message, error, now)
        return error
    pending = OutgoingMessage.objects.filter(pk=message.pk, state=MessageState.PENDING)
    wiped = {"text": WIPED, "html": ""} if message.holds_secret else {}
    pending.update(state=MessageState.SENT, sent_at=now, attempts=message.attempts + 1, last_error="", **wiped)
    return None


def _composed(message: OutgoingMessage, connection: BaseEmailBackend) -> EmailMultiAlternatives:
    headers = {"Message-ID": message.message_id}
    if message.kind not in BY_PEOPLE:  # RFC 3834, 3.1.7 and 5
        headers["Auto-Submitted"] = "auto-replied" if message.in_reply_to else "auto-generated"
        headers["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    if message.in_reply_to:
        headers |= {"In-Reply-To": message.in_reply_to, "References": " ".join(message.references)}
    if address := reply_address(message.thread) or reply_address(message.about):
        headers["Reply-To"] = address
    mail = EmailMultiAlternatives(
        message.subject, message.text, to=[message.recipient], connection=connection, headers=headers
    )
    if message.html:
        mail.attach_alternative(message.html, "text/html")
    return mail


def _note_failure(message: OutgoingMessage, error: Exception, now: datetime) -> None:
    failed = message.attempts
    log.warning("Message %s (%s) failed, attempt %d: %s", message.pk, message.kind, failed + 1, error)
    pending = OutgoingMessage.objects.filter(pk=message.pk, state=MessageState.PENDING)
    noted = {"attempts": failed + 1, "last_error": f"{type(error).__name__}: {error}"[:2000]}
    if failed < len(RETRY_AFTER) and not _is_final(error):
        pending.update(due_at=now + RETRY_AFTER[failed], **noted)
    else:
        pending.update(state=MessageState.DEAD, **noted)


def _is_final(error: Exception) -> bool:
    """Whether the server said that trying again is of no use (RFC 5321, 4.2.1), or no server will ever take it."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(500 <= code < 600 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPDataError):
        return 500 <= error.smtp_code < 600
    return isinstance(error, ValueError)  # such as an address that cannot be written in a header

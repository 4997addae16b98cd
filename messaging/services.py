"""Writing messages and delivering them. The only writers of the outbox."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

from messaging.models import MessageState, OutgoingMessage
from messaging.rendering import Rendered, Value, render
from messaging.waking import wake

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=5)
BATCH = 20
RETRY_AFTER = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120, 480, 960))
WIPED = "(Held a code or a proving link; removed once sent.)"


def queue_message(
    *,
    kind: str,
    recipient: str,
    context: Mapping[str, Value],
    now: datetime,
    about: str = "",
    holds_secret: bool = False,
) -> OutgoingMessage:
    """Writes one message of the kind (templates/messages/<language>/<kind>.md), in the active language."""
    rendered = render(kind, context)
    return queue_rendered(
        kind=kind, recipient=recipient, rendered=rendered, now=now, about=about, holds_secret=holds_secret
    )


def queue_rendered(
    *, kind: str, recipient: str, rendered: Rendered, now: datetime, about: str = "", holds_secret: bool = False
) -> OutgoingMessage:
    message = OutgoingMessage.objects.create(
        kind=kind,
        about=about,
        recipient=recipient,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        holds_secret=holds_secret,
        due_at=now,
        created_at=now,
    )
    wake("messaging.deliver")
    return message


def deliver_due(*, now: datetime) -> int:
    """Sends what is due, several workers at once if need be, and returns how many were sent.

    A row is leased in a transaction of its own before the mail server is called. A worker that dies in
    between leaves a row whose lease runs out: it is sent again, under the same Message-ID.
    """
    sent = 0
    while claimed := _claim(now):
        connection = get_connection()
        try:
            connection.open()
        except OSError as error:  # smtplib's errors are among them; what else is due waits for the next tick
            for message in claimed:
                _note_failure(message, error, now)
            return sent
        try:
            for message in claimed:
                sent += _deliver(message, connection, now)
        finally:
            connection.close()
    return sent


def send_again(*, message: OutgoingMessage, now: datetime) -> bool:
    """Puts a message that was given up back into the queue; False where it is not given up any more."""
    dead = OutgoingMessage.objects.filter(pk=message.pk, state=MessageState.DEAD)
    revived = dead.update(state=MessageState.PENDING, due_at=now, attempts=0)
    wake("messaging.deliver")
    return revived == 1


def _claim(now: datetime) -> list[OutgoingMessage]:
    with transaction.atomic():
        due = OutgoingMessage.objects.filter(state=MessageState.PENDING, due_at__lte=now).order_by("due_at")
        claimed = list(due.select_for_update(skip_locked=True)[:BATCH])
        OutgoingMessage.objects.filter(pk__in=[message.pk for message in claimed]).update(due_at=now + LEASE)
    return claimed


def _deliver(message: OutgoingMessage, connection: BaseEmailBackend, now: datetime) -> bool:
    mail = EmailMultiAlternatives(
        message.subject,
        message.text,
        to=[message.recipient],
        connection=connection,
        headers={"Message-ID": message.message_id, "Auto-Submitted": "auto-generated"},  # RFC 3834
    )
    if message.html:
        mail.attach_alternative(message.html, "text/html")
    try:
        mail.send()
    except Exception as error:  # one bad address or a server's mood must not hold up the rows behind it
        _note_failure(message, error, now)
        return False
    pending = OutgoingMessage.objects.filter(pk=message.pk, state=MessageState.PENDING)
    wiped = {"text": WIPED, "html": ""} if message.holds_secret else {}
    pending.update(state=MessageState.SENT, sent_at=now, attempts=message.attempts + 1, last_error="", **wiped)
    return True


def _note_failure(message: OutgoingMessage, error: Exception, now: datetime) -> None:
    failed = message.attempts
    log.warning("Message %s (%s) failed, attempt %d: %s", message.pk, message.kind, failed + 1, error)
    pending = OutgoingMessage.objects.filter(pk=message.pk, state=MessageState.PENDING)
    noted = {"attempts": failed + 1, "last_error": f"{type(error).__name__}: {error}"[:2000]}
    if failed < len(RETRY_AFTER):
        pending.update(due_at=now + RETRY_AFTER[failed], **noted)
    else:
        pending.update(state=MessageState.DEAD, **noted)

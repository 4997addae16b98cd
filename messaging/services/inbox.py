"""Mail that comes in: stored as it came, with its time of arrival, before anybody looks at it."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils.safestring import mark_safe

from messaging.addresses import is_ours, our_message
from messaging.inbound.authentication import traced_by, verdict
from messaging.inbound.mailboxes import TROUBLE, Folder, Listed, Source, opened, source_of
from messaging.inbound.mime import File, Mail, Unreadable, parse, safe_html
from messaging.inbound.sorting import sort_of
from messaging.models import Checked, Door, IncomingMessage, Mailbox, ReadState
from messaging.runs import Run
from messaging.waking import wake

log = logging.getLogger(__name__)
# Only so that workers do not wait for each other: what holds is the unique UID, and the lock on the row that is read
LEASE = READING_LEASE = timedelta(minutes=1)
RUN_SECONDS = 120
KEPT_OF_TOO_LARGE = 1_000_000
CLOCKS_DIFFER = timedelta(minutes=5)
MOST_ATTEMPTS = 10
READ = "mail.read"


def store(
    *,
    raw: bytes,
    arrived_at: datetime,
    door: Door,
    now: datetime,
    size: int | None = None,
    mailbox: Mailbox | None = None,
    uid_validity: int | None = None,
    uid: int | None = None,
) -> IncomingMessage:
    """Keeps a mail as it came. Of what is larger than INBOUND_MOST_BYTES, the beginning."""
    size = len(raw) if size is None else size
    message = IncomingMessage.objects.create(
        door=door,
        mailbox=mailbox,
        uid_validity=uid_validity,
        uid=uid,
        arrived_at=arrived_at,
        stored_at=now,
        size=size,
        raw=raw if size <= settings.INBOUND_MOST_BYTES else raw[:KEPT_OF_TOO_LARGE],
        due_at=now,
    )
    wake(READ)
    return message


def hand_over(*, raw: bytes, door: Door, now: datetime) -> IncomingMessage:
    """Keeps a mail that our mail server, or its provider, hands over after it took it."""
    return store(raw=raw, arrived_at=_received_by_us(raw, now), door=door, now=now)


def fetch_all(*, now: datetime) -> int:
    """Reads what is new in each mailbox of the settings, first the one that was read longest ago.

    Returns how many mails were stored. Ends after some minutes, so that no run is cut off in the middle.
    """
    sources = {source.name: source for source in map(source_of, settings.INBOUND_MAILBOXES)}
    known = dict(Mailbox.objects.filter(name__in=sources).values_list("name", "read_at"))
    long_ago = datetime.min.replace(tzinfo=UTC)
    stored, run = 0, Run(now, seconds=RUN_SECONDS)
    for name in sorted(sources, key=lambda one: known.get(one) or long_ago):
        stored += fetch(source=sources[name], now=now)
        if run.is_over:
            wake("messaging.fetch")
            break
    return stored


def fetch(*, source: Source, now: datetime) -> int:
    """Reads what is new in one mailbox. Its trouble is noted with it, and holds up no other mailbox.

    Each mail is stored in a transaction of its own, together with how far the mailbox is read: a worker that is
    killed leaves nothing half done, and another takes over after some minutes. Two at once store nothing twice.
    """
    mailbox, _ = Mailbox.objects.get_or_create(name=source.name)
    if not _lease(mailbox, now):
        return 0
    stored = 0
    try:
        with opened(source) as folder:
            for count in _read(folder, mailbox, now):
                stored += count
    except TROUBLE as error:
        log.warning("The mailbox %s cannot be read: %s", mailbox, error)
        told = Mailbox.objects.filter(pk=mailbox.pk)
        told.filter(failing_since__isnull=True).update(failing_since=now)
        told.update(leased_until=None, last_error=f"{type(error).__name__}: {error}"[:2000])
    else:
        Mailbox.objects.filter(pk=mailbox.pk).update(leased_until=None, read_at=now, failing_since=None, last_error="")
    return stored


def claim_waiting(*, now: datetime) -> IncomingMessage | None:
    """Leases the mail that waits longest; None where none does. One that is claimed too often is left for staff."""
    with transaction.atomic():
        waiting = IncomingMessage.objects.filter(state=ReadState.WAITING, due_at__lte=now)
        message = waiting.order_by("arrived_at", "id").select_for_update(skip_locked=True).first()
        if message is not None:
            message.attempts, message.due_at = message.attempts + 1, now + READING_LEASE
            message.save(update_fields=["attempts", "due_at"])
    return message


def take_apart(message: IncomingMessage) -> Mail:
    """Reads the mail and writes what it says into the row, which is not saved. Raises mime.Unreadable."""
    mail = _parsed(message)
    message.message_id, message.digest = mail.message_id, mail.digest
    message.in_reply_to, message.references = mail.in_reply_to, list(mail.references)
    message.sender, message.sender_name = mail.sender, mail.sender_name
    message.subject, message.text = mail.subject, mail.text
    message.files = [[one.name, one.media_type, len(one.content)] for one in mail.files]
    message.remarks = list(mail.remarks)
    own = is_ours(mail.sender) or our_message(mail.message_id) is not None
    message.sort = sort_of(mail, own=own)
    found, words = verdict(mail, own_servers=settings.MAIL_SERVERS)
    message.checked = Checked(found)
    if words:
        message.remarks.append(f"Our mail server says: {words}")
    return mail


def earlier_twin(message: IncomingMessage) -> IncomingMessage | None:
    """The same mail that came before, by another way or again: the same Message-ID and the same content.

    Neither alone will do: a Message-ID can be copied, and two people can write the same words. Holds a lock on
    the Message-ID, so that of two that are read at the same moment one is the first.
    """
    known = message.message_id or message.digest
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"mail {known}"])
    same = IncomingMessage.objects.filter(message_id=message.message_id, digest=message.digest, state=ReadState.READ)
    if not message.message_id:  # the same second at our server stands in for the name that the mail lacks
        same = same.filter(arrived_at=message.arrived_at)
    return same.exclude(pk=message.pk).order_by("stored_at", "id").first()


def _received_by_us(raw: bytes, now: datetime) -> datetime:
    """When our mail server took a mail that was handed over later: by the newest trace, if it is our server's."""
    try:
        newest = next((value for _, value in parse(raw).ordered("Received")), "")
        at = parsedate_to_datetime(newest.rpartition(";")[2].strip())
    except (Unreadable, ValueError, TypeError, IndexError):  # kept all the same; staff look at it
        return now
    if not traced_by(newest, own_servers=settings.MAIL_SERVERS):
        return now
    return min(at, now) if at.tzinfo is not None else now


def _parsed(message: IncomingMessage) -> Mail:
    return parse(bytes(message.raw), whole=message.is_whole)


def _lease(mailbox: Mailbox, now: datetime) -> bool:
    free = Mailbox.objects.filter(pk=mailbox.pk).exclude(leased_until__gt=now)
    return free.update(leased_until=now + LEASE) == 1


def _read(folder: Folder, mailbox: Mailbox, now: datetime) -> Iterator[int]:
    """Stores what is new, one by one. A folder whose UIDs begin anew is read anew; what is known is a duplicate."""
    run = Run(now, seconds=RUN_SECONDS)
    mailbox.refresh_from_db()
    begins = mailbox.uid_validity != folder.uid_validity
    after = 0 if begins else mailbox.last_uid
    oldest = None
    if begins and settings.INBOUND_FIRST_DAYS:
        oldest = min(now, mailbox.read_at or now) - timedelta(days=settings.INBOUND_FIRST_DAYS)
    uids = folder.after(after)
    if begins and not uids:
        _reached(mailbox, folder.uid_validity, 0, now)
    for listed in folder.listed(uids):
        if oldest is not None and listed.arrived_at < oldest:
            passed = Mailbox.objects.filter(pk=mailbox.pk)
            passed.update(passed_over=F("passed_over") + 1)
            _reached(mailbox, folder.uid_validity, listed.uid, run.now)
            continue
        yield _store_one(folder, mailbox, listed, run.now)
        if run.is_over:
            wake("messaging.fetch")
            return


def _store_one(folder: Folder, mailbox: Mailbox, listed: Listed, now: datetime) -> int:
    too_large = listed.size > settings.INBOUND_MOST_BYTES
    raw = folder.content(listed.uid, KEPT_OF_TOO_LARGE if too_large else None)
    if raw is None:  # somebody removed it in this very moment
        _reached(mailbox, folder.uid_validity, listed.uid, now)
        return 0
    ahead = listed.arrived_at > now + CLOCKS_DIFFER
    with transaction.atomic():
        try:
            with transaction.atomic():
                store(
                    raw=raw,
                    arrived_at=now if ahead else listed.arrived_at,
                    door=Door.MAILBOX,
                    now=now,
                    size=listed.size if too_large else len(raw),
                    mailbox=mailbox,
                    uid_validity=folder.uid_validity,
                    uid=listed.uid,
                )
                stored = 1
        except IntegrityError:  # another worker was here
            stored = 0
        _reached(mailbox, folder.uid_validity, listed.uid, now)
    return stored


def _reached(mailbox: Mailbox, uid_validity: int, uid: int, now: datetime) -> None:
    """How far it is read: never back within the same numbering, whoever else reads it at the same moment."""
    row = Mailbox.objects.select_for_update().filter(pk=mailbox.pk)
    with transaction.atomic():
        known = row.get()
        if known.uid_validity != uid_validity:
            known.uid_validity, known.last_uid = uid_validity, 0
        known.last_uid, known.leased_until = max(known.last_uid, uid), now + LEASE
        known.save(update_fields=["uid_validity", "last_uid", "leased_until"])


def html_of(message: IncomingMessage) -> str:
    """The mail's HTML, made harmless, to be shown; empty where it has none or cannot be read."""
    try:
        mail = _parsed(message)
    except Unreadable:
        return ""
    return mark_safe(safe_html(mail.html)) if mail.html else ""


def file_of(message: IncomingMessage, number: int) -> File | None:
    """The mail's file with this number, counted from 0; None where there is none."""
    try:
        files = _parsed(message).files
    except Unreadable:
        return None
    return files[number] if 0 <= number < len(files) else None


def read_again(*, message: IncomingMessage, now: datetime) -> bool:
    """Reads a mail that was set aside once more; False where it was not set aside."""
    aside = IncomingMessage.objects.filter(pk=message.pk, state=ReadState.SET_ASIDE)
    again = aside.update(state=ReadState.WAITING, due_at=now, attempts=0, last_error="")
    wake(READ)
    return again == 1

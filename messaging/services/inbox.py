"""Incoming mail: stores the raw message with its time of arrival first, and reads it afterwards."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import F, QuerySet
from django.utils.safestring import mark_safe

from messaging.addresses import is_ours, our_message
from messaging.due import UNLIMITED, Run
from messaging.inbound.arrival import arrival_in
from messaging.inbound.html import show_targets
from messaging.inbound.mailboxes import Folder, Listed, Source, open_folder, source_of
from messaging.inbound.mime import File, Unreadable
from messaging.inbound.reading import ReadMail, read, read_file
from messaging.locking import is_violation, lock_name
from messaging.models import Checked, Door, IncomingMessage, Mailbox, ReadState, Sort
from messaging.text import replace_unkeepable
from messaging.waking import wake

log = logging.getLogger(__name__)
# Leases only keep workers from waiting for each other. Correctness rests on the unique UID and on row locks.
LEASE = READING_LEASE = timedelta(minutes=1)
FAILED_LEASE = timedelta(seconds=15)
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
    """Stores a raw mail and wakes a worker to read it. Of a mail over INBOUND_MOST_BYTES, only the beginning."""
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


def receive(*, raw: bytes, door: Door, now: datetime) -> IncomingMessage:
    """Stores a mail that a mail server or provider passes on. Its time of arrival is read from its headers."""
    at = arrival_in(raw, own_servers=settings.MAIL_SERVERS)
    return store(raw=raw, arrived_at=min(at, now) if at else now, door=door, now=now)


def fetch_all(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Fetches new mail from each mailbox in the settings, starting with the one that was read longest ago.

    Returns the number of mails stored.
    """
    sources = {source.name: source for source in map(source_of, settings.INBOUND_MAILBOXES)}
    last_read = dict(Mailbox.objects.filter(name__in=sources).values_list("name", "read_at"))
    long_ago = datetime.min.replace(tzinfo=UTC)
    stored, run = 0, Run(now, seconds=seconds)
    for name in sorted(sources, key=lambda name: last_read.get(name) or long_ago):
        stored += fetch(source=sources[name], run=run)
        if run.is_over:
            wake("messaging.fetch")
            break
    return stored


def fetch(*, source: Source, run: Run) -> int:
    """Fetches new mail from one mailbox; returns the number of mails stored. Errors are saved on the mailbox.

    Each mail is stored in its own transaction together with the mailbox's new position, so a killed worker leaves
    nothing half done, and two workers at once store nothing twice. A mailbox that fails keeps its lease for
    FAILED_LEASE, so that the others have their turn.
    """
    mailbox, _ = Mailbox.objects.get_or_create(name=source.name)
    if not _lease(mailbox, run.now):
        return 0
    stored, row = 0, Mailbox.objects.filter(pk=mailbox.pk)
    try:
        with open_folder(source) as folder:
            for count in _read(folder, mailbox, run):
                stored += count
    except (OperationalError, InterfaceError):
        raise  # the database failed, not the mailbox
    except Exception as error:  # whatever one server answers must not hold up the other mailboxes
        log.warning("The mailbox %s cannot be read: %s", mailbox, error)
        words = replace_unkeepable(f"{type(error).__name__}: {error}")[:2000]
        row.filter(failing_since__isnull=True).update(failing_since=run.now)
        row.update(leased_until=run.now + FAILED_LEASE, last_error=words)
    else:
        row.update(leased_until=None, read_at=run.now, failing_since=None, last_error="")
    return stored


def waiting_mails(now: datetime) -> QuerySet[IncomingMessage]:
    """Returns the mails that are due to be read, the one that has waited longest first."""
    return IncomingMessage.objects.filter(state=ReadState.WAITING, due_at__lte=now).order_by("arrived_at", "pk")


def lease(keys: list[UUID], now: datetime) -> list[IncomingMessage]:
    """Leases mails that are due to be read, and counts the attempt."""
    mails = IncomingMessage.objects.filter(pk__in=keys)
    mails.update(attempts=F("attempts") + 1, due_at=now + READING_LEASE)
    return list(mails.order_by("arrived_at", "pk"))


def read_into_row(message: IncomingMessage) -> ReadMail:
    """Reads the raw mail and fills the row's fields without saving it. Raises mime.Unreadable."""
    mail = read(
        bytes(message.raw),
        whole=message.is_whole,
        own_servers=tuple(settings.MAIL_SERVERS),
        results_by=tuple(settings.AUTHENTICATION_RESULTS_BY),
    )
    message.message_id, message.digest = mail.message_id, mail.digest
    message.in_reply_to, message.references = mail.in_reply_to, list(mail.references)
    message.sender, message.sender_name = mail.sender, mail.sender_name
    message.subject, message.text, message.html = mail.subject, mail.text, mail.safe_html
    message.files = [list(file) for file in mail.files]
    message.remarks = list(mail.remarks)
    is_own = is_ours(mail.sender) or our_message(mail.message_id) is not None
    message.sort = Sort.OWN if is_own and mail.sort != Sort.BOUNCE else Sort(mail.sort)
    message.checked = Checked(mail.checked)
    if mail.results_header:
        message.remarks.append(f"Our mail server says: {mail.results_header}")
    return mail


def earlier_copy(message: IncomingMessage) -> IncomingMessage | None:
    """Returns an earlier copy of the same mail: one with the same Message-ID and the same content.

    Neither alone is enough: a Message-ID can be forged, and two people can write the same words. Takes a lock on
    the Message-ID, so that of two copies read at the same moment only one counts as the first.
    """
    lock_name(f"mail {message.message_id or message.digest}")
    same = IncomingMessage.objects.filter(message_id=message.message_id, digest=message.digest, state=ReadState.READ)
    if not message.message_id:  # without a Message-ID, the time of arrival identifies it
        same = same.filter(arrived_at=message.arrived_at)
    return same.exclude(pk=message.pk).order_by("stored_at", "id").first()


def _lease(mailbox: Mailbox, now: datetime) -> bool:
    free = Mailbox.objects.filter(pk=mailbox.pk).exclude(leased_until__gt=now)
    return free.update(leased_until=now + LEASE) == 1


def _read(folder: Folder, mailbox: Mailbox, run: Run) -> Iterator[int]:
    """Stores new mails one by one; yields 1 for each stored, 0 for each skipped.

    A new UIDVALIDITY means that the server numbered the folder again: it is read from the start, and mails stored
    before are recognised as duplicates.
    """
    mailbox.refresh_from_db()
    is_new_numbering = mailbox.uid_validity != folder.uid_validity
    after = 0 if is_new_numbering else mailbox.last_uid
    oldest = None
    if is_new_numbering and settings.INBOUND_FIRST_DAYS:
        oldest = min(run.now, mailbox.read_at or run.now) - timedelta(days=settings.INBOUND_FIRST_DAYS)
    uids = folder.after(after)
    if is_new_numbering and not uids:
        _save_position(mailbox, folder.uid_validity, 0, run.now)
    for listed in folder.listed(uids):
        if oldest is not None and listed.arrived_at < oldest:
            row = Mailbox.objects.filter(pk=mailbox.pk)
            row.update(passed_over=F("passed_over") + 1)
            _save_position(mailbox, folder.uid_validity, listed.uid, run.now)
            continue
        yield _store_one(folder, mailbox, listed, run.now)
        if run.is_over:
            wake("messaging.fetch")
            return


def _store_one(folder: Folder, mailbox: Mailbox, listed: Listed, now: datetime) -> int:
    too_large = listed.size > settings.INBOUND_MOST_BYTES
    raw = folder.content(listed.uid, KEPT_OF_TOO_LARGE if too_large else None)
    if raw is None:  # removed from the folder in the meantime
        _save_position(mailbox, folder.uid_validity, listed.uid, now)
        return 0
    is_in_future = listed.arrived_at > now + CLOCKS_DIFFER
    with transaction.atomic():
        try:
            with transaction.atomic():
                store(
                    raw=raw,
                    arrived_at=now if is_in_future else listed.arrived_at,
                    door=Door.MAILBOX,
                    now=now,
                    size=listed.size if too_large else len(raw),
                    mailbox=mailbox,
                    uid_validity=folder.uid_validity,
                    uid=listed.uid,
                )
                stored = 1
        except IntegrityError as error:
            if not is_violation(error, "mail_stored_once"):
                raise
            stored = 0  # another worker stored it first
        _save_position(mailbox, folder.uid_validity, listed.uid, now)
    return stored


def _save_position(mailbox: Mailbox, uid_validity: int, uid: int, now: datetime) -> None:
    """Saves the mailbox's position and extends the lease. The position never moves back within one UIDVALIDITY."""
    rows = Mailbox.objects.select_for_update().filter(pk=mailbox.pk)
    with transaction.atomic():
        row = rows.get()
        if row.uid_validity != uid_validity:
            row.uid_validity, row.last_uid = uid_validity, 0
        row.last_uid, row.leased_until = max(row.last_uid, uid), now + LEASE
        row.save(update_fields=["uid_validity", "last_uid", "leased_until"])


def html_of(message: IncomingMessage) -> str:
    """Returns the mail's sanitised HTML, which shows where each link leads; empty if it has none."""
    return mark_safe(show_targets(message.html))  # noqa: S308 - sanitised by nh3 when it was read


def file_of(message: IncomingMessage, number: int) -> File | None:
    """Returns the mail's file with this number, counted from 0; None if there is none."""
    try:
        return read_file(bytes(message.raw), number, whole=message.is_whole)
    except Unreadable:
        return None


def read_again(*, message: IncomingMessage, now: datetime) -> bool:
    """Queues a mail that was set aside to be read again; False if it was not set aside."""
    set_aside = IncomingMessage.objects.filter(pk=message.pk, state=ReadState.SET_ASIDE)
    queued = set_aside.update(state=ReadState.WAITING, due_at=now, attempts=0, last_error="")
    wake(READ)
    return queued == 1

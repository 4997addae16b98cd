"""Checking files for viruses, if a scanner is set. Until that is done, a file is kept, and nobody can open it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from cancellations.models import Attachment, ScanState
from messaging.due import UNLIMITED, Run, Work
from messaging.virus_scanner import ScannerUnavailable, find_virus, is_scanner_set

LEASE = timedelta(minutes=5)
RETRY_AFTER = timedelta(minutes=2)


def scan_due(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Checks the files that wait. Returns how many were checked. Several workers can run at once.

    While the scanner is down, the files stay as they are and are tried again.
    """
    count, run = 0, Run(now, seconds=seconds)
    for attachment in SCANNING.results(run):
        is_checked = True
        with SCANNING.setting_aside(attachment.pk, run):
            is_checked = _scan(attachment, run.now)
        count += is_checked
        if not is_checked:
            break
    return count


def _scan(attachment: Attachment, now: datetime) -> bool:
    """Returns False if the scanner gave no verdict."""
    if not is_scanner_set():  # it was removed from the settings
        _save(attachment, ScanState.NOT_CHECKED, "")
        return True
    try:
        virus = find_virus(bytes(attachment.content))
    except ScannerUnavailable as error:
        waiting = Attachment.objects.filter(pk=attachment.pk, scan_state=ScanState.WAITING)
        waiting.update(scan_due_at=now + RETRY_AFTER, scan_result=str(error)[:200])
        return False
    _save(attachment, ScanState.INFECTED if virus else ScanState.CLEAN, virus)
    return True


def _save(attachment: Attachment, state: ScanState, result: str) -> None:
    waiting = Attachment.objects.filter(pk=attachment.pk, scan_state=ScanState.WAITING)
    waiting.update(scan_state=state, scan_due_at=None, scan_result=result)


def _waiting(now: datetime) -> QuerySet[Attachment]:
    waiting = Attachment.objects.filter(scan_state=ScanState.WAITING, scan_due_at__lte=now)
    return waiting.order_by("scan_due_at", "pk")


def _lease(keys: list[UUID], now: datetime) -> list[Attachment]:
    attachments = Attachment.objects.filter(pk__in=keys)
    attachments.update(scan_due_at=now + LEASE)
    return list(attachments)


SCANNING = Work(
    name="files.scan",
    task="cancellations.scan",
    label="check a file for viruses",
    due=_waiting,
    process=_lease,
    batch=1,
    order=("scan_due_at", "pk"),
)

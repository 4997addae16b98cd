"""Files that support a ground. They are accepted by content and stored unchanged."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.permissions import permitted
from cancellations.models import Attachment, CancellationRequest, ScanState, Termination
from cancellations.queries.requests import attachments_of
from cancellations.rules.files import MAX_FILE_BYTES, MAX_FILES, media_type, tidy_name
from cancellations.services.common import RequestRefused
from messaging.virus_scanner import is_scanner_set
from messaging.waking import wake


@permitted("cancellations.schedule_request")
@transaction.atomic
def attach_to_request(
    *, request: CancellationRequest, files: Iterable[UploadedFile], now: datetime, by: User | None = None
) -> list[Attachment]:
    """Attaches files to the declaration; a file that is attached already is ignored.

    The customer may add files while the request is open, staff always. Attaches all files or none. Raises
    RequestRefused if a file is empty, too large or of a type that is not accepted, or if there are too many.
    """
    first = CancellationRequest.objects.select_for_update().get(reference=request.declaration)
    if by is None and not request.is_open:
        raise RequestRefused(_("This request is closed, so no file can be added any more. Please write to us instead."))
    existing = {attachment.sha256 for attachment in attachments_of(first)}
    new = [attachment for attachment in _read(files, now, by) if attachment.sha256 not in existing]
    _refuse_too_many(len(existing) + len(new))
    for attachment in new:
        attachment.request = first
        attachment.save(force_insert=True)
    return new


@permitted("cancellations.terminate_account")
@transaction.atomic
def attach_to_termination(
    *, termination: Termination, files: Iterable[UploadedFile], now: datetime, by: User
) -> list[Attachment]:
    """Attaches evidence to a termination. Raises RequestRefused like `attach_to_request`."""
    termination = Termination.objects.select_for_update().get(pk=termination.pk)
    new = _read(files, now, by)
    _refuse_too_many(termination.attachments.count() + len(new))
    for attachment in new:
        attachment.termination = termination
        attachment.save(force_insert=True)
    return new


def _read(files: Iterable[UploadedFile], now: datetime, by: User | None) -> list[Attachment]:
    attachments: dict[str, Attachment] = {}
    is_checked_first = is_scanner_set()
    for file in files:
        name = file.name or "file"
        if not file.size:
            raise RequestRefused(_("«%(name)s» is empty. Choose another file.") % {"name": name})
        if file.size > MAX_FILE_BYTES:
            values = {"name": name, "limit": MAX_FILE_BYTES // 1_000_000}
            raise RequestRefused(_("«%(name)s» is larger than %(limit)s MB. Choose a smaller file.") % values)
        content = file.read()
        kind = media_type(content)
        if kind is None:
            raise RequestRefused(
                _("«%(name)s» is of a type that we cannot take. Send it as PDF, JPEG, PNG, WebP or plain text.")
                % {"name": name}
            )
        digest = hashlib.sha256(content).hexdigest()
        attachments[digest] = Attachment(
            name=tidy_name(name, kind),
            media_type=kind,
            size=len(content),
            sha256=digest,
            content=content,
            added_at=now,
            added_by=by,
            scan_state=ScanState.WAITING if is_checked_first else ScanState.NOT_CHECKED,
            scan_due_at=now if is_checked_first else None,
        )
    if is_checked_first:
        wake("cancellations.scan")
    return list(attachments.values())


def _refuse_too_many(count: int) -> None:
    if count > MAX_FILES:
        raise RequestRefused(
            _("You can add up to %(limit)s files. Put several pages into one PDF, or leave some out.")
            % {"limit": MAX_FILES}
        )

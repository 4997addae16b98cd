"""Files that support a ground: taken by content, kept as they came."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from cancellations.models import Attachment, CancellationRequest, Termination
from cancellations.queries.requests import attachments_of
from cancellations.rules.files import MOST_BYTES, MOST_FILES, media_type, tidy_name
from cancellations.services.common import RequestRefused


@transaction.atomic
def attach_to_request(
    *, request: CancellationRequest, files: Iterable[UploadedFile], now: datetime, by: User | None = None
) -> list[Attachment]:
    """Keeps the files with the declaration while it is open; the same file twice is kept once.

    All of them or none. Raises RequestRefused for a file that is too large, of another type, or one too many.
    """
    first = CancellationRequest.objects.select_for_update().get(reference=request.declaration)
    if by is None and not request.is_open:
        raise RequestRefused(
            _("This request is settled, so no file can be added any more. Please write to us instead.")
        )
    known = {one.sha256 for one in attachments_of(first)}
    made = [one for one in _read(files, now, by) if one.sha256 not in known]
    _refuse_too_many(len(known) + len(made))
    for one in made:
        one.request = first
        one.save(force_insert=True)
    return made


@transaction.atomic
def attach_to_termination(
    *, termination: Termination, files: Iterable[UploadedFile], now: datetime, by: User
) -> list[Attachment]:
    """Keeps evidence with a termination. Raises as `attach_to_request`."""
    termination = Termination.objects.select_for_update().get(pk=termination.pk)
    made = _read(files, now, by)
    _refuse_too_many(termination.attachments.count() + len(made))
    for one in made:
        one.termination = termination
        one.save(force_insert=True)
    return made


def _read(files: Iterable[UploadedFile], now: datetime, by: User | None) -> list[Attachment]:
    read: dict[str, Attachment] = {}
    for file in files:
        name = file.name or "file"
        if not file.size:
            raise RequestRefused(_("«%(name)s» is empty. Choose another file.") % {"name": name})
        if file.size > MOST_BYTES:
            told = {"name": name, "limit": MOST_BYTES // 1_000_000}
            raise RequestRefused(_("«%(name)s» is larger than %(limit)s MB. Choose a smaller file.") % told)
        content = file.read()
        kind = media_type(content)
        if kind is None:
            raise RequestRefused(
                _("«%(name)s» is of a type that we cannot take. Send it as PDF, JPEG, PNG, WebP or plain text.")
                % {"name": name}
            )
        digest = hashlib.sha256(content).hexdigest()
        read[digest] = Attachment(
            name=tidy_name(name, kind),
            media_type=kind,
            size=len(content),
            sha256=digest,
            content=content,
            added_at=now,
            added_by=by,
        )
    return list(read.values())


def _refuse_too_many(count: int) -> None:
    if count > MOST_FILES:
        raise RequestRefused(
            _("At most %(limit)s files fit. Put several pages into one PDF, or leave some out.") % {"limit": MOST_FILES}
        )

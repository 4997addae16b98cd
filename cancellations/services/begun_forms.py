"""Counting the forms that are begun and finished. It never stands in anybody's way."""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, transaction

from cancellations.models import BegunForm
from cancellations.models.begun_forms import StoppedAt

log = logging.getLogger(__name__)


def note_form(
    *,
    key: str,
    at: datetime,
    jurisdiction: str,
    kind: str,
    signed_in: bool,
    errors: Sequence[str] = (),
    finished_at: datetime | None = None,
) -> None:
    """How far a form has come: its answers are to be checked, or these fields are not right, or it is finished."""
    stopped = StoppedAt.FORM if errors else StoppedAt.CHECK
    row = BegunForm(key=UUID(key), begun_at=at, jurisdiction=jurisdiction, kind=kind, signed_in=signed_in)
    row.stopped_at, row.errors, row.finished_at = stopped, list(errors), finished_at
    try:
        with transaction.atomic():
            BegunForm.objects.bulk_create(
                [row],
                update_conflicts=True,
                unique_fields=["key"],
                update_fields=["stopped_at", "errors", "finished_at", "kind", "jurisdiction"],
            )
    except DatabaseError:  # a count is not worth a failed cancellation
        log.exception("A form could not be counted")

"""Counting the forms that are begun and finished. A failure to count never stops a cancellation."""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, transaction

from cancellations.models import BegunForm
from cancellations.models.begun_forms import StoppedAt

log = logging.getLogger(__name__)


def record_form_progress(
    *,
    key: str,
    at: datetime,
    jurisdiction: str,
    kind: str,
    signed_in: bool,
    errors: Sequence[str] = (),
    finished_at: datetime | None = None,
) -> None:
    """Records whether a form has errors in these fields, is at the check of answers, or is finished."""
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
    except DatabaseError:  # a cancellation must not fail because of a count
        log.exception("Could not record the progress of a form")

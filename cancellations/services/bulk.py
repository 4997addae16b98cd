"""One verb on many requests. Each request has a transaction of its own, so that a killed worker repeats none."""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import OperationalError, transaction

from accounts.models import User
from accounts.permissions import permitted
from billing.models.states import IllegalTransition
from cancellations.models import BulkJob, BulkRow, BulkState, BulkVerb, CancellationRequest
from cancellations.services.common import RequestRefused
from cancellations.services.handling import PERMISSION, ask_again, assign
from cancellations.services.review import schedule
from messaging.waking import wake

log = logging.getLogger(__name__)
MAX_REQUESTS = 5000
PERMISSIONS = {
    BulkVerb.SCHEDULE: "cancellations.schedule_request",
    BulkVerb.ASSIGN: PERMISSION,
    BulkVerb.ASK_AGAIN: PERMISSION,
}


@permitted(PERMISSIONS, chosen_by="verb")
@transaction.atomic
def order(
    *, verb: BulkVerb, requests: Sequence[int], by: User, now: datetime, words: str = "", to: User | None = None
) -> BulkJob:
    """Queues the verb for these requests (primary keys). Raises RequestRefused for none or more than MAX_REQUESTS."""
    if not requests:
        raise RequestRefused("Choose requests first.")
    if len(requests) > MAX_REQUESTS:
        raise RequestRefused(f"At most {MAX_REQUESTS:,} requests at once. Narrow the filters down.")
    if verb == BulkVerb.ASSIGN and to is None:
        raise RequestRefused("Choose a person.")
    job = BulkJob.objects.create(
        verb=verb, words=words.strip(), to=to, ordered_by=by, ordered_at=now, total=len(requests)
    )
    BulkRow.objects.bulk_create((BulkRow(job=job, request_id=key) for key in requests), batch_size=1000)
    wake("cancellations.bulk")
    return job


def process_due(*, now: datetime) -> int:
    """Processes the rows of unfinished jobs and returns how many. Several workers can do this at the same time."""
    count = 0
    for key in list(BulkJob.objects.filter(finished_at__isnull=True).order_by("pk").values_list("pk", flat=True)):
        while _process_next(key, now):
            count += 1
        pending = BulkRow.objects.filter(job=key, state=BulkState.PENDING)
        if not pending.exists():
            BulkJob.objects.filter(pk=key, finished_at__isnull=True).update(finished_at=now)
    return count


def _process_next(job: int, now: datetime) -> bool:
    """Processes one row of the job. Returns False if there is none, or other workers have locked the rest."""
    with transaction.atomic():
        rows = BulkRow.objects.select_related("job__ordered_by", "job__to", "request").order_by("pk")
        row = rows.filter(job=job, state=BulkState.PENDING).select_for_update(skip_locked=True, of=("self",)).first()
        if row is None:
            return False
        try:
            with transaction.atomic():
                _run_verb(row.job, row.request, now)
        except (RequestRefused, IllegalTransition) as error:
            row.state, row.said = BulkState.REFUSED, str(error)
        except OperationalError:
            raise  # a database failure, not a fault of the row: it stays pending
        except Exception as error:
            log.exception("Row %s of bulk job %s failed", row.pk, job)
            row.state, row.said = BulkState.REFUSED, f"It failed: {type(error).__name__}. Try this request on its own."
        else:
            row.state = BulkState.DONE
        row.save(update_fields=["state", "said"])
    return True


def _run_verb(job: BulkJob, request: CancellationRequest, now: datetime) -> None:
    by = job.ordered_by
    if not (by.is_active and by.has_perm(PERMISSIONS[BulkVerb(job.verb)])):
        raise RequestRefused(f"{by} no longer has the permission to do this.")
    if job.verb == BulkVerb.SCHEDULE:
        if request.kind == "for_cause":
            raise RequestRefused("Its ground has to be reviewed. Open the request and accept the ground there.")
        schedule(request=request, by=by, now=now, words=job.words)
    elif job.verb == BulkVerb.ASSIGN:
        assign(request=request, to=job.to, by=by, now=now)
    else:
        ask_again(request=request, by=by, now=now)

"""One verb on many requests, in batches. A result is written with its change, so that a killed worker repeats none."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import User
from accounts.permissions import permitted
from billing.models.states import IllegalTransition
from cancellations.models import BulkJob, BulkRow, BulkState, BulkVerb, CancellationRequest
from cancellations.services.common import RequestRefused
from cancellations.services.handling import PERMISSION, ask_again, assign
from cancellations.services.review import schedule
from messaging.due import UNLIMITED, Run, Work
from messaging.waking import wake

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


def process_due(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Processes the rows of unfinished jobs and returns how many. Several workers can do this at the same time."""
    run = Run(now, seconds=seconds)
    count = sum(ROWS.results(run))
    pending = BulkRow.objects.filter(job=OuterRef("pk"), state=BulkState.PENDING)
    unfinished = BulkJob.objects.filter(finished_at__isnull=True)
    unfinished.exclude(Exists(pending)).update(finished_at=run.now)
    return count


def _pending_rows(now: datetime) -> QuerySet[BulkRow]:
    return BulkRow.objects.filter(state=BulkState.PENDING).order_by("job", "pk")


def _process_rows(keys: list[int], now: datetime) -> Iterator[int]:
    for row in _pending_rows(now).select_related("job__ordered_by", "job__to", "request").filter(pk__in=keys):
        try:
            with transaction.atomic():
                _run_verb(row.job, row.request, now)
        except (RequestRefused, IllegalTransition) as error:
            row.state, row.said = BulkState.REFUSED, str(error)
        else:
            row.state = BulkState.DONE
        row.save(update_fields=["state", "said"])
        yield 1


def _refuse(key: int, error: str, now: datetime) -> list[int]:
    said = f"It failed: {error.partition(':')[0]}. Try this request on its own."
    return [BulkRow.objects.filter(pk=key, state=BulkState.PENDING).update(state=BulkState.REFUSED, said=said)]


ROWS = Work(
    name="bulk.process",
    task="cancellations.bulk",
    label="process a row of a bulk job",
    due=_pending_rows,
    process=_process_rows,
    batch=10,
    order=("job_id", "pk"),
    set_aside=_refuse,
)


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

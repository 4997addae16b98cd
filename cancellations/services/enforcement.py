"""Taking due requests into effect and reviewing payments after an end, at every tick and by `manage.py enforce`.

Requests are processed in batches (messaging/due.py). If a run is killed, its batch stays due. A second run, or another
worker at the same time, finds the rows locked or done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet

from accounts.history import recorded
from billing.models.states import UNDECIDED
from billing.services.subscriptions import end_subscription
from cancellations.letters.requests import send_letter
from cancellations.letters.webhooks import emit_request_event, emit_subscription_ended
from cancellations.models import CancellationRequest
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.requests import due_requests, has_ended_by
from cancellations.services.charge_watch import CHARGES
from cancellations.services.common import move
from cancellations.services.refunds import queue_refund, void_refund
from messaging.due import UNLIMITED, Run, Work
from messaging.models import EventType, OutgoingMessage

BATCH = 50


@dataclass(frozen=True)
class EnforcementResult:
    """What enforcement did to one request.

    `what` is `effective`, `expired`, `superseded`, `set aside`, or `charged` (a payment for a time after its end).
    """

    reference: str
    what: str
    detail: str = ""


def enforce(*, now: datetime, seconds: float = UNLIMITED) -> list[EnforcementResult]:
    """Processes every request that is due at `now`, in the order of due dates, and returns what it did."""
    return list(enforcing(now=now, seconds=seconds))


def enforcing(*, now: datetime, seconds: float = UNLIMITED) -> Iterator[EnforcementResult]:
    """Processes due requests until none is left or the seconds are over, and yields what it does."""
    run = Run(now, seconds=seconds)
    yield from SUPERSEDE.results(run)
    yield from TAKE_EFFECT.results(run)
    for refund in CHARGES.results(run):
        yield EnforcementResult(refund.about or refund.reference, "charged", f"after its end, reviewed as {refund}")


def _act_on_due(keys: list[int], now: datetime) -> Iterator[EnforcementResult]:
    rows = due_requests(now).select_related("policy_version", "account", "subscription__account", "refund")
    for request in rows.filter(pk__in=keys):
        yield expire(request, now) if request.state == RequestState.UNVERIFIED else take_effect(request, now)


def take_effect(request: CancellationRequest, now: datetime) -> EnforcementResult:
    """Ends the subscription on the effective date. Call it with a locked, due row.

    An undecided request is scheduled first: if nobody decides in time, the customer gets the cancellation.
    """
    subscription = request.subscription
    assert subscription is not None  # a constraint guarantees both for due rows
    assert request.effective_on is not None
    is_undecided = request.state == RequestState.IN_REVIEW
    if is_undecided:
        move(request, RequestState.SCHEDULED, now)
        with recorded("schedule", actor="system", why="Nobody decided before the effective date"):
            request.save(update_fields=["state", "state_changed_at"])
            emit_request_event(EventType.REQUEST_SCHEDULED, request, now)
    with recorded("take_effect", actor="system"):
        end_subscription(subscription=subscription, ended_on=request.effective_on)
        queue_refund(request, now)
        move(request, RequestState.EFFECTIVE, now)
        request.save(update_fields=["state", "state_changed_at", "refund"])
        emit_subscription_ended(
            subscription, request.effective_on, cause="cancellation", reference=request.reference, now=now
        )
        has_refund_review = request.refund is not None and request.refund.state in UNDECIDED
        send_letter("ended_with_review" if has_refund_review else "ended", request, now=now)
    detail = f"ended on {request.effective_on}" + (", undecided" if is_undecided else "")
    return EnforcementResult(request.reference, "effective", detail + (", refund queued" if has_refund_review else ""))


def expire(request: CancellationRequest, now: datetime) -> EnforcementResult:
    """Expires a request whose address was not proven in time. Call it with a locked, due row."""
    move(request, RequestState.EXPIRED, now)
    with recorded("expire", actor="system"):
        request.save(update_fields=["state", "state_changed_at"])
        if not _was_told_of_expiry(request, now):
            send_letter("expired", request, now=now)
    return EnforcementResult(request.reference, "expired", "the address was not proven in time")


def _was_told_of_expiry(request: CancellationRequest, now: datetime) -> bool:
    """Whether the address got such a mail within a day: forms that anybody filled in with it must not flood it."""
    sent = OutgoingMessage.objects.filter(recipient__same_address=request.email_given, kind="expired")
    return sent.filter(created_at__gt=now - timedelta(days=1)).exists()


def requests_of_ended(now: datetime) -> QuerySet[CancellationRequest]:
    """Returns open requests whose subscription has ended earlier for another reason, by the date in its own zone."""
    earlier = Q(effective_on__isnull=True) | Q(effective_on__gt=F("subscription__ended_on"))
    rows = CancellationRequest.objects.filter(earlier, state__in=OPEN, enforcement_error="").order_by("pk")
    return rows.filter(has_ended_by(now, rows))


def _supersede(keys: list[int], now: datetime) -> Iterator[EnforcementResult]:
    for request in CancellationRequest.objects.filter(pk__in=keys).order_by("pk"):
        with recorded("supersede", actor="system"):
            void_refund(request, "The subscription had ended otherwise.", now)
            move(request, RequestState.SUPERSEDED, now)
            request.save(update_fields=["state", "state_changed_at"])
            send_letter("superseded", request, now=now)
        yield EnforcementResult(request.reference, "superseded", "the subscription had ended otherwise")


def _set_aside(key: int, error: str, now: datetime) -> list[EnforcementResult]:
    with recorded("set_aside", actor="system", why=error):
        request = CancellationRequest.objects.select_for_update().get(pk=key)
        request.enforcement_error = error
        request.save(update_fields=["enforcement_error"])
    return [EnforcementResult(request.reference, "set aside", error)]


SUPERSEDE = Work(
    name="requests.supersede",
    task="cancellations.enforce",
    label="close requests whose subscription ended otherwise",
    due=requests_of_ended,
    process=_supersede,
    batch=BATCH,
    order=("pk",),
    set_aside=_set_aside,
)
TAKE_EFFECT = Work(
    name="requests.take_effect",
    task="cancellations.enforce",
    label="take requests into effect",
    due=due_requests,
    process=_act_on_due,
    batch=BATCH,
    order=("due_at", "pk"),
    set_aside=_set_aside,
)

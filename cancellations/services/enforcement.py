"""Taking due requests into effect, by the workers at every tick and by `manage.py enforce`.

Each request has a transaction of its own. If a run is killed, the row stays due. A second run, or another worker at
the same time, finds the row locked or done.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, transaction
from django.db.models import F, Q

from accounts.history import recorded
from billing.models.states import UNDECIDED
from billing.services.subscriptions import end_subscription
from cancellations.letters.requests import send_letter
from cancellations.letters.webhooks import emit_request_event, emit_subscription_ended
from cancellations.models import CancellationRequest
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.requests import due_requests
from cancellations.services.common import move
from cancellations.services.refunds import queue_refund, void_refund
from messaging.models import EventType, OutgoingMessage

log = logging.getLogger(__name__)
BATCH = 50


@dataclass(frozen=True)
class EnforcementResult:
    """What enforcement did to one request. `what` is `effective`, `expired`, `superseded` or `set aside`."""

    reference: str
    what: str
    detail: str = ""


def enforce(*, now: datetime) -> list[EnforcementResult]:
    """Processes every request that is due at `now`, in the order of due dates, and returns what it did."""
    return [*_supersede_requests_of_ended(now), *_act_on_due(now)]


def _act_on_due(now: datetime) -> list[EnforcementResult]:
    results: list[EnforcementResult] = []
    tried: set[int] = set()
    while batch := list(due_requests(now).exclude(pk__in=tried).values_list("pk", flat=True)[:BATCH]):
        for key in batch:
            tried.add(key)
            if (result := _act(key, now)) is not None:
                results.append(result)
    return results


def _act(key: int, now: datetime) -> EnforcementResult | None:
    try:
        with transaction.atomic():
            rows = due_requests(now).select_related("policy_version", "account", "subscription__account", "refund")
            request = rows.select_for_update(skip_locked=True, of=("self",)).filter(pk=key).first()
            if request is None:
                return None  # another worker has locked it or processed it
            return expire(request, now) if request.state == RequestState.UNVERIFIED else take_effect(request, now)
    except OperationalError:
        raise  # a database failure, not a fault of the row: the row stays due
    except Exception as error:
        log.exception("Request %s could not be taken into effect and is set aside.", key)
        return _set_aside(key, error)


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


def _supersede_requests_of_ended(now: datetime) -> list[EnforcementResult]:
    """Supersedes open requests whose subscription has ended earlier for another reason."""
    earlier = Q(effective_on__isnull=True) | Q(effective_on__gt=F("subscription__ended_on"))
    ended = CancellationRequest.objects.filter(earlier, state__in=OPEN, subscription__ended_on__lte=now.date())
    results = []
    for key in list(ended.values_list("pk", flat=True)):
        with transaction.atomic(), recorded("supersede", actor="system"):
            request = ended.select_for_update(skip_locked=True, of=("self",)).filter(pk=key).first()
            if request is None:
                continue
            void_refund(request, "The subscription had ended otherwise.", now)
            move(request, RequestState.SUPERSEDED, now)
            request.save(update_fields=["state", "state_changed_at"])
            send_letter("superseded", request, now=now)
            results.append(EnforcementResult(request.reference, "superseded", "the subscription had ended otherwise"))
    return results


def _set_aside(key: int, error: Exception) -> EnforcementResult:
    with transaction.atomic(), recorded("set_aside", actor="system", why=str(error)):
        request = CancellationRequest.objects.select_for_update().get(pk=key)
        request.enforcement_error = f"{type(error).__name__}: {error}"[:2000]
        request.save(update_fields=["enforcement_error"])
    return EnforcementResult(request.reference, "set aside", request.enforcement_error)

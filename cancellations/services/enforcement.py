"""Taking due requests into effect: what the workers do at every tick, and `manage.py enforce` by hand.

Each request is a transaction of its own. A run that is killed leaves the row as due as it was; a second
run, or another worker at the same moment, finds it locked or done.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError, transaction
from django.db.models import F, Q

from accounts.history import recorded
from billing.models.states import UNDECIDED
from billing.services.subscriptions import end_subscription
from cancellations.letters.requests import send_letter
from cancellations.letters.webhooks import tell_of_end, tell_of_request
from cancellations.models import CancellationRequest
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.requests import due_requests
from cancellations.services.common import move
from cancellations.services.refunds import queue_refund, void_refund
from messaging.models import EventType

log = logging.getLogger(__name__)
BATCH = 50


@dataclass(frozen=True)
class Done:
    """What the system did to one request, in a word (`effective`, `expired`, `superseded`, `set aside`)."""

    reference: str
    what: str
    detail: str = ""


def enforce(*, now: datetime) -> list[Done]:
    """Does everything that is due at `now`, in order of its date, and says what it did."""
    return [*_supersede_ended(now), *_act_on_due(now)]


def _act_on_due(now: datetime) -> list[Done]:
    done: list[Done] = []
    tried: set[int] = set()
    while batch := list(due_requests(now).exclude(pk__in=tried).values_list("pk", flat=True)[:BATCH]):
        for key in batch:
            tried.add(key)
            if (result := _act(key, now)) is not None:
                done.append(result)
    return done


def _act(key: int, now: datetime) -> Done | None:
    try:
        with transaction.atomic():
            rows = due_requests(now).select_related("policy_version", "account", "subscription__account", "refund")
            request = rows.select_for_update(skip_locked=True, of=("self",)).filter(pk=key).first()
            if request is None:
                return None  # another worker has it, or it is done
            return expire(request, now) if request.state == RequestState.UNVERIFIED else take_effect(request, now)
    except OperationalError:
        raise  # the database's trouble, not the row's: the row stays due
    except Exception as error:
        log.exception("Request %s could not be taken into effect and is set aside.", key)
        return _set_aside(key, error)


def take_effect(request: CancellationRequest, now: datetime) -> Done:
    """Ends the subscription on the effective date; called on a locked, due row.

    An undecided request is scheduled by the system first: silence never costs the customer.
    """
    subscription = request.subscription
    assert subscription is not None  # both held by a constraint for due rows
    assert request.effective_on is not None
    silent = request.state == RequestState.IN_REVIEW
    if silent:
        move(request, RequestState.SCHEDULED, now)
        with recorded("schedule", actor="system", why="Nobody had decided when its date came"):
            request.save(update_fields=["state", "state_changed_at"])
            tell_of_request(EventType.REQUEST_SCHEDULED, request, now)
    with recorded("take_effect", actor="system"):
        end_subscription(subscription=subscription, ended_on=request.effective_on)
        queue_refund(request, now)
        move(request, RequestState.EFFECTIVE, now)
        request.save(update_fields=["state", "state_changed_at", "refund"])
        tell_of_end(subscription, request.effective_on, cause="cancellation", reference=request.reference, now=now)
        reviewed = request.refund is not None and request.refund.state in UNDECIDED
        send_letter("ended_with_review" if reviewed else "ended", request, now=now)
    detail = f"ended on {request.effective_on}" + (", undecided" if silent else "")
    return Done(request.reference, "effective", detail + (", refund queued" if reviewed else ""))


def expire(request: CancellationRequest, now: datetime) -> Done:
    """The address was not proven in time; called on a locked, due row."""
    move(request, RequestState.EXPIRED, now)
    with recorded("expire", actor="system"):
        request.save(update_fields=["state", "state_changed_at"])
        send_letter("expired", request, now=now)
    return Done(request.reference, "expired", "the address was not proven in time")


def _supersede_ended(now: datetime) -> list[Done]:
    """Open requests whose subscription has ended otherwise and earlier: there is nothing left to end."""
    earlier = Q(effective_on__isnull=True) | Q(effective_on__gt=F("subscription__ended_on"))
    ended = CancellationRequest.objects.filter(earlier, state__in=OPEN, subscription__ended_on__lte=now.date())
    done = []
    for key in list(ended.values_list("pk", flat=True)):
        with transaction.atomic(), recorded("supersede", actor="system"):
            request = ended.select_for_update(skip_locked=True, of=("self",)).filter(pk=key).first()
            if request is None:
                continue
            void_refund(request, "The subscription had ended otherwise.", now)
            move(request, RequestState.SUPERSEDED, now)
            request.save(update_fields=["state", "state_changed_at"])
            send_letter("superseded", request, now=now)
            done.append(Done(request.reference, "superseded", "the subscription had ended otherwise"))
    return done


def _set_aside(key: int, error: Exception) -> Done:
    with transaction.atomic(), recorded("set_aside", actor="system", why=str(error)):
        request = CancellationRequest.objects.select_for_update().get(pk=key)
        request.enforcement_error = f"{type(error).__name__}: {error}"[:2000]
        request.save(update_fields=["enforcement_error"])
    return Done(request.reference, "set aside", request.enforcement_error)

"""Putting declarations of one proven sender about one contract together.

One proof of an address proves everything that was sent from it before. Each declaration keeps its own words, request
and time of receipt. One request carries the contract; the others are joined to it, and the best of them counts: the
receipt that gives the earliest end, and the earliest requested end date. Declarations of different kinds contradict
each other, so they are not joined: support decides.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from django.db.models import Q

from billing.models import Subscription
from cancellations.letters.webhooks import emit_request_event
from cancellations.models import CancellationRequest, Channel, Kind, Proof
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.outcomes import outcome
from cancellations.services.common import RequestRefused, match, move
from cancellations.services.refunds import move_refund
from messaging.models import EventType

FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


def lock_unproven(request: CancellationRequest, now: datetime) -> tuple[CancellationRequest, list[CancellationRequest]]:
    """Locks the request and the other declarations under its address that wait for proof, in the order of their keys.

    Those whose time for the proof is over are left out.
    """
    waiting = Q(
        state=RequestState.UNVERIFIED, email_given__same_address=request.email_given, verification_expires_at__gt=now
    )
    rows = CancellationRequest.objects.select_for_update(of=("self",)).select_related("policy_version")
    by_key = {row.pk: row for row in rows.filter(Q(pk=request.pk) | waiting).order_by("pk")}
    return by_key.pop(request.pk), list(by_key.values())


def proven_along(others: Iterable[CancellationRequest], *, identified: bool) -> list[CancellationRequest]:
    """Those that the proof of the address proves as well.

    A mail whose sender our server could not authenticate needs more than the link: it is proven if this sender has
    shown that they know the account (`identified`).
    """
    return [request for request in others if identified or request.proof == Proof.LINK]


def is_authenticated_mail(request: CancellationRequest) -> bool:
    """Whether our mail server found that it came from the address. A form can be filled in by anybody: it counts with
    what the proven sender declares about the same contract, but the proof is not for another contract.
    """
    return request.channel == Channel.EMAIL and request.proof == Proof.LINK


def count_together(
    request: CancellationRequest, subscription: Subscription, others: Sequence[CancellationRequest]
) -> None:
    """Sets which of the declarations count for the request's end: the best for the sender. The caller matches it."""
    declarations = [request, *others]
    by_end = min(declarations, key=lambda each: (each.requested_end or date.min, each.received_at))
    by_receipt = min(
        declarations,
        key=lambda each: (_end_by(each, request, subscription, by_end.requested_end), each.received_at),
    )
    request.end_counts_of = None if by_end.requested_end == request.requested_end else by_end
    request.receipt_counts_of = None if by_receipt is request else by_receipt


def _end_by(
    declaration: CancellationRequest,
    request: CancellationRequest,
    subscription: Subscription,
    requested_end: date | None,
) -> datetime:
    """When the subscription would end by this declaration's receipt and policy version."""
    try:
        result = outcome(
            subscription,
            received_at=declaration.received_at,
            policy=declaration.policy_version,
            requested_end=requested_end,
            kind=Kind(request.kind_declared),
            ground_accepted=request.ground_accepted,
        )
    except ValueError:  # beyond the calendar
        return FAR_FUTURE
    return result.effective_at


def join(request: CancellationRequest, others: Sequence[CancellationRequest], now: datetime) -> None:
    """Marks the others as counted with the saved request. They keep their words, and are not decided on their own."""
    for other in others:
        other.account = request.account
        other.verified_at, other.joined_to = other.verified_at or now, request
        move(other, RequestState.SUPERSEDED, now)
        other.save()


def open_request_to_join(
    request: CancellationRequest, subscriptions: Sequence[Subscription]
) -> CancellationRequest | None:
    """The open request about the only contract that the sender can mean, locked; None if there is no single one.

    It must be of the same kind, and proven.
    """
    if len(subscriptions) != 1:
        return None
    rows = CancellationRequest.objects.select_for_update(of=("self",))
    rows = rows.select_related(
        "policy_version", "account", "subscription__account", "receipt_counts_of__policy_version"
    )
    return (
        rows.filter(
            subscription=subscriptions[0],
            state__in=OPEN,
            kind_declared=request.kind_declared,
            verified_at__isnull=False,
        )
        .exclude(pk=request.pk)
        .first()
    )


def join_open(lead: CancellationRequest, others: Sequence[CancellationRequest], now: datetime) -> bool:
    """Joins proven declarations to an open request, and moves its end if they make it sooner.

    Returns False, and changes nothing, if a refund was already approved for the later end: support decides.
    """
    assert lead.subscription is not None
    earlier = list(lead.joined.select_related("policy_version"))
    end, counted = lead.effective_at, (lead.receipt_counts_of, lead.end_counts_of)
    count_together(lead, lead.subscription, [*earlier, *others])
    sooner = _end_by(lead.counted_receipt, lead, lead.subscription, lead.counted_end)
    if end is not None and sooner >= end:
        lead.receipt_counts_of, lead.end_counts_of = counted
        join(lead, others, now)
        return True
    try:
        _move_end(lead, now)
    except RequestRefused:
        return False
    join(lead, others, now)
    return True


def _move_end(lead: CancellationRequest, now: datetime) -> None:
    """Raises RequestRefused if a refund is approved for the end that it had."""
    assert lead.subscription is not None
    lead.notice_waived_by, lead.notice_waived_ground = None, ""
    match(lead, lead.subscription)
    move_refund(lead, now)
    lead.save()
    if lead.state == RequestState.SCHEDULED:
        emit_request_event(EventType.REQUEST_SCHEDULED, lead, now)

"""Putting declarations of one proven sender about one contract together.

One proof of an address proves everything that was sent from it before. Each declaration keeps its own words, request
and time of receipt. One request carries the contract; the others are joined to it, and the best of them counts: the
receipt that gives the earliest end, and the earliest requested end date. Declarations of different kinds contradict
each other, so they are not joined: support decides.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db.models import Q, QuerySet

from accounts.models import Account
from billing.models import Subscription
from cancellations.letters.webhooks import emit_request_event
from cancellations.models import CancellationRequest, Channel, DeclineGround, Kind, Proof, ReviewMode
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.outcomes import Outcome, kind_before_outcome, outcome, outcome_of
from cancellations.services.common import RequestRefused, contracts_of, match, matching_account, move
from cancellations.services.refunds import move_refund, queue_requested_refund
from messaging.models import EventType

FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Expected:
    """What a declaration would lead to for one contract: the end with everything that counts together with it.

    `lead` is the open request that it would join, if there is one.
    """

    subscription: Subscription
    outcome: Outcome
    lead: CancellationRequest | None

    @property
    def keeps_end(self) -> bool:
        """Whether the open request keeps the end date that it has."""
        return self.lead is not None and not _is_sooner(self.outcome.effective_at, self.lead)

    @property
    def ends_on(self) -> date | None:
        """The end date; None if it ends at once."""
        if self.keeps_end and self.lead is not None:
            return self.lead.effective_on
        return None if self.outcome.at_once else self.outcome.effective_on


def lock_accounts_at(email: str) -> None:
    """Locks the accounts with the address, in the order of their keys.

    Everything that one sender declares at the same moment is decided one after the other.
    """
    accounts = Account.objects.filter(email__same_address=email).order_by("pk")
    list(accounts.select_for_update(no_key=True).values_list("pk"))


def waiting_at(email: str, now: datetime) -> QuerySet[CancellationRequest]:
    """Returns the declarations under the address that wait for proof, in the order of their keys."""
    waiting = CancellationRequest.objects.filter(state=RequestState.UNVERIFIED, verification_expires_at__gt=now)
    return waiting.filter(email_given__same_address=email).select_related("policy_version").order_by("pk")


def lock_unproven(request: CancellationRequest, now: datetime) -> tuple[CancellationRequest, list[CancellationRequest]]:
    """Locks the request and the other declarations under its address that wait for proof, in the order of their keys.

    Those whose time for the proof is over are left out.
    """
    keys = [request.pk, *waiting_at(request.email_given, now).values_list("pk", flat=True)]
    rows = CancellationRequest.objects.select_for_update(of=("self",)).select_related("policy_version")
    by_key = {row.pk: row for row in rows.filter(pk__in=keys).order_by("pk")}
    locked_request = by_key.pop(request.pk)
    return locked_request, [row for row in by_key.values() if row.state == RequestState.UNVERIFIED]


def proven_along(
    request: CancellationRequest,
    contracts: Iterable[Subscription],
    others: Iterable[CancellationRequest],
    now: datetime,
) -> list[CancellationRequest]:
    """Returns those of the others that the proof of the address proves as well: those that the sender sent.

    A mail whose sender our server could not authenticate needs more than the link: it is proven if this sender has
    shown that they know the account. A form can be filled in by anybody: it is proven if it is about one of the
    contracts that this declaration is about.
    """
    is_identified = request.proof == Proof.LINK_AND_NUMBER or matching_account(request) is not None
    keys = {contract.pk for contract in contracts}
    return [
        other
        for other in others
        if (is_identified or other.proof == Proof.LINK)
        and (is_authenticated_mail(other) or keys & {contract.pk for contract in contracts_of(other, now)})
    ]


def counted_with(
    declaration: CancellationRequest, subscriptions: Collection[Subscription], now: datetime
) -> QuerySet[CancellationRequest]:
    """Returns what waits for proof under the address of a signed-in customer and counts with their declaration.

    Forms with an earlier requested end date are left out: anybody can fill in a form, and the customer has just said
    when it shall end.
    """
    keys = [
        other.pk
        for other in waiting_at(declaration.email_given, now)
        if other.kind_declared == declaration.kind_declared
        and (is_authenticated_mail(other) or _asked_end(other) >= _asked_end(declaration))
        and set(subscriptions) & set(contracts_of(other, now))
    ]
    return CancellationRequest.objects.filter(pk__in=keys, state=RequestState.UNVERIFIED).order_by("pk")


def is_authenticated_mail(request: CancellationRequest) -> bool:
    """Whether our mail server found that it came from the address."""
    return request.channel == Channel.EMAIL and request.proof == Proof.LINK


def disown(requests: Iterable[CancellationRequest], now: datetime) -> None:
    """Declines declarations that the holder of the address did not send."""
    for request in requests:
        request.decline_ground = DeclineGround.NOT_ACCOUNT_HOLDER
        move(request, RequestState.DECLINED, now)
        request.save(update_fields=["state", "state_changed_at", "decline_ground"])


def expected(
    request: CancellationRequest, subscription: Subscription, others: Sequence[CancellationRequest], now: datetime
) -> Expected:
    """Returns what proving the request would lead to, without changing anything. Pass the others that it proves."""
    alike = about(subscription, [other for other in others if other.kind_declared == request.kind_declared], now)
    lead = _leads(request, subscription).first()
    if lead is None:
        count_together(request, subscription, alike)
        return Expected(subscription, outcome_of(request, subscription), None)
    count_together(lead, subscription, [*lead.joined.select_related("policy_version"), request, *alike])
    return Expected(subscription, outcome_of(lead, subscription), lead)


def about(
    subscription: Subscription, requests: Iterable[CancellationRequest], now: datetime
) -> list[CancellationRequest]:
    """Returns those of the requests that may be about the subscription."""
    return [request for request in requests if subscription in contracts_of(request, now)]


def count_together(
    request: CancellationRequest, subscription: Subscription, others: Sequence[CancellationRequest]
) -> None:
    """Sets which of the declarations count for the request's end: the best for the sender. The caller matches it."""
    declarations = [request, *others]
    dated = [each for each in declarations if not each.end_is_open] or [request]
    by_end = min(dated, key=lambda each: (_asked_end(each), each.received_at))
    by_receipt = min(
        declarations,
        key=lambda each: (_end_by(each, request, subscription, by_end.asked_end), each.received_at),
    )
    request.end_counts_of = None if by_end is request or by_end.asked_end == request.asked_end else by_end
    request.receipt_counts_of = None if by_receipt is request else by_receipt


def _asked_end(request: CancellationRequest) -> date:
    """Returns the requested end date for a comparison: without one, the customer asks for the earliest."""
    return request.asked_end or date.min


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
            kind=kind_before_outcome(request),
            ground_accepted=request.ground_accepted,
            sent_at=declaration.sent_at,
            sending_counts=request.sending_counts,
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


def open_request_to_join(request: CancellationRequest, subscription: Subscription) -> CancellationRequest | None:
    """Returns the open request of the same kind and sender about the subscription, locked; None if there is none."""
    return _leads(request, subscription).select_for_update(of=("self",)).first()


def _leads(request: CancellationRequest, subscription: Subscription) -> QuerySet[CancellationRequest]:
    """Returns the open request that the declaration joins: proven, by the same address or signed in to the account."""
    same_sender = Q(email_given__same_address=request.email_given) | Q(channel=Channel.SIGNED_IN)
    rows = CancellationRequest.objects.filter(
        same_sender, subscription=subscription, state__in=OPEN, kind_declared=request.kind_declared
    )
    rows = rows.exclude(pk=request.pk) if request.pk else rows
    return rows.filter(verified_at__isnull=False).select_related(
        "policy_version", "account", "subscription__account", "receipt_counts_of__policy_version", "end_counts_of"
    )


def join_open(lead: CancellationRequest, others: Sequence[CancellationRequest], now: datetime) -> bool:
    """Joins proven declarations to an open request, and moves its end if they make it sooner.

    Returns False, and changes nothing, if a refund was already approved for the later end: support decides.
    """
    assert lead.subscription is not None
    counted = (lead.receipt_counts_of, lead.end_counts_of)
    count_together(lead, lead.subscription, [*lead.joined.select_related("policy_version"), *others])
    sooner = _end_by(lead.counted_receipt, lead, lead.subscription, lead.counted_end)
    if _is_sooner(sooner, lead):
        try:
            _move_end(lead, now)
        except RequestRefused:
            return False
    else:
        lead.receipt_counts_of, lead.end_counts_of = counted
    join(lead, others, now)
    return True


def _is_sooner(end: datetime, lead: CancellationRequest) -> bool:
    return lead.effective_at is None or end < lead.effective_at


def _move_end(lead: CancellationRequest, now: datetime) -> None:
    """Raises RequestRefused if a refund is approved for the end that it had."""
    assert lead.subscription is not None
    lead.notice_waived_by, lead.notice_waived_ground = None, ""
    match(lead, lead.subscription)
    move_refund(lead, now)
    if lead.state == RequestState.IN_REVIEW and state_once_proven(lead) == RequestState.SCHEDULED:
        move(lead, RequestState.SCHEDULED, now)
        queue_requested_refund(lead, now)
    lead.save()
    if lead.state == RequestState.SCHEDULED:
        emit_request_event(EventType.REQUEST_SCHEDULED, lead, now)


def state_once_proven(request: CancellationRequest) -> RequestState:
    """Returns the state after proof: what ends at once by law needs no review, one for cause always does."""
    if request.subscription is None:
        return RequestState.IN_REVIEW
    if request.at_once:
        return RequestState.SCHEDULED
    if request.end_is_open:
        return RequestState.IN_REVIEW
    is_ordinary = request.kind_declared == Kind.ORDINARY
    mode = request.policy_version.review_mode
    return RequestState.SCHEDULED if is_ordinary and mode == ReviewMode.EXCEPTIONS else RequestState.IN_REVIEW

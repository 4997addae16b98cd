"""What a request means for a subscription: its end date and its refund, by one function."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from moneyed import Money

from billing.models import RefundBasis, Subscription
from billing.queries import quote, quoted_total
from billing.rules.periods import local_date, start_of_day
from cancellations.models import (
    CancellationRequest,
    Kind,
    PolicyVersion,
)
from cancellations.rules.cooling_off import assess_cooling_off, cooling_off_days, cooling_off_is_over, last_day
from cancellations.rules.notice import NoticeAssessment, assess, assess_for_cause, assess_trial


@dataclass(frozen=True)
class Outcome:
    """What a request means for a subscription: shown before it is sent, and decided by the same function.

    `kind` is the kind that counts: a cooling-off cancellation after its days counts as an ordinary one.
    """

    subscription: Subscription
    policy_version: PolicyVersion
    kind: Kind
    assessment: NoticeAssessment
    received_on: date
    effective_at: datetime
    refund: Money | None

    @property
    def effective_on(self) -> date:
        return self.assessment.effective_on

    @property
    def at_once(self) -> bool:
        """Whether it ends by its receipt, without waiting for a billing date."""
        return self.kind != Kind.ORDINARY and self.effective_on == self.received_on


def outcome(
    subscription: Subscription,
    *,
    received_at: datetime,
    policy: PolicyVersion,
    requested_end: date | None = None,
    kind: Kind = Kind.ORDINARY,
    ground_accepted: bool = False,
) -> Outcome:
    """The one place in which a request, a subscription and a policy version become an end date.

    A for-cause cancellation has the ordinary date until its ground is accepted. What ends at once ends at
    `received_at`. Raises ValueError where the wished end lies beyond the calendar.
    """
    zone = subscription.account.time_zone
    received_on = local_date(received_at, zone)
    ordinary = _trial(subscription, received_on, policy, requested_end) or assess(
        received_on=received_on,
        anchor=subscription.billing_anchor,
        interval=subscription.interval,
        notice_days=policy.notice_days,
        requested_end=requested_end,
    )
    at_once = _at_once(subscription, received_on, policy, kind, ordinary, ground_accepted)
    if kind == Kind.COOLING_OFF and at_once is None:
        kind, ordinary = Kind.ORDINARY, _too_late_to_cool_off(ordinary, subscription, policy)
    found = at_once or ordinary
    lines = quote(
        subscription,
        ended_on=found.effective_on,
        basis=computed_basis(kind),
        whole_contract=kind == Kind.COOLING_OFF,
    )
    return Outcome(
        subscription=subscription,
        policy_version=policy,
        kind=kind,
        assessment=found,
        received_on=received_on,
        effective_at=received_at if at_once else start_of_day(found.effective_on, zone),
        refund=quoted_total(lines),
    )


def _at_once(
    subscription: Subscription,
    received_on: date,
    policy: PolicyVersion,
    kind: Kind,
    ordinary: NoticeAssessment,
    ground_accepted: bool,
) -> NoticeAssessment | None:
    """The assessment of what ends by its receipt; None where it waits for its date."""
    if kind == Kind.COOLING_OFF:
        return _cooling_off(subscription, received_on, policy)
    if kind == Kind.FOR_CAUSE and ground_accepted:
        return assess_for_cause(ordinary, received_on=received_on)
    return None


def computed_basis(kind: Kind) -> RefundBasis:
    """What a refund is computed by: within the cooling-off days all is returned, otherwise the unused part."""
    return RefundBasis.FULL if kind == Kind.COOLING_OFF else RefundBasis.UNUSED


def outcome_of(request: CancellationRequest, subscription: Subscription) -> Outcome:
    """The outcome that this request has for the subscription, by today's data."""
    return outcome(
        subscription,
        received_at=request.received_at,
        policy=request.policy_version,
        requested_end=request.requested_end,
        kind=Kind(request.kind),
        ground_accepted=request.ground_accepted,
    )


def may_cool_off(subscription: Subscription, *, now: datetime, policy: PolicyVersion) -> bool:
    """Whether the day lies within the subscription's cooling-off days."""
    return _cooling_off(subscription, local_date(now, subscription.account.time_zone), policy) is not None


def _cooling_off(subscription: Subscription, received_on: date, policy: PolicyVersion) -> NoticeAssessment | None:
    return assess_cooling_off(
        received_on=received_on,
        started_on=subscription.started_on,
        cooling_off_days=cooling_off_days(policy.cooling_off_days, subscription.account.country),
        country=subscription.account.country,
        anchor=subscription.billing_anchor,
        interval=subscription.interval,
    )


def _too_late_to_cool_off(
    ordinary: NoticeAssessment, subscription: Subscription, policy: PolicyVersion
) -> NoticeAssessment:
    country = subscription.account.country
    days = cooling_off_days(policy.cooling_off_days, country)
    last = last_day(started_on=subscription.started_on, days=days, country=country)
    received, *working = ordinary.steps
    return replace(ordinary, steps=(received, cooling_off_is_over(last), *working))


def _trial(
    subscription: Subscription, received_on: date, policy: PolicyVersion, requested_end: date | None
) -> NoticeAssessment | None:
    if subscription.trial_ends_on is None:
        return None
    return assess_trial(
        received_on=received_on,
        trial_ends_on=subscription.trial_ends_on,
        trial_notice_days=policy.trial_notice_days,
        requested_end=requested_end,
    )


def difference_since(request: CancellationRequest) -> Outcome | None:
    """The outcome that today's data would give, where it differs from the frozen one; for staff to decide."""
    if request.subscription is None or request.effective_on is None or request.notice_waived_by_id:
        return None
    fresh = outcome_of(request, request.subscription)
    return fresh if fresh.effective_on != request.effective_on else None

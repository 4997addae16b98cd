"""The outcome of a request for a subscription: its end date and its refund, calculated by one function."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from django.utils.translation import gettext_noop
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

COUNTS_AS_ORDINARY = gettext_noop("The cooling-off days were over when it was received")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request for a subscription, used for the preview and for the decision.

    `kind` is the kind that counts: a cooling-off cancellation received too late counts as an ordinary one.
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
        """Whether the subscription ends at the time of receipt instead of on a billing date."""
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
    """Calculates the outcome from a request, a subscription and a policy version. Nothing else does.

    A for-cause cancellation has the ordinary date until its ground is accepted. A subscription that ends at once
    ends at `received_at`. Raises ValueError if the requested end is outside the calendar.
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
    assessment = at_once or ordinary
    lines = quote(
        subscription,
        ended_on=assessment.effective_on,
        basis=computed_basis(kind),
        whole_contract=kind == Kind.COOLING_OFF,
    )
    return Outcome(
        subscription=subscription,
        policy_version=policy,
        kind=kind,
        assessment=assessment,
        received_on=received_on,
        effective_at=received_at if at_once else start_of_day(assessment.effective_on, zone),
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
    """Returns the assessment of a request that ends at its receipt; None for any other."""
    if kind == Kind.COOLING_OFF:
        return _cooling_off(subscription, received_on, policy)
    if kind == Kind.FOR_CAUSE and ground_accepted:
        return assess_for_cause(ordinary, received_on=received_on)
    return None


def computed_basis(kind: Kind) -> RefundBasis:
    """Returns the basis of a refund: the full amount within the cooling-off days, otherwise the unused part."""
    return RefundBasis.FULL if kind == Kind.COOLING_OFF else RefundBasis.UNUSED


def outcome_of(request: CancellationRequest, subscription: Subscription) -> Outcome:
    """Returns the outcome of the request for the subscription, by its current data."""
    return outcome(
        subscription,
        received_at=request.counted_receipt.received_at,
        policy=request.counted_receipt.policy_version,
        requested_end=request.counted_end,
        kind=kind_before_outcome(request),
        ground_accepted=request.ground_accepted,
    )


def kind_before_outcome(request: CancellationRequest) -> Kind:
    """Returns the kind as declared or as support changed it. The days decide anew whether a cooling-off one is late."""
    return Kind(request.kind_declared if request.kind_ground == COUNTS_AS_ORDINARY else request.kind)


def may_cool_off(subscription: Subscription, *, now: datetime, policy: PolicyVersion) -> bool:
    """Whether the subscription is within its cooling-off days."""
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
    received, *rest = ordinary.steps
    return replace(ordinary, steps=(received, cooling_off_is_over(last), *rest))


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
    """Returns the outcome by current data if its end date differs from the frozen one, for staff to decide."""
    if request.subscription is None or request.effective_on is None or request.notice_waived_by_id:
        return None
    current = outcome_of(request, request.subscription)
    return current if current.effective_on != request.effective_on else None

"""The outcome of a request for a subscription: its end date and its refund, calculated by one function."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from django.conf import settings
from django.utils.translation import gettext_noop
from moneyed import Money

from accounts.models import Account, CustomerType
from billing.models import EndedBy, RefundBasis, Subscription
from billing.queries import quote, quoted_total
from billing.rules.periods import local_date, start_of_day
from cancellations.models import (
    CancellationRequest,
    Kind,
    PolicyVersion,
    RenewalReminder,
)
from cancellations.rules.cooling_off import (
    CoolingOff,
    assess_cooling_off,
    cooling_off_is_over,
    cooling_off_refund_days,
    cooling_off_sent,
    cooling_off_term,
)
from cancellations.rules.end_date import Contract, End, Terms, assess_end
from cancellations.rules.notice import NoticeAssessment, assess_for_cause
from cancellations.rules.reminders import reminder_rule
from cancellations.rules.terms import SpecialTerms

COUNTS_AS_ORDINARY = gettext_noop("The cooling-off days were over when it was received")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request for a subscription, used for the preview and for the decision.

    `kind` is the kind that counts: a cooling-off cancellation received too late counts as an ordinary one. `end` holds
    the dates of the policy and of the law for an ordinary end. `refund_days` are the calendar days from the end within
    which the law wants the money paid back; None where it sets none.
    """

    subscription: Subscription
    policy_version: PolicyVersion
    kind: Kind
    assessment: NoticeAssessment
    received_on: date
    effective_at: datetime
    at_once: bool
    end: End
    refund: Money | None
    refund_basis: RefundBasis
    refund_days: int | None

    @property
    def effective_on(self) -> date:
        return self.assessment.effective_on


def outcome(
    subscription: Subscription,
    *,
    received_at: datetime,
    policy: PolicyVersion,
    requested_end: date | None = None,
    kind: Kind = Kind.ORDINARY,
    ground_accepted: bool = False,
    sent_at: datetime | None = None,
    sending_counts: bool = False,
) -> Outcome:
    """Calculates the outcome from a request, a subscription and a policy version. Nothing else does.

    A for-cause cancellation has the ordinary date until its ground is accepted. A subscription that ends at once
    ends at `received_at`. `sent_at` is when the sender of a mail says that it was sent; the cooling-off days are met
    by it if support decided so (`sending_counts`). Raises ValueError if the requested end is outside the calendar.
    """
    zone = subscription.account.time_zone
    received_on = local_date(received_at, zone)
    terms = terms_of(policy, subscription)
    end = assess_end(contract_of(subscription), terms, received_on=received_on, requested_end=requested_end)
    ordinary, at_once = end.assessment, None
    if kind == Kind.COOLING_OFF:
        sent_on = local_date(sent_at, zone) if sent_at is not None else None
        at_once = _cooling_off(subscription, received_on, policy, sent_on if sending_counts else None)
        if at_once is None:
            kind, ordinary = Kind.ORDINARY, _too_late_to_cool_off(ordinary, subscription, policy, sent_on)
    elif kind == Kind.FOR_CAUSE and ground_accepted:
        at_once = assess_for_cause(ordinary, received_on=received_on)
    assessment = at_once or ordinary
    ends_at_receipt = at_once is not None or assessment.effective_on == received_on  # the law may want that, too
    basis = computed_basis(kind, subscription)
    lines = quote(
        subscription,
        ended_on=assessment.effective_on,
        basis=basis,
        whole_contract=kind == Kind.COOLING_OFF,
    )
    return Outcome(
        subscription=subscription,
        policy_version=policy,
        kind=kind,
        assessment=assessment,
        received_on=received_on,
        effective_at=received_at if ends_at_receipt else start_of_day(assessment.effective_on, zone),
        at_once=ends_at_receipt,
        end=end,
        refund=quoted_total(lines),
        refund_basis=basis,
        refund_days=_refund_days(kind, subscription.account, end),
    )


def contract_of(subscription: Subscription) -> Contract:
    """Returns what the end of the subscription depends on."""
    account = subscription.account
    return Contract(
        started_on=subscription.started_on,
        anchor=subscription.billing_anchor,
        interval=subscription.interval,
        trial_ends_on=subscription.trial_ends_on,
        minimum_term_ends_on=subscription.minimum_term_ends_on,
        concluded_on=subscription.concluded_on,
        reminded_on=subscription.reminded_on,
        country=account.country,
        is_consumer=is_consumer(account),
        is_type_assumed=account.customer_type == CustomerType.UNKNOWN,
        further_reminders=_reminders_sent(subscription),
        ends_elsewhere_on=subscription.ended_on if subscription.ended_by == EndedBy.CRM else None,
    )


def _reminders_sent(subscription: Subscription) -> tuple[date, ...]:
    """Returns the days on which the portal reminded of a renewal, where the law looks at them."""
    if subscription.pk is None or reminder_rule(subscription.account.country, subscription.account.region) is None:
        return ()
    sent = RenewalReminder.objects.filter(subscription=subscription)
    return tuple(sent.order_by("reminded_on").values_list("reminded_on", flat=True))


def is_consumer(account: Account) -> bool:
    """Whether the law for consumers applies. `UNKNOWN_CUSTOMERS` says how an account of an unknown type counts."""
    known = account.customer_type != CustomerType.UNKNOWN
    return (account.customer_type if known else settings.UNKNOWN_CUSTOMERS) == CustomerType.CONSUMER


def terms_of(policy: PolicyVersion, subscription: Subscription) -> Terms:
    """Returns the notice that the policy asks of the subscription: its special terms, or else the version's own."""
    notice = policy.special_for(subscription, "notice_days")
    trial = policy.special_for(subscription, "trial_notice_days")
    return Terms(
        notice.notice_days if notice and notice.notice_days is not None else policy.notice_days,
        trial.trial_notice_days if trial and trial.trial_notice_days is not None else policy.trial_notice_days,
        special_notice=_level(notice),
        special_trial_notice=_level(trial),
    )


def _level(special: SpecialTerms | None) -> str:
    if special is None:
        return ""
    return "plan" if special.plan_code else "interval"


def computed_basis(kind: Kind, subscription: Subscription) -> RefundBasis:
    """Returns the basis that a refund is computed on.

    Within the cooling-off days that is the full amount, or the unused part if the customer expressly asked to start
    within them (Directive 2011/83/EU, article 14(3)); otherwise it is the unused part.
    """
    is_full = kind == Kind.COOLING_OFF and subscription.start_requested_on is None
    return RefundBasis.FULL if is_full else RefundBasis.UNUSED


def _refund_days(kind: Kind, account: Account, end: End) -> int | None:
    if kind == Kind.COOLING_OFF:
        return cooling_off_refund_days(account.country) if is_consumer(account) else None
    return end.law.refund_days if end.law is not None and end.is_by_law else None


def outcome_of(request: CancellationRequest, subscription: Subscription) -> Outcome:
    """Returns the outcome of the request for the subscription, by its current data."""
    return outcome(
        subscription,
        received_at=request.counted_receipt.received_at,
        policy=request.counted_receipt.policy_version,
        requested_end=request.counted_end,
        kind=kind_before_outcome(request),
        ground_accepted=request.ground_accepted,
        sent_at=request.counted_receipt.sent_at,
        sending_counts=request.sending_counts,
    )


def kind_before_outcome(request: CancellationRequest) -> Kind:
    """Returns the kind as declared or as support changed it. The days decide anew whether a cooling-off one is late."""
    return Kind(request.kind_declared if request.kind_ground == COUNTS_AS_ORDINARY else request.kind)


def may_cool_off(subscription: Subscription, *, now: datetime, policy: PolicyVersion) -> bool:
    """Whether the subscription is within its cooling-off days."""
    return _cooling_off(subscription, local_date(now, subscription.account.time_zone), policy, None) is not None


def cooling_off_of(subscription: Subscription, policy: PolicyVersion) -> CoolingOff:
    """Returns the cooling-off days of the subscription, by the policy or by the law where it gives more."""
    account = subscription.account
    return cooling_off_term(
        started_on=max(subscription.started_on, subscription.concluded_on or date.min),
        policy_days=policy.cooling_off_days,
        country=account.country if is_consumer(account) else "",
    )


def is_sent_in_time(request: CancellationRequest) -> bool:
    """Whether a mail says that it was sent within the cooling-off days, although it arrived after them."""
    receipt, subscription = request.counted_receipt, request.subscription
    if receipt.sent_at is None or subscription is None or request.kind_declared != Kind.COOLING_OFF:
        return False
    last = cooling_off_of(subscription, receipt.policy_version).last
    zone = subscription.account.time_zone
    return local_date(receipt.sent_at, zone) <= last < local_date(receipt.received_at, zone)


def _cooling_off(
    subscription: Subscription, received_on: date, policy: PolicyVersion, sent_on: date | None
) -> NoticeAssessment | None:
    return assess_cooling_off(
        received_on=received_on,
        sent_on=sent_on,
        term=cooling_off_of(subscription, policy),
        anchor=subscription.billing_anchor,
        interval=subscription.interval,
    )


def _too_late_to_cool_off(
    ordinary: NoticeAssessment, subscription: Subscription, policy: PolicyVersion, sent_on: date | None
) -> NoticeAssessment:
    last = cooling_off_of(subscription, policy).last
    received, *rest = ordinary.steps
    sent = (cooling_off_sent(sent_on),) if sent_on is not None and sent_on <= last else ()
    return replace(ordinary, steps=(received, cooling_off_is_over(last), *sent, *rest))


def difference_since(request: CancellationRequest) -> Outcome | None:
    """Returns the outcome by current data if its end date differs from the frozen one, for staff to decide."""
    if request.subscription is None or request.effective_on is None or request.notice_waived_by_id:
        return None
    current = outcome_of(request, request.subscription)
    return current if current.effective_on != request.effective_on else None

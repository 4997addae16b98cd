"""The refund of a request: queueing its review, moving it with the end date, and voiding it with the request."""

from datetime import date, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from billing.models import Refund
from billing.models.states import UNDECIDED, VOIDABLE, RefundState
from billing.queries import prepaid_beyond, was_ever_paid
from billing.services.review import redate, request_refund, void
from cancellations.models import CancellationRequest, Kind
from cancellations.queries.outcomes import computed_basis
from cancellations.services.common import RequestRefused, review_terms
from messaging.wording import day_words

UNDER_WAY = (RefundState.SENDING, RefundState.PAID, RefundState.FAILED)


def queue_refund(request: CancellationRequest, now: datetime) -> None:
    """Queues a refund review if one is due and none is open. The caller saves the request.

    A review is due if the customer requests a refund, for each cooling-off and for-cause cancellation of a
    subscription that was ever paid, and if a payment reaches past the end date. After an earlier review, only
    payments received since then count.
    """
    subscription, previous = request.subscription, request.refund
    assert subscription is not None
    assert request.effective_on is not None
    is_not_ordinary = request.kind != Kind.ORDINARY or request.kind_declared != Kind.ORDINARY
    is_due, since = request.refund_wanted or (is_not_ordinary and was_ever_paid(subscription)), None
    if previous is not None and previous.state in UNDECIDED:
        return
    if previous is not None and previous.state != RefundState.VOID:
        is_due, since = False, previous.requested_at
    if is_due or prepaid_beyond(subscription, request.effective_on, received_after=since):
        request.refund = request_refund(
            subscription=subscription,
            ended_on=request.effective_on,
            about=request.declaration,
            notify=request.email_given,
            language=request.language,
            customer_reason=request.refund_reason or request.cause,
            now=now,
            **_computation_terms(request),
            **review_terms(request.policy_version),
        )


def _computation_terms(request: CancellationRequest) -> dict[str, Any]:
    assert request.subscription is not None
    kind = Kind(request.kind)
    return {
        "computed_basis": request.refund_basis or computed_basis(kind, request.subscription),
        "whole_contract": kind == Kind.COOLING_OFF,
        "pay_by_on": _statutory_pay_by(request),
    }


def _statutory_pay_by(request: CancellationRequest) -> date | None:
    """Returns the last day to pay the money back where the law sets one, else None."""
    if request.refund_days is None or request.effective_on is None:
        return None
    return request.effective_on + timedelta(days=request.refund_days)


def queue_requested_refund(request: CancellationRequest, now: datetime) -> None:
    """Queues a refund that the customer requested, without waiting for the end date. The caller saves the request."""
    if request.refund_wanted and not request.at_once:
        queue_refund(request, now)


def move_refund(request: CancellationRequest, now: datetime) -> None:
    """Restarts an open refund review after the request's end date or kind changed.

    Raises RequestRefused if an amount is already approved for the old end date.
    """
    refund = _locked_refund(request)
    if refund is None or request.effective_on is None or refund.state in (RefundState.DECLINED, RefundState.VOID):
        return
    for each in (refund, *refund.others.exclude(state__in=(RefundState.DECLINED, RefundState.VOID))):
        if each.state not in UNDECIDED:
            raise RequestRefused(
                f"The refund {each} is approved for {day_words(each.ended_on)}. Ask finance to void it first."
            )
    redate(refund=refund, ended_on=request.effective_on, now=now, **_computation_terms(request))


def void_refund(request: CancellationRequest, ground: str, now: datetime) -> None:
    """Voids the refund of a request that will not take effect. A refund whose payment has started is left alone."""
    refund = _locked_refund(request)
    if refund is not None and refund.state in VOIDABLE:
        void(refund=refund, ground=ground, now=now)


def refuse_while_refund_is_under_way(request: CancellationRequest) -> None:
    """Raises RequestRefused if the refund of the request is being paid or paid: it can no longer be withdrawn."""
    refund = _locked_refund(request)
    for each in (refund, *refund.others.all()) if refund else ():
        if each.state in UNDER_WAY:
            raise RequestRefused(
                _(
                    "The refund %(refund)s of this cancellation is on its way to you already, so it cannot be taken "
                    "back here. Please write to us."
                )
                % {"refund": each}
            )


def _locked_refund(request: CancellationRequest) -> Refund | None:
    return Refund.objects.select_for_update().filter(pk=request.refund_id).first() if request.refund_id else None

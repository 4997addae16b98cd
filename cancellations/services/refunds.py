"""The refund that a request leads to: queued, moved with its end date, and void with it."""

from datetime import date, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from billing.models import Refund
from billing.models.states import UNDECIDED, VOIDABLE, RefundState
from billing.queries import prepaid_beyond, was_ever_paid
from billing.rules.periods import local_date
from billing.services.review import redate, request_refund, void
from cancellations.models import CancellationRequest, Kind
from cancellations.queries.outcomes import computed_basis
from cancellations.rules.jurisdictions import COOLING_OFF
from cancellations.services.common import RequestRefused, review_terms
from messaging.wording import day_words

UNDER_WAY = (RefundState.SENDING, RefundState.PAID, RefundState.FAILED)


def queue_refund(request: CancellationRequest, now: datetime) -> None:
    """Queues the review where one is due and none is open; the caller saves the request.

    It is due when the customer asks for a refund, for each cooling-off and for-cause cancellation of a
    subscription that was ever paid, and when a payment reaches past the end. After an earlier review, only
    for money that came in since.
    """
    subscription, earlier = request.subscription, request.refund
    assert subscription is not None
    assert request.effective_on is not None
    special = request.kind != Kind.ORDINARY or request.kind_declared != Kind.ORDINARY
    asked, since = request.refund_wanted or (special and was_ever_paid(subscription)), None
    if earlier is not None and earlier.state in UNDECIDED:
        return
    if earlier is not None and earlier.state != RefundState.VOID:
        asked, since = False, earlier.requested_at
    if asked or prepaid_beyond(subscription, request.effective_on, received_after=since):
        request.refund = request_refund(
            subscription=subscription,
            ended_on=request.effective_on,
            about=request.declaration,
            notify=request.email_given,
            language=request.language,
            customer_reason=request.refund_reason or request.cause,
            now=now,
            **_computed_from(request),
            **review_terms(request.policy_version),
        )


def _computed_from(request: CancellationRequest) -> dict[str, Any]:
    kind = Kind(request.kind)
    return {
        "computed_basis": computed_basis(kind),
        "whole_contract": kind == Kind.COOLING_OFF,
        "pay_by_on": _last_day_by_law(request),
    }


def _last_day_by_law(request: CancellationRequest) -> date | None:
    """Money of a cooling-off cancellation is returned within some days of the declaration, wherever that is law."""
    assert request.account is not None
    if request.kind != Kind.COOLING_OFF or request.account.country not in COOLING_OFF.countries:
        return None
    return local_date(request.received_at, request.time_zone) + timedelta(days=COOLING_OFF.refund_days)


def queue_refund_asked_for(request: CancellationRequest, now: datetime) -> None:
    """Who asks for a refund does not wait for the end date to have it decided; the caller saves the request."""
    if request.refund_wanted and not request.at_once:
        queue_refund(request, now)


def move_refund(request: CancellationRequest, now: datetime) -> None:
    """The request's end date or kind was changed: a review that is open starts anew from the new one.

    Raises RequestRefused where a sum was approved for the old one.
    """
    refund = _locked_refund(request)
    if refund is None or request.effective_on is None or refund.state in (RefundState.DECLINED, RefundState.VOID):
        return
    if refund.state not in UNDECIDED:
        raise RequestRefused(
            f"The refund {refund} was approved for {day_words(refund.ended_on)}. Have finance void it first."
        )
    redate(refund=refund, ended_on=request.effective_on, now=now, **_computed_from(request))


def void_refund(request: CancellationRequest, ground: str, now: datetime) -> None:
    """The request has lost its effect, and the refund its cause; money that moves already is left alone."""
    refund = _locked_refund(request)
    if refund is not None and refund.state in VOIDABLE:
        void(refund=refund, ground=ground, now=now)


def refuse_while_refunded(request: CancellationRequest) -> None:
    """Raises RequestRefused where money is under way because of the request: it cannot be taken back any more."""
    refund = _locked_refund(request)
    if refund is not None and refund.state in UNDER_WAY:
        raise RequestRefused(
            _(
                "The refund %(refund)s of this cancellation is on its way to you already, so it cannot be taken back "
                "here. Please write to us."
            )
            % {"refund": refund}
        )


def _locked_refund(request: CancellationRequest) -> Refund | None:
    return Refund.objects.select_for_update().filter(pk=request.refund_id).first() if request.refund_id else None

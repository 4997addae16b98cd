"""The verbs of a refund and the end of a subscription. The only writers of these rows.

Locks are taken in one order everywhere: subscription, refund, payments by key.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pghistory
from django.conf import settings
from django.db import IntegrityError, transaction
from moneyed import Money

from accounts.models import User
from billing.clocks import add_working_days
from billing.models import EndedBy, Payment, Refund, RefundBasis, RefundLine, Subscription
from billing.periods import local_date
from billing.proration import minor_unit_digits
from billing.queries import QuotedLine, approvals_needed, quote, quoted_total
from billing.states import IllegalTransition, RefundState
from billing.wording import day_words, money_words
from messaging.services import queue_message


class RefundRefused(Exception):
    """The verb is refused for a reason that the person can act on. Nothing was changed."""


def end_subscription(*, subscription: Subscription, ended_on: date) -> None:
    """Ends the subscription; `ended_on` is its first day without service. An earlier end stands."""
    locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
    if locked.ended_on is None or locked.ended_on > ended_on:
        locked.ended_on, locked.ended_by = ended_on, EndedBy.PORTAL
        locked.save(update_fields=["ended_on", "ended_by"])


def request_refund(
    *,
    subscription: Subscription,
    ended_on: date,
    about: str,
    notify: str,
    customer_reason: str,
    decision_days: int,
    payment_days: int,
    approval_limits: Mapping[str, str],
    now: datetime,
) -> Refund:
    """Queues a refund review. The day counts are working days of the company's country (policy 2.2)."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    return Refund.objects.create(
        account_id=subscription.account_id,
        subscription=subscription,
        about=about,
        notify=notify,
        customer_reason=customer_reason,
        ended_on=ended_on,
        requested_at=now,
        state_changed_at=now,
        approval_limits=dict(approval_limits),
        decision_due_on=add_working_days(today, decision_days, settings.COMPANY_COUNTRY),
        payment_days=payment_days,
    )


@transaction.atomic
def propose(
    *, refund: Refund, basis: str, by: User, now: datetime, amount: Decimal | None = None, ground: str = ""
) -> Refund:
    """Proposes a sum; proposing anew makes that person the proposer.

    `amount` (in the payments' currency) and `ground` belong to the basis `custom`. Raises RefundRefused,
    IllegalTransition.
    """
    with pghistory.context(verb="propose", by=by.pk, why=ground):
        refund = _locked(refund, "propose", RefundState.REQUESTED, RefundState.PROPOSED)
        if refund.state == RefundState.PROPOSED:
            _move(refund, RefundState.REQUESTED, now)
            refund.approved_by = None
            refund.save(update_fields=["state", "state_changed_at", "approved_by"])
        refund.lines.all().delete()
        lines = _lines(refund, basis, amount, ground)
        total = quoted_total(lines)
        if total is None or total.amount <= 0:
            raise RefundRefused("Nothing can be returned on this basis. Decline the refund, or choose another basis.")
        for line in sorted(lines, key=lambda line: line.payment.pk):
            _add_line(refund, line)
        refund.basis, refund.amount, refund.proposal_ground = basis, total, ground
        refund.proposed_by, refund.approvals_needed = by, approvals_needed(refund, total)
        _move(refund, RefundState.PROPOSED, now)
        refund.save()
    return refund


@transaction.atomic
def approve(*, refund: Refund, by: User, now: datetime, ground: str = "") -> Refund:
    """Approves what somebody else proposed; above the policy's limit it takes two people, one after the other.

    Raises RefundRefused, IllegalTransition.
    """
    with pghistory.context(verb="approve", by=by.pk, why=ground):
        refund = _locked(refund, "approve", RefundState.PROPOSED)
        if by.pk == refund.proposed_by_id:
            raise RefundRefused("You proposed this refund. Somebody else has to approve it.")
        if by.pk == refund.approved_by_id:
            raise RefundRefused("You approved it already. Above the limit a second person has to approve it, too.")
        if refund.approved_by_id is None:
            refund.approved_by = by
        else:
            refund.second_approved_by = by
        if refund.approvals_needed == 1 or refund.second_approved_by_id:
            _move(refund, RefundState.APPROVED, now)
            today = local_date(now, settings.COMPANY_TIME_ZONE)
            refund.payment_due_on = add_working_days(today, refund.payment_days, settings.COMPANY_COUNTRY)
        refund.decision_ground = ground
        _save_guarded(refund)
        if refund.state == RefundState.APPROVED:
            _tell(refund, "refund_approved", now)
    return refund


@transaction.atomic
def decline(*, refund: Refund, by: User, ground: str, now: datetime) -> Refund:
    """Declines a refund; the ground goes to the customer. Raises RefundRefused, IllegalTransition."""
    if not ground.strip():
        raise RefundRefused("State the ground: the customer reads it.")
    with pghistory.context(verb="decline", by=by.pk, why=ground):
        refund = _locked(refund, "decline", RefundState.REQUESTED, RefundState.PROPOSED)
        refund.declined_by, refund.decision_ground = by, ground.strip()
        _move(refund, RefundState.DECLINED, now)
        refund.save()
        _tell(refund, "refund_declined", now)
    return refund


@transaction.atomic
def settle(*, refund: Refund, by: User, reference: str, paid_on: date, now: datetime) -> Refund:
    """Records that an approved refund was paid by hand (the manual gateway), with its reference and date.

    Raises RefundRefused, IllegalTransition.
    """
    if not reference.strip():
        raise RefundRefused("Enter the reference of the transfer: it proves the payment.")
    if paid_on > local_date(now, settings.COMPANY_TIME_ZONE):
        raise RefundRefused("The day of payment lies in the future. Mark it as paid once the money has left.")
    with pghistory.context(verb="settle", by=by.pk, why=reference):
        refund = _locked(refund, "settle", RefundState.APPROVED, RefundState.SENDING, RefundState.FAILED)
        if refund.state == RefundState.APPROVED:
            _move(refund, RefundState.SENDING, now)
            refund.save(update_fields=["state", "state_changed_at"])
        refund.settlement_reference, refund.paid_on, refund.settled_by = reference.strip(), paid_on, by
        _move(refund, RefundState.PAID, now)
        _save_guarded(refund)
        _tell(refund, "refund_paid", now)
    return refund


def _locked(refund: Refund, verb: str, *allowed: RefundState) -> Refund:
    found = Refund.objects.select_for_update().get(pk=refund.pk)
    if found.state not in allowed:
        raise IllegalTransition(reference=found.reference, state=found.state, verb=verb)
    return found


def _move(refund: Refund, state: RefundState, now: datetime) -> None:
    refund.state, refund.state_changed_at = state, now


def _lines(refund: Refund, basis: str, amount: Decimal | None, ground: str) -> list[QuotedLine]:
    payments = Payment.objects.filter(subscription_id=refund.subscription_id).order_by("pk")
    list(payments.select_for_update())  # held until the lines are written
    if basis != RefundBasis.CUSTOM:
        return [line for line in quote(refund.subscription, ended_on=refund.ended_on, basis=basis) if line.amount]
    if amount is None or amount <= 0 or not ground.strip():
        raise RefundRefused("Another amount needs a sum above zero and a ground.")
    return _spread(refund, amount)


def _spread(refund: Refund, amount: Decimal) -> list[QuotedLine]:
    """Lays a free amount over the payments, the newest period first, each up to what it can still return."""
    lines = quote(refund.subscription, ended_on=refund.ended_on, used_up=True)
    if not lines:
        raise RefundRefused("No payment is known for this subscription, so there is nothing to return.")
    currency = lines[0].payment.amount.currency
    if amount != round(amount, digits := minor_unit_digits(currency)):
        raise RefundRefused(f"{currency} has {digits} decimals; {amount} has more.")
    left, spread = amount, []
    for line in lines:
        share = min(left, line.returnable.amount)
        if share > 0:
            spread.append(replace(line, amount=Money(share, currency)))
            left -= share
    if left > 0:
        most, wanted = money_words(Money(amount - left, currency)), money_words(Money(amount, currency))
        raise RefundRefused(f"The payments of this subscription can return {most} at most, not {wanted}.")
    return spread


def _add_line(refund: Refund, line: QuotedLine) -> None:
    try:
        with transaction.atomic():
            RefundLine.objects.create(
                refund=refund,
                payment=line.payment,
                amount=line.amount.amount,
                unused_days=line.unused_days,
                period_days=line.period_days,
            )
    except IntegrityError as error:
        raise RefundRefused(f"More would be returned of {line.payment.reference} than was paid.") from error


def _save_guarded(refund: Refund) -> None:
    try:
        with transaction.atomic():
            refund.save()
    except IntegrityError as error:
        raise RefundRefused(f"The database refuses this: {str(error).splitlines()[0]}.") from error


def _tell(refund: Refund, kind: str, now: datetime) -> None:
    context = {
        "reference": refund.reference,
        "about": refund.about,
        "plan": refund.subscription.plan_name,
        "amount": money_words(refund.amount),
        "breakdown": [_line_words(line) for line in refund.lines.select_related("payment").order_by("pk")],
        "ground": refund.decision_ground,
        "payment_due": day_words(refund.payment_due_on),
        "paid_on": day_words(refund.paid_on),
        "settlement_reference": refund.settlement_reference,
    }
    queue_message(kind=kind, recipient=refund.notify, context=context, now=now, about=refund.about or refund.reference)


def _line_words(line: RefundLine) -> str:
    shares = f"{money_words(line.money)} of {money_words(line.payment.amount)}"
    return f"{line.payment.reference}: {shares}, {line.unused_days} of {line.period_days} days unused"

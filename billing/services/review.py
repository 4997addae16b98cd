"""The review of a refund: requested, proposed by one person, approved or declined by another, or voided."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from moneyed import Money

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.gateways import smallest_amounts
from billing.models import Payment, Refund, RefundBasis, RefundLine, Subscription
from billing.models.states import UNDECIDED, VOIDABLE, RefundState
from billing.queries import (
    QuotedLine,
    approvals_needed,
    in_other_currencies,
    is_charged_back,
    payments_with_returned,
    quote,
    quoted_total,
)
from billing.rules.periods import local_date
from billing.rules.working_days import add_working_days
from billing.services.common import (
    RefundRefused,
    locked,
    move,
    notify_customer,
    notify_of_proposal,
    refuse_disputed,
    save_guarded,
)
from billing.webhooks import emit_refund_event
from messaging.currencies import minor_unit_digits
from messaging.models import EventType
from messaging.wording import money_words


def request_refund(
    *,
    subscription: Subscription,
    ended_on: date,
    about: str,
    notify: str,
    language: str,
    customer_reason: str,
    decision_days: int,
    payment_days: int,
    approval_limits: Mapping[str, str],
    now: datetime,
    computed_basis: str = RefundBasis.UNUSED,
    computed_ground: str = "",
    whole_contract: bool = False,
    pay_by_on: date | None = None,
) -> Refund:
    """Queues a refund review. The day counts are working days of the company's country (policy 2.2).

    `language` (BCP 47) is the customer's. If the law sets a last day (`pay_by_on`), nothing falls due after it.

    The proposal starts from `computed_basis`; `whole_contract` includes payments for past periods.
    """
    refund = _review(
        now=now,
        subscription=subscription,
        decision_days=decision_days,
        pay_by_on=pay_by_on,
        approval_limits=approval_limits,
        about=about,
        notify=notify,
        language=language,
        customer_reason=customer_reason,
        ended_on=ended_on,
        computed_basis=computed_basis,
        computed_ground=computed_ground,
        whole_contract=whole_contract,
        payment_days=payment_days,
    )
    refund.save(force_insert=True)
    _review_other_currencies(refund)
    return refund


def _review_other_currencies(refund: Refund) -> None:
    """Queues a review for each other currency in which the customer paid for what the refund is about."""
    payments = in_other_currencies(refund, payments_with_returned(refund.subscription))
    copied = {field.attname: getattr(refund, field.attname) for field in refund._meta.concrete_fields}
    for name in ("id", "reference", "due_on", "currency", "beside_id"):
        del copied[name]
    for code in sorted({payment.amount.currency.code for payment in payments}):
        Refund(**copied, currency=code, beside=refund).save(force_insert=True)


def review_charges(*, cases: Sequence[Mapping[str, Any]], now: datetime) -> list[Refund]:
    """Reviews what was charged for a time after the end of subscriptions, one case for each.

    A case has the arguments of `request_refund`. The open review of its subscription starts again, with the case's
    basis and without a proposal; without one, a new review is queued. The caller has locked the subscriptions.
    """
    subscriptions = [case["subscription"].pk for case in cases]
    rows = Refund.objects.filter(subscription__in=subscriptions, state__in=UNDECIDED).order_by("pk")
    opened = {row.subscription_id: row for row in rows.select_for_update(of=("self",))}
    new = [_review(now=now, charged_after_end=True, **case) for case in cases if case["subscription"].pk not in opened]
    for case in cases:
        if refund := opened.get(case["subscription"].pk):
            _start_again(refund, now)
            refund.ended_on, refund.charged_after_end = case["ended_on"], True
            if not refund.whole_contract:
                refund.computed_basis = case["computed_basis"]
            refund.save()
            refund.lines.all().delete()
    return [*opened.values(), *Refund.objects.bulk_create(new)]


def _review(
    *,
    now: datetime,
    subscription: Subscription,
    decision_days: int,
    approval_limits: Mapping[str, str],
    pay_by_on: date | None = None,
    **fields: Any,
) -> Refund:
    """Returns a new review, unsaved."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    return Refund(
        account_id=subscription.account_id,
        subscription=subscription,
        requested_at=now,
        state_changed_at=now,
        approval_limits=dict(approval_limits),
        decision_due_on=_due(today, decision_days, pay_by_on),
        pay_by_on=pay_by_on,
        **fields,
    )


def _start_again(refund: Refund, now: datetime) -> None:
    """Returns an open refund to the state before any proposal. The caller saves it and deletes the lines."""
    if refund.state == RefundState.PROPOSED:
        move(refund, RefundState.REQUESTED, now)
        refund.approved_by = None


@permitted("billing.propose_refund")
@transaction.atomic
def propose(
    *, refund: Refund, basis: str, by: User, now: datetime, amount: Decimal | None = None, ground: str = ""
) -> Refund:
    """Proposes an amount, or with the basis `none` that nothing is returned. Can be repeated by another proposer.

    `amount` (in the payments' currency) belongs to the basis `custom`; `custom` and `none` need a ground.
    Raises RefundRefused, IllegalTransition.
    """
    if basis not in RefundBasis.values:
        raise RefundRefused("Choose the basis: nothing, the unused part, the full amount, or another amount.")
    with recorded("propose", actor="staff", by=by.pk, why=ground):
        refund = locked(refund, "propose", *UNDECIDED)
        if refund.state == RefundState.PROPOSED:
            move(refund, RefundState.REQUESTED, now)
            refund.approved_by = None
            refund.save(update_fields=["state", "state_changed_at", "approved_by"])
        refund.lines.all().delete()
        lines = _movable(_lines(refund, basis, amount, ground))
        total = quoted_total(lines)
        if basis == RefundBasis.NONE:
            total = Money(0, refund.currency or refund.subscription.price.currency)
        elif total is None or total.amount <= 0:
            raise RefundRefused("Nothing can be returned on this basis. Decline the refund, or choose another basis.")
        for line in sorted(lines, key=lambda line: line.payment.pk):
            _add_line(refund, line)
        refund.basis, refund.amount, refund.proposal_ground = basis, total, ground.strip()
        refund.proposed_by, refund.approvals_needed = by, approvals_needed(refund, total)
        move(refund, RefundState.PROPOSED, now)
        refund.save()
        if total.amount > 0:
            notify_of_proposal(refund, now)
    return refund


@permitted("billing.approve_refund")
@transaction.atomic
def approve(*, refund: Refund, by: User, now: datetime, ground: str = "") -> Refund:
    """Approves another person's proposal. Above the policy's limit, two people have to approve one after the other.

    Raises RefundRefused, IllegalTransition.
    """
    with recorded("approve", actor="staff", by=by.pk, why=ground):
        refund = locked(refund, "approve", RefundState.PROPOSED)
        if by.pk == refund.proposed_by_id:
            raise RefundRefused("You proposed this refund. Somebody else has to approve it.")
        if by.pk == refund.approved_by_id:
            raise RefundRefused(
                "You have already approved this refund. Above the limit, a second person has to approve it, too."
            )
        if refund.basis == RefundBasis.NONE:
            raise RefundRefused("The proposal is to return nothing. Decline the refund, or propose an amount.")
        refuse_disputed(refund)
        if refund.approved_by_id is None:
            refund.approved_by = by
        else:
            refund.second_approved_by = by
        if refund.approvals_needed == 1 or refund.second_approved_by_id:
            move(refund, RefundState.APPROVED, now)
            today = local_date(now, settings.COMPANY_TIME_ZONE)
            refund.payment_due_on = _due(today, refund.payment_days, refund.pay_by_on)
        refund.decision_ground = ground
        save_guarded(refund)
        if refund.state == RefundState.APPROVED:
            notify_customer(refund, "refund_approved", now)
            emit_refund_event(EventType.REFUND_APPROVED, refund, now)
    return refund


@permitted("billing.decline_refund")
@transaction.atomic
def decline(*, refund: Refund, by: User, ground: str, now: datetime) -> Refund:
    """Declines a refund; the ground goes to the customer. Raises RefundRefused, IllegalTransition."""
    if not ground.strip():
        raise RefundRefused("State the ground: the customer reads it.")
    with recorded("decline", actor="staff", by=by.pk, why=ground):
        refund = locked(refund, "decline", *UNDECIDED)
        refund.declined_by, refund.decision_ground = by, ground.strip()
        move(refund, RefundState.DECLINED, now)
        refund.save()
        notify_customer(refund, "refund_declined", now)
    return refund


@transaction.atomic
def redate(
    *,
    refund: Refund,
    ended_on: date,
    computed_basis: str,
    whole_contract: bool,
    pay_by_on: date | None,
    now: datetime,
) -> Refund:
    """Adjusts an open refund after its cancellation changed its end date or kind. Drops any proposal.

    Raises IllegalTransition.
    """
    with recorded("redate", actor="system"):
        refund = locked(refund, "redate", *UNDECIDED)
        refund.ended_on, refund.computed_basis, refund.whole_contract = ended_on, computed_basis, whole_contract
        refund.pay_by_on = pay_by_on
        refund.decision_due_on = min(refund.decision_due_on, pay_by_on or date.max)
        _start_again(refund, now)
        refund.save()
        refund.lines.all().delete()
        for other in refund.others.filter(state__in=UNDECIDED):
            redate(
                refund=other,
                ended_on=ended_on,
                computed_basis=computed_basis,
                whole_contract=whole_contract,
                pay_by_on=pay_by_on,
                now=now,
            )
    return refund


@permitted("billing.approve_refund")
@transaction.atomic
def void(*, refund: Refund, ground: str, now: datetime, by: User | None = None) -> Refund:
    """Voids a refund that no longer has a reason, before any money has moved.

    A failed one only if a payment that it returns was charged back: it is owed otherwise. Where the portal voids it,
    those beside it in other currencies are void, too. Raises RefundRefused, IllegalTransition.
    """
    with recorded("void", actor="staff" if by else "system", by=by.pk if by else None, why=ground):
        refund = locked(refund, "void", *VOIDABLE, RefundState.FAILED)
        if refund.state == RefundState.FAILED and not is_charged_back(refund):
            raise RefundRefused(
                "The money is still owed. Send the refund again, or pay it by hand and mark it as paid. It can be void "
                "only if the payment was charged back."
            )
        refund.decision_ground = ground
        move(refund, RefundState.VOID, now)
        refund.save()
        notify_customer(refund, "refund_void", now)
        for other in refund.others.filter(state__in=VOIDABLE) if by is None else ():
            void(refund=other, ground=ground, now=now)
    return refund


def _due(today: date, working_days: int, latest: date | None) -> date:
    due = add_working_days(today, working_days, settings.COMPANY_COUNTRY)
    return min(due, latest) if latest else due


def _lines(refund: Refund, basis: str, amount: Decimal | None, ground: str) -> list[QuotedLine]:
    payments = Payment.objects.filter(subscription_id=refund.subscription_id).order_by("pk")
    list(payments.select_for_update())  # held until the lines are written
    if basis in (RefundBasis.CUSTOM, RefundBasis.NONE) and not ground.strip():
        raise RefundRefused("State the ground: it is required for another amount and for nothing.")
    if basis == RefundBasis.NONE:
        return []
    if basis != RefundBasis.CUSTOM:
        whole = refund.whole_contract
        lines = quote(
            refund.subscription,
            ended_on=refund.ended_on,
            basis=basis,
            whole_contract=whole,
            currency=refund.currency,
        )
        return [line for line in lines if line.amount]
    if amount is None or amount <= 0:
        raise RefundRefused("Enter an amount above zero.")
    return _spread(refund, amount)


def _movable(lines: list[QuotedLine]) -> list[QuotedLine]:
    """Leaves out what is less than the smallest amount that the gateway of the payments moves.

    It is kept as the remainder of its line, or of the first line if nothing of its own is left.
    """
    smallest = smallest_amounts([line.payment for line in lines])
    if not smallest:
        return lines
    movable, over = [], Decimal(0)
    for line in lines:
        step = smallest[line.amount.currency.code]
        moved = line.amount.amount // step * step
        if moved:
            remainder = line.amount.amount - moved
            movable.append(replace(line, amount=Money(moved, line.amount.currency), remainder=remainder))
        else:
            over += line.amount.amount
    if over and movable:
        movable[0] = replace(movable[0], remainder=movable[0].remainder + over)
    return movable


def _spread(refund: Refund, amount: Decimal) -> list[QuotedLine]:
    """Distributes an amount over the payments, newest period first, up to what each can still return."""
    lines = quote(refund.subscription, ended_on=refund.ended_on, whole_contract=True, currency=refund.currency)
    if not lines:
        raise RefundRefused("There are no payments for this subscription, so there is nothing to return.")
    currency = lines[0].payment.amount.currency
    if amount != round(amount, digits := minor_unit_digits(currency)):
        raise RefundRefused(f"{currency} has {digits} decimals; {amount} has more.")
    remaining, spread = amount, []
    for line in lines:
        share = min(remaining, line.returnable.amount)
        if share > 0:
            spread.append(replace(line, amount=Money(share, currency)))
            remaining -= share
    if remaining > 0:
        most, requested = money_words(Money(amount - remaining, currency)), money_words(Money(amount, currency))
        raise RefundRefused(f"The payments of this subscription can return {most} at most, not {requested}.")
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
                remainder=line.remainder,
            )
    except IntegrityError as error:
        raise RefundRefused(
            f"This would return more of {line.payment.reference} than was paid. Propose a smaller amount."
        ) from error

"""The computed proposal of a refund, payment by payment, and overdue refunds."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.conf import settings
from django.db.models import DecimalField, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from moneyed import Money

from billing.models import Dispute, Payment, Refund, RefundBasis, RefundLine, Subscription
from billing.models.states import RELEASED, LineState
from billing.rules.charges import charges_until
from billing.rules.periods import local_date
from billing.rules.proration import unused_amount, unused_days


@dataclass(frozen=True)
class QuotedLine:
    """One payment's share: what is unused, what can still be returned, and what is proposed from that."""

    payment: Payment
    unused_days: int
    period_days: int
    unused: Money
    returnable: Money
    amount: Money
    remainder: Decimal = Decimal(0)  # computed, but less than the smallest amount that the gateway returns


def payments_with_returned(subscription: Subscription) -> list[Payment]:
    """The subscription's payments, newest first, each with `returned`: the sum of the refunds that count against it."""
    return list(_with_returned(Payment.objects.filter(subscription=subscription)).order_by("-period_end"))


def _with_returned(payments: QuerySet[Payment]) -> QuerySet[Payment]:
    counting = ~Q(refund_lines__refund__state__in=RELEASED) | Q(refund_lines__state=LineState.RETURNED)
    taken = Sum("refund_lines__amount", filter=counting, output_field=DecimalField())
    return payments.annotate(returned=Coalesce(taken, Decimal(0), output_field=DecimalField()))


def double_charges(payments: Iterable[Payment]) -> set[int]:
    """Returns the keys of payments of one subscription that share their period: probable double charges.

    `payments` are those of `payments_with_returned`. What was returned whole is no charge any more.
    """
    by_period = defaultdict(list)
    for payment in payments:
        if payment.amount.amount > payment.refunded_elsewhere.amount + payment.returned:  # type: ignore[attr-defined]  # annotated
            by_period[payment.period].append(payment.pk)
    return {key for keys in by_period.values() if len(keys) > 1 for key in keys}


def returnable(payments: Iterable[Payment]) -> dict[int, Decimal]:
    """Returns by payment what can still be returned of it: not if it is disputed or refunded already."""
    counting = ~Q(refund__state__in=RELEASED) | Q(state=LineState.RETURNED)
    lines = RefundLine.objects.filter(counting, payment__in=payments)
    taken = dict(lines.values_list("payment").annotate(total=Sum("amount")).order_by())
    return {each.pk: max(each.refundable.amount - taken.get(each.pk, Decimal(0)), Decimal(0)) for each in payments}


def quote(
    subscription: Subscription,
    *,
    ended_on: date,
    basis: str = RefundBasis.UNUSED,
    whole_contract: bool = False,
    currency: str = "",
) -> list[QuotedLine]:
    """A line for each payment whose period ends after the day, newest first; empty if nothing is prepaid.

    With `whole_contract`, also a line for each earlier payment, of which nothing is unused. A refund has one
    currency: without `currency` (ISO 4217), that of the newest payment. Payments in another one have a refund beside.
    """
    lines: list[QuotedLine] = []
    payments = payments_with_returned(subscription)
    for payment in payments:
        if payment.amount.currency.code != (currency or payments[0].amount.currency.code):
            continue
        if not _is_counted(payment, subscription, ended_on=ended_on, whole_contract=whole_contract):
            continue
        unused = unused_amount(payment.amount, payment.period, ended_on)
        returned = Money(payment.returned, payment.amount.currency)  # type: ignore[attr-defined]  # annotated
        returnable = max(payment.refundable - returned, Money(0, payment.amount.currency))
        proposed = {RefundBasis.FULL: payment.amount, RefundBasis.NONE: unused * 0}.get(RefundBasis(basis), unused)
        days = unused_days(payment.period, ended_on)
        line = QuotedLine(payment, days, payment.period.days, unused, returnable, min(proposed, returnable))
        lines.append(line)
    return lines


def in_other_currencies(refund: Refund, payments: list[Payment]) -> list[Payment]:
    """Returns the payments that the refund's quote would count if they had its currency."""
    own = refund.currency or (payments[0].amount.currency.code if payments else "")
    return [
        payment
        for payment in payments
        if payment.amount.currency.code != own
        and _is_counted(payment, refund.subscription, ended_on=refund.ended_on, whole_contract=refund.whole_contract)
    ]


def without_a_refund(refund: Refund, payments: list[Payment]) -> list[Payment]:
    """Returns those in other currencies that no refund beside this one returns either."""
    lead = refund.beside or refund
    codes = {lead.currency, *lead.others.values_list("currency", flat=True)}
    newest = payments[0].amount.currency.code if payments else ""
    covered = {code or newest for code in codes}
    return [each for each in in_other_currencies(refund, payments) if each.amount.currency.code not in covered]


def _is_counted(payment: Payment, subscription: Subscription, *, ended_on: date, whole_contract: bool) -> bool:
    if payment.period_end <= subscription.started_on <= ended_on:
        return False  # of an earlier contract under the same number
    return whole_contract or payment.period_end > ended_on


def quoted_total(lines: list[QuotedLine]) -> Money | None:
    """The sum of the lines; None if there are none."""
    return sum((line.amount for line in lines[1:]), lines[0].amount) if lines else None


def prepaid_beyond(subscription: Subscription, day: date, *, received_after: datetime | None = None) -> bool:
    """Whether money was received, and not all returned by others or us, for a period that ends after the day."""
    paid = _with_returned(Payment.objects.filter(subscription=subscription, period_end__gt=day))
    paid = paid.filter(amount__gt=F("amount_refunded") - F("refunded_by_us") + F("returned"))
    return (paid.filter(paid_at__gt=received_after) if received_after else paid).exists()


def charges_to_come(subscription: Subscription, *, today: date, end: date) -> list[date]:
    """Returns the billing dates from `today` until `end` whose period is not paid yet. A trial is free of charge."""
    today = max(today, subscription.trial_ends_on or today)
    paid = Payment.objects.filter(subscription=subscription, period_start__gte=today, period_start__lt=end)
    paid_from = set(paid.values_list("period_start", flat=True)) if today < end else set()
    anchor, interval = subscription.billing_anchor, subscription.interval
    return list(charges_until(anchor, interval, today=today, end=end, paid_from=paid_from))


def was_ever_paid(subscription: Subscription) -> bool:
    """Whether any money was ever received for the subscription, so that a refund can be reviewed."""
    return Payment.objects.filter(subscription=subscription, amount__gt=0).exists()


def overdue_refunds(now: datetime, rows: QuerySet[Refund]) -> QuerySet[Refund]:
    """Returns those of the rows that were to be decided or paid before today, by the company's date."""
    return rows.filter(due_on__lt=local_date(now, settings.COMPANY_TIME_ZONE))


def is_charged_back(refund: Refund) -> bool:
    """Whether a payment that the refund returns was charged back, so that the customer has the money already."""
    return refund.lines.filter(payment__dispute=Dispute.LOST).exists()


def approvals_needed(refund: Refund, amount: Money) -> int:
    """1 up to the limit of the policy version that binds the refund, 2 above it or in an unlisted currency."""
    limit = refund.approval_limits.get(amount.currency.code)
    return 1 if limit is not None and amount.amount <= Decimal(limit) else 2

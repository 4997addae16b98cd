"""Proration: the share of a payment for the unused part of its period. Pure: no Django, no clock."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

from moneyed import Money

from billing.rules.periods import Period
from messaging.currencies import minor_unit_digits


def unused_days(period: Period, ended_on: date) -> int:
    """Days of the period from `ended_on` on; a day outside the period is clamped to it.

    Half-open: a subscription that ends on day D was used until the day before D.
    """
    return (period.end - min(max(ended_on, period.start), period.end)).days


def unused_amount(paid: Money, period: Period, ended_on: date) -> Money:
    """The unused share of `paid`, by actual days, rounded half up to the currency's minor unit.

    The used share is `paid` minus this, so that both always add up. Raises ValueError for a negative
    or non-finite payment.
    """
    amount = Decimal(paid.amount)
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"Only a payment of zero or more can be prorated, not {amount}.")
    # Fractions, because a decimal quotient is already rounded and could be rounded up a second time.
    share = Fraction(amount) * unused_days(period, ended_on) / period.days
    digits = minor_unit_digits(paid.currency)
    units = int(share * 10**digits + Fraction(1, 2))
    return min(Money(Decimal(units).scaleb(-digits), paid.currency), paid)

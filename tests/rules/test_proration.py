from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moneyed import Money

from billing.rules.periods import Period
from billing.rules.proration import unused_amount
from messaging.currencies import minor_unit_digits


@pytest.mark.parametrize(
    ("paid", "start", "end", "ended_on", "refund"),
    [
        (Money("30.00", "EUR"), date(2026, 4, 1), date(2026, 5, 1), date(2026, 4, 11), "20.00"),
        (Money("120.00", "USD"), date(2026, 1, 1), date(2027, 1, 1), date(2026, 3, 15), "96.00"),
        (Money("99.99", "EUR"), date(2024, 2, 1), date(2024, 3, 1), date(2024, 2, 15), "51.72"),
        (Money("1000", "JPY"), date(2026, 1, 31), date(2026, 2, 28), date(2026, 2, 10), "643"),
        (Money("10.000", "BHD"), date(2026, 3, 1), date(2026, 4, 1), date(2026, 3, 8), "7.742"),
        (Money("0.01", "EUR"), date(2026, 4, 1), date(2026, 5, 1), date(2026, 4, 16), "0.01"),
        (Money("100.01", "RSD"), date(2026, 4, 1), date(2026, 5, 1), date(2026, 4, 16), "50.01"),
        (Money("99.99", "ALL"), date(2026, 4, 1), date(2026, 5, 1), date(2026, 4, 11), "66.66"),
        (Money("10.000", "IQD"), date(2026, 3, 1), date(2026, 4, 1), date(2026, 3, 8), "7.742"),
    ],
)
def test_the_unused_share_by_actual_days(paid, start, end, ended_on, refund):
    assert unused_amount(paid, Period(start, end), ended_on) == Money(refund, paid.currency)


def test_a_day_outside_the_period_is_clamped():
    period = Period(date(2026, 4, 1), date(2026, 5, 1))
    assert unused_amount(Money(30, "EUR"), period, date(2026, 3, 1)) == Money(30, "EUR")
    assert unused_amount(Money(30, "EUR"), period, date(2026, 6, 1)) == Money(0, "EUR")


def test_a_negative_payment_is_refused():
    with pytest.raises(ValueError, match="zero or more"):
        unused_amount(Money(-1, "EUR"), Period(date(2026, 4, 1), date(2026, 5, 1)), date(2026, 4, 2))


@given(
    units=st.integers(0, 10**12),
    currency=st.sampled_from(["EUR", "JPY", "BHD", "INR", "CLF", "RSD", "IQD"]),
    length=st.integers(1, 800),
    used=st.integers(-5, 805),
)
def test_used_and_unused_add_up_and_stay_within_the_payment(units, currency, length, used):
    start = date(2024, 2, 1)
    digits = minor_unit_digits(Money(0, currency).currency)
    paid = Money(Decimal(units).scaleb(-digits), currency)
    period = Period(start, date.fromordinal(start.toordinal() + length))
    unused = unused_amount(paid, period, date.fromordinal(start.toordinal() + used))
    assert Money(0, currency) <= unused <= paid
    exact = Decimal(units) * (length - min(max(used, 0), length)) / length
    assert abs(unused.amount.scaleb(digits) - exact) <= Decimal("0.5000001")
    assert unused.amount == unused.amount.quantize(Decimal(1).scaleb(-digits))

"""The charges that still come until the end."""

from datetime import date

import pytest

from billing.rules.charges import charges_until
from billing.rules.periods import Interval

MONTHLY = Interval("month")


@pytest.mark.parametrize(
    ("today", "end", "paid", "days"),
    [
        (date(2026, 2, 12), date(2026, 2, 28), (), []),
        (date(2026, 2, 20), date(2026, 3, 31), (), [date(2026, 2, 28)]),
        (date(2026, 2, 28), date(2026, 3, 31), (), [date(2026, 2, 28)]),
        (date(2026, 2, 28), date(2026, 3, 31), (date(2026, 2, 28),), []),
        (date(2026, 2, 20), date(2026, 3, 15), (), [date(2026, 2, 28)]),
        (date(2026, 2, 20), date(2026, 5, 1), (), [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]),
        (date(2026, 2, 20), date(2026, 2, 20), (), []),
        (date(2026, 1, 1), date(2026, 1, 31), (), []),  # a trial that ends before the first billing date
    ],
)
def test_each_billing_date_until_the_end_that_is_not_paid(today, end, paid, days):
    assert list(charges_until(date(2026, 1, 31), MONTHLY, today=today, end=end, paid_from=paid)) == days

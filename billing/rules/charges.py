"""The charges that still come until a subscription ends. Pure: no Django, no clock."""

from collections.abc import Container, Iterator
from datetime import date, timedelta

from billing.rules.periods import Interval, next_billing_date


def charges_until(
    anchor: date, interval: Interval, *, today: date, end: date, paid_from: Container[date] = ()
) -> Iterator[date]:
    """Yields the billing dates from `today` to the day before `end`, on each of which a period is charged.

    `end` is the first day without service. Billing dates in `paid_from` are left out: a period that begins on them is
    paid already. Dates are those of the account's time zone.
    """
    day = next_billing_date(anchor, interval, today - timedelta(days=1))
    while day < end:
        if day not in paid_from:
            yield day
        day = next_billing_date(anchor, interval, day)

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.periods import (
    Interval,
    Period,
    billing_date,
    local_date,
    next_billing_date,
    period_containing,
    start_of_day,
)

days = st.dates(date(1990, 1, 1), date(2100, 1, 1))
intervals = st.builds(Interval, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 30))


@pytest.mark.parametrize(
    ("anchor", "interval", "k", "expected"),
    [
        (date(2026, 1, 31), Interval("month"), 1, date(2026, 2, 28)),
        (date(2026, 1, 31), Interval("month"), 2, date(2026, 3, 31)),
        (date(2024, 2, 29), Interval("year"), 1, date(2025, 2, 28)),
        (date(2024, 2, 29), Interval("year"), 4, date(2028, 2, 29)),
        (date(2026, 6, 1), Interval("week", 2), 3, date(2026, 7, 13)),
        (date(2026, 12, 31), Interval("day", 10), 1, date(2027, 1, 10)),
        (date(2026, 8, 31), Interval("month", 3), 1, date(2026, 11, 30)),
        (date(2026, 1, 31), Interval("month"), 0, date(2026, 1, 31)),
    ],
)
def test_every_billing_date_is_counted_from_the_anchor(anchor, interval, k, expected):
    assert billing_date(anchor, interval, k) == expected


def test_a_billing_date_itself_is_not_its_next():
    assert next_billing_date(date(2026, 1, 31), Interval("month"), date(2026, 2, 28)) == date(2026, 3, 31)


def test_before_the_anchor_the_anchor_is_next():
    assert next_billing_date(date(2026, 2, 27), Interval("month"), date(2026, 2, 13)) == date(2026, 2, 27)
    with pytest.raises(ValueError, match="before the billing anchor"):
        period_containing(date(2026, 2, 27), Interval("month"), date(2026, 2, 13))


@given(anchor=days, interval=intervals, offset=st.integers(0, 20_000))
def test_periods_tile_the_calendar(anchor, interval, offset):
    day = date.fromordinal(anchor.toordinal() + offset)
    period = period_containing(anchor, interval, day)
    assert period.start <= day < period.end
    assert day in period
    assert next_billing_date(anchor, interval, day) == period.end
    if period.start > anchor:
        assert period_containing(anchor, interval, date.fromordinal(period.start.toordinal() - 1)).end == period.start


@pytest.mark.parametrize("bad", [("fortnight", 1), ("month", 0), ("month", -1), ("month", 1.5), ("month", True)])
def test_an_impossible_interval_is_refused(bad):
    with pytest.raises(ValueError, match="billing interval"):
        Interval(*bad)


def test_a_period_holds_at_least_one_day():
    with pytest.raises(ValueError, match="holds no day"):
        Period(date(2026, 1, 1), date(2026, 1, 1))


def test_an_instant_is_not_taken_for_a_date():
    with pytest.raises(TypeError, match="is a date"):
        next_billing_date(date(2026, 1, 1), Interval("month"), datetime(2026, 1, 1, tzinfo=UTC))


def test_the_end_of_the_calendar_is_a_clear_error():
    with pytest.raises(ValueError, match="calendar ends"):
        next_billing_date(date(2026, 1, 1), Interval("year"), date(9999, 6, 1))


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2026, 2, 28), "Europe/Berlin", datetime(2026, 2, 27, 23, tzinfo=UTC)),
        # Midnight of 8 March 2026 does not exist in Havana: clocks jump from 00:00 to 01:00.
        (date(2026, 3, 8), "America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),
        # Midnight of 1 November 2026 comes twice there: 01:00 goes back to 00:00. The first one counts.
        (date(2026, 11, 1), "America/Havana", datetime(2026, 11, 1, 4, tzinfo=UTC)),
        (date(2026, 10, 4), "Australia/Lord_Howe", datetime(2026, 10, 3, 13, 30, tzinfo=UTC)),
        (date(2026, 6, 1), "Asia/Kathmandu", datetime(2026, 5, 31, 18, 15, tzinfo=UTC)),
    ],
)
def test_a_day_starts_at_its_first_local_instant(day, zone, instant):
    assert start_of_day(day, zone) == instant
    assert local_date(instant, zone) == day
    assert local_date(datetime.fromtimestamp(instant.timestamp() - 1, UTC), zone) < day

"""Billing dates and periods, in dates of the account's time zone. Pure: no Django, no clock.

Every billing date is counted from the anchor, never from the previous billing date. Adding a month to 28 February
would lose the 31st; adding two months to 31 January does not.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

Unit = Literal["day", "week", "month", "year"]

DAYS_PER_UNIT = {"day": 1, "week": 7}
MONTHS_PER_UNIT = {"month": 1, "year": 12}


@dataclass(frozen=True)
class Interval:
    """The billing interval: `count` times `unit`.

    Raises ValueError for an unknown unit and for a count that is not a whole number of at least 1.
    """

    unit: Unit
    count: int = 1

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ValueError(f"The unit of a billing interval is day, week, month or year, not {self.unit!r}.")
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 1:
            raise ValueError(f"The count of a billing interval is a whole number of at least 1, not {self.count!r}.")

    def __str__(self) -> str:
        return self.unit if self.count == 1 else f"{self.count} {self.unit}s"


@dataclass(frozen=True)
class Period:
    """A half-open span of dates: `start` is in it, `end` is not.

    Raises ValueError where it would hold no day, TypeError for instants instead of dates.
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        _require_dates(start=self.start, end=self.end)
        if self.end <= self.start:
            raise ValueError(f"A period ends after its start; {self.start} to {self.end} holds no day.")

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


def billing_date(anchor: date, interval: Interval, k: int) -> date:
    """The date `anchor + k × interval`; a day that a month does not have becomes that month's last.

    Raises ValueError where the calendar ends (after the year 9999).
    """
    _require_dates(anchor=anchor)
    try:
        if interval.unit in DAYS_PER_UNIT:
            return anchor + relativedelta(days=DAYS_PER_UNIT[interval.unit] * interval.count * k)
        return anchor + relativedelta(months=MONTHS_PER_UNIT[interval.unit] * interval.count * k)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"The calendar ends before billing date {k} after {anchor}.") from error


def next_billing_date(anchor: date, interval: Interval, after: date) -> date:
    """The first billing date strictly after the day `after`; for a day before the anchor, the anchor.

    Raises ValueError where the calendar ends.
    """
    _require_dates(anchor=anchor, after=after)
    if after < anchor:
        return anchor
    return billing_date(anchor, interval, _whole_intervals(anchor, interval, after) + 1)


def period_containing(anchor: date, interval: Interval, day: date) -> Period:
    """The billing period in which the day lies.

    Raises ValueError for a day before the anchor: no period counted from it holds that day.
    """
    _require_dates(anchor=anchor, day=day)
    if day < anchor:
        raise ValueError(f"{day} lies before the billing anchor {anchor}, in no billing period counted from it.")
    k = _whole_intervals(anchor, interval, day)
    return Period(billing_date(anchor, interval, k), billing_date(anchor, interval, k + 1))


def _whole_intervals(anchor: date, interval: Interval, day: date) -> int:
    """The largest k whose billing date is not after the day, which is not before the anchor."""
    if interval.unit in DAYS_PER_UNIT:
        return (day - anchor).days // (DAYS_PER_UNIT[interval.unit] * interval.count)
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    k = months // (MONTHS_PER_UNIT[interval.unit] * interval.count)
    # The month is right, but its billing date may be after the day.
    return k if billing_date(anchor, interval, k) <= day else k - 1


def local_date(instant: datetime, zone: str) -> date:
    """The date of the instant (an aware datetime) in the named time zone."""
    return instant.astimezone(ZoneInfo(zone)).date()


def start_of_day(day: date, zone: str) -> datetime:
    """The first instant of the day in the named zone, in UTC.

    If local midnight is skipped, that is the instant of the jump; if it occurs twice, the first
    time. PEP 495: fold=0 takes the offset before the change in both cases, which gives these instants.
    """
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _require_dates(**values: date) -> None:
    for name, value in values.items():
        if isinstance(value, datetime) or not isinstance(value, date):
            raise TypeError(f"{name} is a date, not {type(value).__name__}: convert an instant in the account's zone.")

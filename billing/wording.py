"""Days, instants and sums in words. Pure: no Django, no clock."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel.numbers import format_currency
from moneyed import Money

# Not strftime, whose names follow the process's locale.
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def day_words(day: date | None) -> str:
    """Like «28 February 2026»; empty for none."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}" if day else ""


def long_day_words(day: date | None) -> str:
    """Like «Saturday, 28 February 2026»; empty for none."""
    return f"{WEEKDAYS[day.weekday()]}, {day_words(day)}" if day else ""


def instant_words(instant: datetime, zone: str) -> str:
    """Like «12 February 2026, 14:07:31 (Europe/Berlin)», told in the named zone."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{day_words(local.date())}, {local:%H:%M:%S} ({zone.replace('_', ' ')})"


def money_words(money: Money | None) -> str:
    """The sum with its currency, in as many decimals as the currency has; empty for none."""
    return format_currency(money.amount, money.currency.code, locale="en_GB") if money is not None else ""

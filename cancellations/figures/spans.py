"""The span of days of the figures, in the company's time zone, and the types of figures."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from billing.rules.periods import local_date, start_of_day

MAX_DAYS = 732


@dataclass(frozen=True)
class Span:
    """The days from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return start_of_day(self.first, settings.COMPANY_TIME_ZONE)

    @property
    def end(self) -> datetime:
        return start_of_day(self.last + timedelta(days=1), settings.COMPANY_TIME_ZONE)

    def of(self, name: str) -> dict[str, str]:
        """Returns the span as URL filters of a list."""
        return {f"{name}__gte": self.start.isoformat(), f"{name}__lt": self.end.isoformat()}


@dataclass(frozen=True)
class Figure:
    """One figure: name, value, a remark, and the URL of the rows that it counts."""

    name: str
    value: str
    more: str = ""
    url: str = ""
    count: float = 0


@dataclass
class Group:
    title: str
    figures: list[Figure] = field(default_factory=list)
    chart: str = ""  # bar or line; empty for none
    tiles: bool = False  # large figures side by side; otherwise the rows of a card
    wide: bool = False  # the card has full width


def span_of(params: Any, now: datetime) -> tuple[Span, str]:
    """Returns the requested span; or the last 30 days and a message if it is not valid."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    default = Span(today - timedelta(days=29), today)
    if not params.get("from") and not params.get("to"):
        return default, ""
    try:
        first = date.fromisoformat(params.get("from") or default.first.isoformat())
        last = date.fromisoformat(params.get("to") or today.isoformat())
    except ValueError:
        return default, "Enter dates like 2026-01-31. The last 30 days are shown."
    if first > last:
        return default, "The first day is after the last. The last 30 days are shown."
    if (last - first).days >= MAX_DAYS:
        return default, "Choose at most two years. The last 30 days are shown."
    return Span(first, last), ""


def times(query: str, span: Span) -> tuple[str, str, int]:
    """Returns the median and 90th percentile of durations in words, and their count.

    `query` selects one column of seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY taken), percentile_cont(0.9) WITHIN GROUP
                (ORDER BY taken), count(*) FROM ({query}) AS durations(taken)""",  # noqa: S608 - our own queries
            [span.start, span.end],
        )
        median, ninth, count = cursor.fetchone()
    return _duration(median), _duration(ninth), count


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    hours = max(seconds, 0) / 3600
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"

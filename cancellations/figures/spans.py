"""The span of days that figures are about, in the company's time zone, and how a figure is kept."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from billing.rules.periods import local_date, start_of_day

MOST_DAYS = 732


@dataclass(frozen=True)
class Span:
    """The days from `first` to `last`, both in it."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return start_of_day(self.first, settings.COMPANY_TIME_ZONE)

    @property
    def end(self) -> datetime:
        return start_of_day(self.last + timedelta(days=1), settings.COMPANY_TIME_ZONE)

    def of(self, name: str) -> dict[str, str]:
        """As filters of a list."""
        return {f"{name}__gte": self.start.isoformat(), f"{name}__lt": self.end.isoformat()}


@dataclass(frozen=True)
class Figure:
    """One figure: what it says, its value, more in words, and the address of the rows behind it."""

    name: str
    value: str
    more: str = ""
    url: str = ""
    count: float = 0


@dataclass
class Group:
    title: str
    figures: list[Figure] = field(default_factory=list)
    chart: str = ""  # bar or line, where a picture says more
    tiles: bool = False  # each figure large, beside the others; otherwise rows of a card
    wide: bool = False  # the card takes the whole width


def span_of(given: Any, now: datetime) -> tuple[Span, str]:
    """The span that somebody asked for, or the last 30 days and what was wrong with it."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    usual = Span(today - timedelta(days=29), today)
    if not given.get("from") and not given.get("to"):
        return usual, ""
    try:
        first = date.fromisoformat(given.get("from") or usual.first.isoformat())
        last = date.fromisoformat(given.get("to") or today.isoformat())
    except ValueError:
        return usual, "Enter days like 2026-01-31. The last 30 days are shown."
    if first > last:
        return usual, "The first day lies after the last. The last 30 days are shown."
    if (last - first).days >= MOST_DAYS:
        return usual, "At most two years at once. The last 30 days are shown."
    return Span(first, last), ""


def times(rows: str, span: Span) -> tuple[str, str, int]:
    """Median and 90th percentile of the seconds that the rows say, in words, and how many they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY taken), percentile_cont(0.9) WITHIN GROUP
                (ORDER BY taken), count(*) FROM ({rows}) AS found(taken)""",  # noqa: S608 - our own queries
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

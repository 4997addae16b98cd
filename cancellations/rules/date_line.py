"""The points of the date line: today, deadline, next billing date, end. Pure; templates/parts/when.html draws it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from cancellations.rules.notice import NoticeAssessment

LABELS: Mapping[str, str] = {  # in this order if they fall on one day; catalogues translate them
    "today": "Today",
    "deadline": "Last day to cancel for this date",
    "billing": "Next billing date",
    "end": "Subscription ends",
}
NEAREST = 9.0  # per cent of the line between two points, so that they do not overlap
FIRST, LAST = 3.0, 97.0  # per cent, so that no point is cut off


@dataclass(frozen=True)
class Point:
    """A day on the line. What falls on the same day shares a point, so that labels do not overlap.

    `at` is its position in per cent: to scale, except where points would overlap.
    """

    day: date
    marks: tuple[str, ...]
    at: float

    @property
    def shape(self) -> str:
        """Returns the mark that is drawn: the most important one."""
        return next(mark for mark in ("end", "deadline", "today", "billing") if mark in self.marks)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(LABELS[mark] for mark in self.marks)


def points(
    *, today: date, deadline_on: date | None, next_billing_on: date | None, effective_on: date
) -> tuple[Point, ...]:
    """Returns the points in the order of their days, without a deadline before today."""
    marks = [(today, "today"), (effective_on, "end")]
    if deadline_on is not None and deadline_on >= today:
        marks.append((deadline_on, "deadline"))
    if next_billing_on is not None and next_billing_on >= today and next_billing_on != effective_on:
        marks.append((next_billing_on, "billing"))
    days = sorted({day for day, _ in marks})
    return tuple(
        Point(day=day, marks=tuple(mark for mark in LABELS if (day, mark) in marks), at=at)
        for day, at in zip(days, _places(days), strict=True)
    )


def _places(days: list[date]) -> list[float]:
    span = max((days[-1] - days[0]).days, 1)
    places = [FIRST + (LAST - FIRST) * (day - days[0]).days / span for day in days]
    for n in range(1, len(places)):
        places[n] = max(places[n], places[n - 1] + NEAREST)
    for n in reversed(range(len(places))):
        places[n] = round(min(places[n], LAST - NEAREST * (len(places) - 1 - n)), 2)
    return places


def points_of(assessment: NoticeAssessment, *, today: date) -> tuple[Point, ...]:
    """Returns the points of an assessment. The deadline is left out unless it belongs to the end shown."""
    concerns_end = assessment.on_time and assessment.effective_on == assessment.deadline_for
    return points(
        today=today,
        deadline_on=assessment.deadline_on if concerns_end else None,
        next_billing_on=assessment.next_billing_on,
        effective_on=assessment.effective_on,
    )

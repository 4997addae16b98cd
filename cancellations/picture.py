"""The picture of dates: today, deadline, next billing date, end. Pure; templates/parts/when.html draws it."""

from dataclasses import dataclass
from datetime import date

from cancellations.notice import NoticeAssessment


@dataclass(frozen=True)
class Point:
    """A day of the picture; several things on one day share a point, so that labels never collide."""

    day: date
    labels: tuple[str, ...]
    is_end: bool
    is_deadline: bool


def points(
    *, today: date, deadline_on: date | None, next_billing_on: date | None, effective_on: date
) -> tuple[Point, ...]:
    """The points in order of their days. A deadline that has passed before today is left out."""
    marks = [(today, "Today"), (effective_on, "Subscription ends")]
    if deadline_on is not None and deadline_on >= today:
        marks.append((deadline_on, "Last day to cancel for this date"))
    if next_billing_on is not None and next_billing_on >= today and next_billing_on != effective_on:
        marks.append((next_billing_on, "Next billing date"))
    order = ("Today", "Last day to cancel for this date", "Next billing date", "Subscription ends")
    days = sorted({day for day, _ in marks})
    return tuple(
        Point(
            day=day,
            labels=tuple(label for label in order if (day, label) in marks),
            is_end=day == effective_on,
            is_deadline=day == deadline_on,
        )
        for day in days
    )


def points_of(told: NoticeAssessment, *, today: date) -> tuple[Point, ...]:
    """The picture of an assessment; its deadline stands in it where it is the deadline of the end shown."""
    concerns_end = told.on_time and told.effective_on == told.next_billing_on
    return points(
        today=today,
        deadline_on=told.deadline_on if concerns_end else None,
        next_billing_on=told.next_billing_on,
        effective_on=told.effective_on,
    )

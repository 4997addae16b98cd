"""Notice and effective date (policy 1.2). Pure: no Django, no clock; the caller passes the day.

A late request is never refused: it counts for the first billing date that it can meet.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from billing.rules.periods import Interval, next_billing_date
from cancellations.rules.explanation import Step, step


@dataclass(frozen=True)
class NoticeAssessment:
    """What a request received on a day means; all dates are in the account's time zone.

    `deadline_on` is the last day on which a request counts for `deadline_for`: the next billing date, or a later one
    because of a minimum term (`first_possible_on`). `steps` explain the dates, in the order of the reasoning;
    `explanation` has them as English sentences.
    """

    next_billing_on: date
    deadline_on: date
    on_time: bool
    effective_on: date
    steps: tuple[Step, ...]
    first_possible_on: date | None = None

    @property
    def deadline_for(self) -> date:
        return self.first_possible_on or self.next_billing_on

    @property
    def explanation(self) -> tuple[str, ...]:
        return tuple(step.sentence() for step in self.steps)


def assess(
    *,
    received_on: date,
    anchor: date,
    interval: Interval,
    notice_days: int,
    requested_end: date | None = None,
) -> NoticeAssessment:
    """Next billing date, notice deadline, whether it is met, and the effective date.

    `notice_days` are whole days, the deadline day counting wholly. Without notice the deadline is the day before the
    next billing date, because what arrives on that date counts for the one after it. Raises ValueError for negative
    notice and where the calendar ends, TypeError for instants instead of dates.
    """
    require_days(notice_days)
    upcoming = next_billing_date(anchor, interval, received_on)
    deadline = shifted(upcoming, -max(notice_days, 1))
    earliest = max(shifted(received_on, notice_days), shifted(received_on, 1), requested_end or date.min)
    effective = next_billing_date(anchor, interval, earliest - timedelta(days=1))
    on_time = received_on <= deadline
    steps = (
        step("received", received_on=received_on),
        step("next_billing", next_billing_on=upcoming),
        *_deadline_steps(upcoming, deadline, notice_days, on_time),
        *_effective_steps(upcoming, effective, on_time, requested_end),
    )
    return NoticeAssessment(upcoming, deadline, on_time, effective, steps)


def assess_in_minimum_term(
    *,
    received_on: date,
    anchor: date,
    interval: Interval,
    notice_days: int,
    minimum_term_ends_on: date,
    requested_end: date | None = None,
) -> NoticeAssessment:
    """Returns the assessment of a contract that cannot end on the next billing date, because of its minimum term.

    `minimum_term_ends_on` is the first day after the term; the contract ends on the first billing date from then on.
    """
    require_days(notice_days)
    possible = next_billing_date(anchor, interval, shifted(minimum_term_ends_on, -1))
    deadline = shifted(possible, -max(notice_days, 1))
    on_time = received_on <= deadline
    ordinary = assess(
        received_on=received_on,
        anchor=anchor,
        interval=interval,
        notice_days=notice_days,
        requested_end=max(possible, requested_end or date.min),
    )
    steps = (
        step("received", received_on=received_on),
        step("minimum_term", minimum_term_ends_on=minimum_term_ends_on, possible_on=possible),
        *_deadline_steps(possible, deadline, notice_days, on_time),
        *_effective_steps(possible, ordinary.effective_on, on_time, requested_end),
    )
    return NoticeAssessment(ordinary.next_billing_on, deadline, on_time, ordinary.effective_on, steps, possible)


def assess_trial(
    *, received_on: date, trial_ends_on: date, trial_notice_days: int, requested_end: date | None = None
) -> NoticeAssessment | None:
    """Returns the assessment within a trial, or None if the ordinary rule applies.

    It applies if the trial is over, its notice period is missed, or a later end is requested.
    """
    require_days(trial_notice_days)
    deadline = shifted(trial_ends_on, -max(trial_notice_days, 1))
    ends_later = requested_end is not None and requested_end > trial_ends_on
    if trial_ends_on <= received_on or received_on > deadline or ends_later:
        return None
    steps = (
        *_trial_steps(received_on, trial_ends_on, trial_notice_days),
        step("trial_in_time", trial_ends_on=trial_ends_on),
        step("nothing_charged"),
    )
    return NoticeAssessment(trial_ends_on, deadline, True, trial_ends_on, steps)


def assess_late_in_trial(
    *,
    received_on: date,
    anchor: date,
    interval: Interval,
    notice_days: int,
    trial_ends_on: date,
    trial_notice_days: int,
    not_before: date,
) -> NoticeAssessment:
    """Returns the assessment of a request in a trial whose own notice is missed: it ends after the trial."""
    ordinary = assess(
        received_on=received_on,
        anchor=anchor,
        interval=interval,
        notice_days=notice_days,
        requested_end=max(shifted(trial_ends_on, 1), not_before),
    )
    steps = (
        *_trial_steps(received_on, trial_ends_on, trial_notice_days),
        step("late"),
        step("ends_later", effective_on=ordinary.effective_on),
    )
    deadline = shifted(trial_ends_on, -max(trial_notice_days, 1))
    return NoticeAssessment(trial_ends_on, deadline, False, ordinary.effective_on, steps)


def _trial_steps(received_on: date, trial_ends_on: date, trial_notice_days: int) -> tuple[Step, Step]:
    trial = (
        step("trial", trial_ends_on=trial_ends_on, days=trial_notice_days)
        if trial_notice_days
        else step("trial_without_notice", trial_ends_on=trial_ends_on)
    )
    return step("received", received_on=received_on), trial


def assess_for_cause(ordinary: NoticeAssessment, *, received_on: date) -> NoticeAssessment:
    """Returns the assessment of an accepted ground: it ends on the day of receipt, without notice."""
    steps = (
        step("received", received_on=received_on),
        step("cause_accepted"),
        step("cause_at_once", received_on=received_on),
    )
    return NoticeAssessment(ordinary.next_billing_on, ordinary.deadline_on, True, received_on, steps)


def _deadline_steps(upcoming: date, deadline: date, notice_days: int, on_time: bool) -> tuple[Step, Step]:
    verdict = step("in_time" if on_time else "late")
    if notice_days == 0:
        return step("no_notice"), verdict
    return step("deadline", days=notice_days, next_billing_on=upcoming, deadline_on=deadline), verdict


def _effective_steps(upcoming: date, effective: date, on_time: bool, requested_end: date | None) -> tuple[Step, ...]:
    requested = () if requested_end is None else (step("wish", requested_end=requested_end),)
    ends_at_next_date = effective == upcoming and on_time
    return *requested, step("ends_then" if ends_at_next_date else "ends_later", effective_on=effective)


def require_days(days: int) -> None:
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise ValueError(f"Notice is a whole number of days, zero or more, not {days!r}.")


def shifted(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError as error:
        raise ValueError(f"The calendar ends before {day} shifted by {days} days.") from error

"""Notice and effective date (policy 1.2). Pure: no Django, no clock; the caller passes the day.

A late request is never refused: it counts for the first billing date that it can meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from babel.dates import format_date

from billing.periods import Interval, next_billing_date

# The sentences of the working, by what they tell: the singular and plural where a count decides, else one.
# Catalogues translate them; `days` is the count.
SENTENCES: Mapping[str, tuple[str, ...]] = {
    "received": ("We received your request on %(received_on)s.",),
    "next_billing": ("Your next billing date after that day is %(next_billing_on)s.",),
    "no_notice": ("The policy asks for no notice, so every day before that date is in time.",),
    "deadline": (
        "The policy asks for %(days)s day of notice, so the last day to cancel for %(next_billing_on)s is "
        "%(deadline_on)s.",
        "The policy asks for %(days)s days of notice, so the last day to cancel for %(next_billing_on)s is "
        "%(deadline_on)s.",
    ),
    "in_time": ("Your request is in time for that date.",),
    "late": ("Your request came after that day, so it is late.",),
    "wish": ("You asked for an end on %(requested_end)s or later.",),
    "ends_then": ("Your subscription ends on that billing date, %(effective_on)s.",),
    "ends_later": ("The first billing date that fits is %(effective_on)s: your subscription ends on that day.",),
    "trial": (
        "Your trial runs until %(trial_ends_on)s, and the policy asks for %(days)s day of notice before it ends.",
        "Your trial runs until %(trial_ends_on)s, and the policy asks for %(days)s days of notice before it ends.",
    ),
    "trial_without_notice": (
        "Your trial runs until %(trial_ends_on)s, and the policy asks for no notice before it ends.",
    ),
    "trial_in_time": ("Your request is in time, so your subscription ends with the trial on %(trial_ends_on)s.",),
    "nothing_charged": ("Nothing is charged.",),
    "cooling_off": (
        "Your contract started on %(started_on)s, so its %(days)s day of cooling-off runs until %(last)s.",
        "Your contract started on %(started_on)s, so its %(days)s days of cooling-off run until %(last)s.",
    ),
    "cooling_off_at_once": ("You are within them, so your subscription ends at once.",),
    "cooling_off_over": (
        "The cooling-off days ended on %(last)s, so your request counts as an ordinary cancellation.",
    ),
    "cause_accepted": ("You asked to leave at once for a ground that you stated, and we accepted it.",),
    "cause_at_once": ("No notice is needed then: your subscription ends at once, on %(received_on)s.",),
    "waived": ("Our support team waived the notice, so your subscription ends on %(effective_on)s instead.",),
}


@dataclass(frozen=True)
class Step:
    """One step of the working: what it tells, and its figures. Kept with a request, told in the reader's language."""

    tells: str
    figures: Mapping[str, date | int]

    def frozen(self) -> list[object]:
        """As JSON keeps it: what it tells, and the figures with dates in ISO 8601."""
        kept = {name: each.isoformat() if isinstance(each, date) else each for name, each in self.figures.items()}
        return [self.tells, kept]

    def sentence(self) -> str:
        """In English."""
        forms, days = SENTENCES[self.tells], self.figures.get("days")
        told = {
            name: format_date(each, "long", "en_GB") if isinstance(each, date) else each
            for name, each in self.figures.items()
        }
        return forms[-1 if days != 1 else 0] % told


def step(tells: str, **figures: date | int) -> Step:
    return Step(tells, figures)


@dataclass(frozen=True)
class NoticeAssessment:
    """What a request received on a day means; all dates are in the account's time zone.

    `steps` are the working, in the order of the reasoning; `explanation` tells them in English sentences.
    """

    next_billing_on: date
    deadline_on: date
    on_time: bool
    effective_on: date
    steps: tuple[Step, ...]

    @property
    def explanation(self) -> tuple[str, ...]:
        return tuple(each.sentence() for each in self.steps)


def assess(
    *,
    received_on: date,
    anchor: date,
    interval: Interval,
    notice_days: int,
    requested_end: date | None = None,
) -> NoticeAssessment:
    """Next billing date, notice deadline, whether it is met, and the effective date.

    `notice_days` are whole days, the deadline day counting wholly. Raises ValueError for negative
    notice and where the calendar ends, TypeError for instants instead of dates.
    """
    _require_days(notice_days)
    upcoming = next_billing_date(anchor, interval, received_on)
    deadline = _shift(upcoming, -notice_days)
    earliest = max(_shift(received_on, notice_days), _shift(received_on, 1), requested_end or date.min)
    effective = next_billing_date(anchor, interval, earliest - timedelta(days=1))
    on_time = received_on <= deadline
    told = (
        step("received", received_on=received_on),
        step("next_billing", next_billing_on=upcoming),
        *_deadline_steps(upcoming, deadline, notice_days, on_time),
        *_effective_steps(upcoming, effective, on_time, requested_end),
    )
    return NoticeAssessment(upcoming, deadline, on_time, effective, told)


def assess_trial(
    *, received_on: date, trial_ends_on: date, trial_notice_days: int, requested_end: date | None = None
) -> NoticeAssessment | None:
    """The assessment within a trial, or None where the ordinary rule holds.

    That is so when the trial is over, when its notice is missed, or when a later end is wished for.
    """
    _require_days(trial_notice_days)
    deadline = _shift(trial_ends_on, -trial_notice_days)
    wishes_later = requested_end is not None and requested_end > trial_ends_on
    if trial_ends_on <= received_on or received_on > deadline or wishes_later:
        return None
    told = (
        step("received", received_on=received_on),
        step("trial", trial_ends_on=trial_ends_on, days=trial_notice_days)
        if trial_notice_days
        else step("trial_without_notice", trial_ends_on=trial_ends_on),
        step("trial_in_time", trial_ends_on=trial_ends_on),
        step("nothing_charged"),
    )
    return NoticeAssessment(trial_ends_on, deadline, True, trial_ends_on, told)


def assess_cooling_off(
    *, received_on: date, started_on: date, cooling_off_days: int, anchor: date, interval: Interval
) -> NoticeAssessment | None:
    """The assessment within the cooling-off days, or None once they are over: the subscription ends at once.

    `deadline_on` is the last cooling-off day, which counts wholly. `effective_on` is the day of receipt.
    """
    _require_days(cooling_off_days)
    last = _shift(started_on, cooling_off_days - 1)
    if received_on > last:
        return None
    told = (
        step("received", received_on=received_on),
        step("cooling_off", started_on=started_on, days=cooling_off_days, last=last),
        step("cooling_off_at_once"),
    )
    return NoticeAssessment(next_billing_date(anchor, interval, received_on), last, True, received_on, told)


def assess_for_cause(ordinary: NoticeAssessment, *, received_on: date) -> NoticeAssessment:
    """The assessment once the ground was accepted: no notice is needed, the subscription ends on the day of receipt."""
    told = (
        step("received", received_on=received_on),
        step("cause_accepted"),
        step("cause_at_once", received_on=received_on),
    )
    return NoticeAssessment(ordinary.next_billing_on, ordinary.deadline_on, True, received_on, told)


def cooling_off_is_over(last: date) -> Step:
    """The step before an ordinary assessment of somebody who asked to use the cooling-off days too late."""
    return step("cooling_off_over", last=last)


def _deadline_steps(upcoming: date, deadline: date, notice_days: int, on_time: bool) -> tuple[Step, Step]:
    verdict = step("in_time" if on_time else "late")
    if notice_days == 0:
        return step("no_notice"), verdict
    return step("deadline", days=notice_days, next_billing_on=upcoming, deadline_on=deadline), verdict


def _effective_steps(upcoming: date, effective: date, on_time: bool, requested_end: date | None) -> tuple[Step, ...]:
    wish = () if requested_end is None else (step("wish", requested_end=requested_end),)
    met = effective == upcoming and on_time
    return *wish, step("ends_then" if met else "ends_later", effective_on=effective)


def _require_days(days: int) -> None:
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise ValueError(f"Notice is a whole number of days, zero or more, not {days!r}.")


def _shift(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError as error:
        raise ValueError(f"The calendar ends before {day} shifted by {days} days.") from error

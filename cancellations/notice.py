"""Notice and effective date (policy 1.2). Pure: no Django, no clock; the caller passes the day.

A late request is never refused: it counts for the first billing date that it can meet.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from billing.periods import Interval, next_billing_date
from billing.wording import day_words


@dataclass(frozen=True)
class NoticeAssessment:
    """What a request received on a day means; all dates are in the account's time zone.

    `explanation` tells the working in sentences, in the order of the reasoning.
    """

    next_billing_on: date
    deadline_on: date
    on_time: bool
    effective_on: date
    explanation: tuple[str, ...]


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
        f"We received your request on {day_words(received_on)}.",
        f"Your next billing date after that day is {day_words(upcoming)}.",
        *_deadline_sentences(upcoming, deadline, notice_days, on_time),
        *_effective_sentences(upcoming, effective, on_time, requested_end),
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
        f"We received your request on {day_words(received_on)}.",
        f"Your trial runs until {day_words(trial_ends_on)}, and the policy asks for "
        f"{_days(trial_notice_days)} of notice before it ends.",
        f"Your request is in time, so your subscription ends with the trial on {day_words(trial_ends_on)}.",
        "Nothing is charged.",
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
        f"We received your cancellation on {day_words(received_on)}.",
        f"Your contract started on {day_words(started_on)}, so its {_days(cooling_off_days)} of cooling-off "
        f"run until {day_words(last)}.",
        "You are within them, so your subscription ends at once.",
    )
    return NoticeAssessment(next_billing_date(anchor, interval, received_on), last, True, received_on, told)


def assess_for_cause(ordinary: NoticeAssessment, *, received_on: date) -> NoticeAssessment:
    """The assessment once the ground was accepted: no notice is needed, the subscription ends on the day of receipt."""
    told = (
        f"We received your request on {day_words(received_on)}.",
        "You asked to leave at once for a ground that you stated, and we accepted it.",
        f"No notice is needed then: your subscription ends at once, on {day_words(received_on)}.",
    )
    return NoticeAssessment(ordinary.next_billing_on, ordinary.deadline_on, True, received_on, told)


def cooling_off_is_over(last: date) -> str:
    """The sentence before an ordinary assessment of somebody who asked to use the cooling-off days too late."""
    return f"The cooling-off days ended on {day_words(last)}, so your request counts as an ordinary cancellation."


def _deadline_sentences(upcoming: date, deadline: date, notice_days: int, on_time: bool) -> tuple[str, str]:
    if notice_days == 0:
        rule = "The policy asks for no notice, so every day before that date is in time."
    else:
        rule = (
            f"The policy asks for {_days(notice_days)} of notice, so the last day to cancel for "
            f"{day_words(upcoming)} is {day_words(deadline)}."
        )
    verdict = (
        "Your request is in time for that date." if on_time else "Your request came after that day, so it is late."
    )
    return rule, verdict


def _effective_sentences(upcoming: date, effective: date, on_time: bool, requested_end: date | None) -> tuple[str, ...]:
    wish: tuple[str, ...] = ()
    if requested_end is not None:
        wish = (f"You asked for an end on {day_words(requested_end)} or later.",)
    if effective == upcoming and on_time:
        return *wish, f"Your subscription ends on that billing date, {day_words(effective)}."
    return *wish, f"The first billing date that fits is {day_words(effective)}: your subscription ends on that day."


def _require_days(days: int) -> None:
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise ValueError(f"Notice is a whole number of days, zero or more, not {days!r}.")


def _shift(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError as error:
        raise ValueError(f"The calendar ends before {day} shifted by {days} days.") from error


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"

"""The cooling-off days: the statutory right to leave shortly after the start. Pure: no Django, no clock."""

from datetime import date

from billing.rules.periods import Interval, next_billing_date
from cancellations.rules.explanation import Step, step
from cancellations.rules.notice import NoticeAssessment, require_days, shifted


def assess_cooling_off(
    *, received_on: date, started_on: date, cooling_off_days: int, anchor: date, interval: Interval
) -> NoticeAssessment | None:
    """The assessment within the cooling-off days, or None once they are over: the subscription ends at once.

    `deadline_on` is the last cooling-off day, which counts wholly. `effective_on` is the day of receipt.
    """
    require_days(cooling_off_days)
    last = shifted(started_on, cooling_off_days - 1)
    if received_on > last:
        return None
    told = (
        step("received", received_on=received_on),
        step("cooling_off", started_on=started_on, days=cooling_off_days, last=last),
        step("cooling_off_at_once"),
    )
    return NoticeAssessment(next_billing_date(anchor, interval, received_on), last, True, received_on, told)


def cooling_off_is_over(last: date) -> Step:
    """The step before an ordinary assessment of somebody who asked to use the cooling-off days too late."""
    return step("cooling_off_over", last=last)

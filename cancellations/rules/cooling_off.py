"""The cooling-off days: the statutory right to leave shortly after the start. Pure: no Django, no clock."""

from dataclasses import dataclass
from datetime import date

import holidays

from billing.rules.periods import Interval, next_billing_date
from cancellations.rules.explanation import Step, step
from cancellations.rules.jurisdictions import COOLING_OFF, EU
from cancellations.rules.notice import NoticeAssessment, require_days, shifted


@dataclass(frozen=True)
class CoolingOff:
    """The cooling-off days of a contract. `last` is the last of them, which counts wholly."""

    started_on: date
    days: int
    last: date


def cooling_off_term(*, started_on: date, policy_days: int, country: str) -> CoolingOff:
    """Returns the cooling-off days by the policy, or by the law of a consumer's country where that gives more.

    `started_on` is the later of start and conclusion. `country` is "" for a business and where it is not known.
    """
    days = cooling_off_days(policy_days, country)
    return CoolingOff(started_on, days, last_day(started_on=started_on, days=days, country=country))


def last_day(*, started_on: date, days: int, country: str) -> date:
    """The last day on which a cooling-off cancellation counts, the whole day counting.

    The day of the conclusion is not counted (Regulation (EEC, Euratom) 1182/71, article 3(1); Directive 2011/83/EU,
    article 9(2)). In the EU and the EEA, a last day that is a Saturday, a Sunday or a public holiday of the country
    moves to the next working day (article 3(4)); elsewhere, and where no country is known (""), it does not move.
    `country` is ISO 3166-1 alpha-2. Raises ValueError for negative days and where the calendar ends.
    """
    require_days(days)
    last = shifted(started_on, days)
    if country.upper() not in EU:
        return last
    closed = _public_holidays(country.upper())
    while last.weekday() >= 5 or last in closed:
        last = shifted(last, 1)
    return last


def _public_holidays(country: str) -> holidays.HolidayBase | dict[date, str]:
    try:
        return holidays.country_holidays(country)
    except NotImplementedError:  # no calendar of that country: weekends only
        return {}


def cooling_off_days(policy_days: int, country: str) -> int:
    """The greater of the policy's days and those that the law of the country gives to consumers."""
    statutory = COOLING_OFF.days if country.upper() in COOLING_OFF.countries | {"GB"} else 0
    return max(policy_days, statutory)


def cooling_off_refund_days(country: str) -> int | None:
    """The calendar days from receipt within which the law wants the money paid back; None where it sets none.

    Directive 2011/83/EU, article 13(1); for the United Kingdom, regulation 34 of SI 2013/3134.
    """
    return COOLING_OFF.refund_days if country.upper() in COOLING_OFF.countries | {"GB"} else None


def assess_cooling_off(
    *, received_on: date, term: CoolingOff, anchor: date, interval: Interval, sent_on: date | None = None
) -> NoticeAssessment | None:
    """The assessment within the cooling-off days, or None once they are over: the subscription ends at once.

    `deadline_on` is the last cooling-off day. `effective_on` is the day of receipt, also where the day of sending
    (`sent_on`) is the one that has to be within the days. With zero days there is no such right.
    """
    if term.days == 0 or (sent_on or received_on) > term.last:
        return None
    steps = (
        step("received", received_on=received_on),
        step("cooling_off", started_on=term.started_on, days=term.days, last=term.last),
        *(() if sent_on is None else (step("sending_counts", sent_on=sent_on),)),
        step("cooling_off_at_once"),
    )
    return NoticeAssessment(next_billing_date(anchor, interval, received_on), term.last, True, received_on, steps)


def cooling_off_sent(sent_on: date) -> Step:
    """Returns the step that says that a late message was sent in time, so that support decides."""
    return step("cooling_off_sent", sent_on=sent_on)


def cooling_off_is_over(last: date) -> Step:
    """Returns the step that explains why a cooling-off cancellation counts as an ordinary one."""
    return step("cooling_off_over", last=last)

"""The card of a subscription before a confirmation: its end date, with what leads to it and what it costs."""

from datetime import datetime
from typing import Any

from billing.rules.periods import local_date
from cancellations.rules.date_line import points_of
from cancellations.services.joining import Expected
from cancellations.wording.charges import words_to_come


def card_of(expected: Expected, now: datetime) -> dict[str, Any]:
    """Returns the values of `parts/check_card.html` and `parts/prove_card.html`."""
    outcome = expected.outcome
    today = local_date(now, outcome.subscription.account.time_zone)
    is_dated = not outcome.at_once and not expected.keeps_end
    return {
        "outcome": outcome,
        "expected": expected,
        "points": points_of(outcome.assessment, today=today) if is_dated else (),
        "to_come": words_to_come(expected.subscription, today=today, end=expected.ends_on),
    }

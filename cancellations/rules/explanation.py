"""The steps that explain an end date, as data. Pure: no Django, no clock.

`cancellations/wording/explanation.py` turns them into sentences in the reader's language.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from babel.dates import format_date

# The sentences of explanations by key: singular and plural where the count `days` decides, else one sentence.
# Catalogues translate them.
SENTENCES: Mapping[str, tuple[str, ...]] = {
    "received": ("We received your request on %(received_on)s.",),
    "next_billing": ("Your next billing date after that day is %(next_billing_on)s.",),
    "special_plan": ("The policy has a notice period of its own for your plan.",),
    "special_interval": ("The policy has a notice period of its own for your billing interval.",),
    "no_notice": ("The policy asks for no notice, so every day before that date is in time.",),
    "deadline": (
        "The policy asks for %(days)s day of notice, so the last day to cancel for %(next_billing_on)s is "
        "%(deadline_on)s.",
        "The policy asks for %(days)s days of notice, so the last day to cancel for %(next_billing_on)s is "
        "%(deadline_on)s.",
    ),
    "deadline_by_law": ("By the law (%(source)s), the last day to cancel for %(next_billing_on)s is %(deadline_on)s.",),
    "in_time": ("Your request is in time for that date.",),
    "late": ("Your request came after that day, so it is late.",),
    "wish": ("You requested %(requested_end)s or later as your end date.",),
    "ends_then": ("Your subscription ends on that billing date, %(effective_on)s.",),
    "ends_later": ("The first billing date that fits is %(effective_on)s: your subscription ends on that day.",),
    "minimum_term": (
        "Your contract has a minimum term that ends on %(minimum_term_ends_on)s, so the first billing date on which "
        "it can end is %(possible_on)s.",
    ),
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
    "cooling_off_at_once": ("You are within these days, so your subscription ends at once.",),
    "cooling_off_over": (
        "The cooling-off days ended on %(last)s, so your request counts as an ordinary cancellation.",
    ),
    "cooling_off_sent": (
        "Your message says that it was sent on %(sent_on)s, within these days, and it arrived later. Our support team "
        "decides which day counts.",
    ),
    "sending_counts": (
        "Your message was sent on %(sent_on)s. We decided that this day counts, although the message arrived later.",
    ),
    "by_policy": ("By the policy, your subscription ends on %(policy_on)s.",),
    "by_law": ("By the law (%(source)s), it ends on %(law_on)s at the latest.",),
    "by_law_at_once": (
        "By the law (%(source)s), a renewed contract ends at once if no reminder of the renewal was sent in time, and "
        "we have no record of one.",
    ),
    "assumed_consumer": (
        "We do not know whether you are a consumer or a business, so we assumed that you are a consumer.",
    ),
    "assumed_conclusion": (
        "We do not know on which day the contract was concluded, so we assumed the day of its start, %(started_on)s.",
    ),
    "assumed_first_term": (
        "We have no record of a minimum term, so we assumed that the first billing period is one, until "
        "%(effective_on)s.",
    ),
    "law_counts": ("The earlier of the two dates counts: your subscription ends on %(effective_on)s.",),
    "law_counts_at_once": ("The earlier of the two counts: your subscription ends at once.",),
    "policy_counts": (
        "The earlier of the two dates counts, which is the policy’s: your subscription ends on %(effective_on)s.",
    ),
    "both_count": ("Both are the same date: by the policy, your subscription ends on %(effective_on)s.",),
    "by_cancellation": ("By your cancellation alone, your subscription would end on %(effective_on)s.",),
    "ends_elsewhere": (
        "Our records already have an earlier end of this subscription, %(effective_on)s. That end stands.",
    ),
    "cause_accepted": ("You gave a reason for leaving at once, and we accepted it.",),
    "cause_at_once": ("No notice is needed then: your subscription ends at once, on %(received_on)s.",),
    "waived": ("Our support team waived the notice, so your subscription ends on %(effective_on)s instead.",),
}


@dataclass(frozen=True)
class Step:
    """One step of the explanation of an end date: the key of its sentence, and its figures.

    Figures are dates, counts and, under the name `source`, the article of a law.
    """

    key: str
    figures: Mapping[str, date | int | str]

    def frozen(self) -> list[object]:
        """Returns the step for a JSON field, with dates in ISO 8601."""
        figures = {
            name: value.isoformat() if isinstance(value, date) else value for name, value in self.figures.items()
        }
        return [self.key, figures]

    def sentence(self) -> str:
        """Returns the sentence in English."""
        forms, days = SENTENCES[self.key], self.figures.get("days")
        values = {
            name: format_date(value, "long", "en_GB") if isinstance(value, date) else value
            for name, value in self.figures.items()
        }
        return forms[-1 if days != 1 else 0] % values


def step(key: str, **figures: date | int | str) -> Step:
    return Step(key, figures)

from datetime import date, datetime

from django import template

from billing.periods import local_date
from billing.wording import day_words, instant_words, long_day_words
from cancellations.queries import Entry

register = template.Library()

TOLD = {
    ("submit", "customer"): "We received your cancellation",
    ("verify", "customer"): "You proved your e-mail address",
    ("schedule", "staff"): "Our support team scheduled it",
    ("schedule", "system"): "Nobody had decided in time, so it counts as accepted",
    ("decline", "staff"): "Our support team declined it",
    ("waive", "staff"): "Our support team waived the notice",
    ("change_kind", "staff"): "Our support team changed what it counts as",
    ("reopen", "staff"): "Our support team took it up again",
    ("terminate", "staff"): "Settled, because we ended the account",
    ("confirm", "staff"): "Settled, because we ended the account",
    ("reverse", "staff"): "We took the end of the account back, so it is in review again",
    ("withdraw", "customer"): "You took it back",
    ("take_effect", "system"): "Your subscription ended",
    ("expire", "system"): "The address was not proven in time",
    ("supersede", "system"): "Settled, because the subscription had ended otherwise",
}


@register.filter
def long_day(day: date | None) -> str:
    """Like «Saturday, 28 February 2026»."""
    return long_day_words(day)


@register.filter
def short_day(day: date | None) -> str:
    return day_words(day)


@register.filter
def in_zone(instant: datetime, zone: str) -> str:
    """Date and time to the second, with the zone in which they are told."""
    return instant_words(instant, zone)


@register.filter
def on_day(instant: datetime, zone: str) -> str:
    """The day on which the instant falls in the zone."""
    return day_words(local_date(instant, zone))


@register.filter
def words_of(name: str) -> str:
    """Like «Received at» for `received_at`."""
    return name.replace("_", " ").capitalize()


@register.filter
def is_table(value: object) -> bool:
    return isinstance(value, dict)


@register.filter
def is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


@register.filter
def is_instant(value: object) -> bool:
    return isinstance(value, datetime)


@register.filter
def told(entry: Entry) -> str:
    """The line of the timeline in the customer's words; empty for what concerns only staff."""
    return TOLD.get((entry.verb, entry.actor), "")

from datetime import date, datetime

from django import template
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.timeline import Entry
from billing.rules.periods import local_date
from cancellations.queries.own_data import CODES, LABELS
from cancellations.wording.explanation import sentences as told_in_sentences
from messaging.wording import day_words, instant_words, long_day_words

register = template.Library()

TOLD = {
    ("submit", "customer"): _("We received your cancellation"),
    ("verify", "customer"): _("You proved your e-mail address"),
    ("schedule", "staff"): _("Our support team scheduled it"),
    ("schedule", "system"): _("Nobody had decided in time, so it counts as accepted"),
    ("decline", "staff"): _("Our support team declined it"),
    ("waive", "staff"): _("Our support team waived the notice"),
    ("change_kind", "staff"): _("Our support team changed what it counts as"),
    ("reopen", "staff"): _("Our support team took it up again"),
    ("terminate", "staff"): _("Settled, because we ended the account"),
    ("confirm", "staff"): _("Settled, because we ended the account"),
    ("reverse", "staff"): _("We took the end of the account back, so it is in review again"),
    ("withdraw", "customer"): _("You took it back"),
    ("take_effect", "system"): _("Your subscription ended"),
    ("expire", "system"): _("The address was not proven in time"),
    ("supersede", "system"): _("Settled, because the subscription had ended otherwise"),
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
def on_day(instant: datetime | None, zone: str) -> str:
    """The day on which the instant falls in the zone; empty for none."""
    return day_words(local_date(instant, zone)) if instant else ""


@register.filter
def company_day(instant: datetime) -> str:
    """The day on which the instant falls where the company is."""
    return on_day(instant, settings.COMPANY_TIME_ZONE)


@register.filter
def sentences(working: list[list[object] | str]) -> list[str]:
    """The working behind an end date, in the reader's language."""
    return told_in_sentences(working)


@register.filter
def translated(words: str) -> str:
    """What the system wrote in the portal's own language; what a person wrote stays as it is."""
    return gettext(words) if words else ""


@register.filter
def plain(number: float) -> str:
    """With a decimal point in every language, for what machines read."""
    return f"{number:g}"


@register.filter
def words_of(name: str) -> str:
    """What a field of one's own data is called."""
    return str(LABELS[name]) if name in LABELS else name


@register.filter
def code_words(value: object, key: str) -> object:
    """What a code in one's own data means; anything else stays as it is."""
    return CODES.get(key, {}).get(value, value)


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
def is_day(value: object) -> bool:
    return isinstance(value, date)


@register.filter
def told(entry: Entry) -> str:
    """The line of the timeline in the customer's words; empty for what concerns only staff."""
    return str(TOLD.get((entry.verb, entry.actor), ""))

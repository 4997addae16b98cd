from datetime import date, datetime

from django import template
from django.conf import settings
from django.contrib.messages.storage.base import Message
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.timeline import Entry
from billing.rules.periods import local_date
from cancellations.queries.own_data import CODES, LABELS
from cancellations.rules.comparison import Block
from cancellations.wording.explanation import sentences as explanation_sentences
from messaging.text import isolate
from messaging.wording import day_words, instant_words, long_day_words

register = template.Library()

TIMELINE_TEXTS = {
    ("submit", "customer"): _("We received your cancellation"),
    ("verify", "customer"): _("You proved your e-mail address"),
    ("schedule", "staff"): _("Our support team scheduled it"),
    ("schedule", "system"): _("We did not decide in time, so it counts as accepted"),
    ("decline", "staff"): _("Our support team declined it"),
    ("waive", "staff"): _("Our support team waived the notice"),
    ("change_kind", "staff"): _("Our support team changed what it counts as"),
    ("reopen", "staff"): _("Our support team reopened it"),
    ("terminate", "staff"): _("Closed, because we ended the account"),
    ("confirm", "staff"): _("Closed, because we ended the account"),
    ("reverse", "staff"): _("We reversed the end of the account, so it is in review again"),
    ("withdraw", "customer"): _("You took it back"),
    ("take_effect", "system"): _("Your subscription ended"),
    ("expire", "system"): _("The address was not proven in time"),
    ("supersede", "system"): _("Closed, because the subscription had already ended"),
}


@register.filter
def isolated(text: str) -> str:
    """The text so that its direction ends where it ends, for a place inside a sentence."""
    return isolate(str(text))


@register.filter
def long_day(day: date | None) -> str:
    """Like «Saturday, 28 February 2026»."""
    return long_day_words(day)


@register.filter
def short_day(day: date | None) -> str:
    return day_words(day)


@register.filter
def in_zone(instant: datetime, zone: str) -> str:
    """Date and time to the second, with the name of the zone."""
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
def sentences(steps: list[list[object] | str]) -> list[str]:
    """The explanation of an end date, in the reader's language."""
    return explanation_sentences(steps)


@register.filter
def translated(words: str) -> str:
    """Translates a text of the system. A text that staff wrote has no translation and stays."""
    return gettext(words) if words else ""


@register.filter
def plain(number: float) -> str:
    """Formats a number with a decimal point in every language, for attributes that machines read."""
    return f"{number:g}"


@register.filter
def words_of(name: str) -> str:
    """The label of a field of the personal data."""
    return str(LABELS[name]) if name in LABELS else name


@register.filter
def code_words(value: object, key: str) -> object:
    """The label of a code in the personal data; any other value unchanged."""
    return CODES.get(key, {}).get(value, value)


@register.filter
def note_tone(message: Message) -> str:
    """The colour of a note on top of a page: of a warning, of something that worked, or none."""
    return {"warning": "wait", "success": "good"}.get(message.level_tag, "")


@register.filter
def version_words(number: int) -> str:
    """The name of a version of the policy, like «Version 3»."""
    return gettext("Version %(number)s") % {"number": number}


@register.filter
def marked(block: Block) -> SafeString:
    """The words of a paragraph, with those that were removed and added marked."""
    tags = {"same": "{}", "removed": "<del>{}</del>", "added": "<ins>{}</ins>"}
    return format_html_join("", "{}", ((format_html(tags[piece.kind], piece.text),) for piece in block.pieces))


@register.filter
def sort_of(value: object) -> str:
    """How a value of the personal data is shown: a table, a list, nothing, a plain value, or words."""
    if isinstance(value, dict):
        return "table"
    if isinstance(value, list | tuple):
        return "list"
    if value is None or value == "":
        return "nothing"
    return "plain" if isinstance(value, bool | date) else "words"


@register.filter
def plain_value(value: bool | date) -> str:
    """Yes or no, an instant, or a day."""
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    return in_zone(value, "UTC") if isinstance(value, datetime) else short_day(value)


@register.filter
def timeline_text(entry: Entry) -> str:
    """The text of a timeline entry for the customer; empty for entries that only concern staff."""
    return str(TIMELINE_TEXTS.get((entry.verb, entry.actor), ""))

"""The labels of buttons that the law of a jurisdiction prescribes."""

from datetime import date

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from cancellations.rules.jurisdictions import COOLING_OFF, DEFAULT, PROFILES
from cancellations.rules.law import Profile, Statement
from messaging.wording import active_language, day_words

register = template.Library()


@register.simple_tag
def entry_label(profile: Profile | str) -> str:
    return _words(profile, "entry_label")


@register.simple_tag
def confirm_label(profile: Profile | str) -> str:
    return _words(profile, "confirm_label")


@register.simple_tag
def kind_heading(kind: str, profile: Profile) -> str:
    """The heading of the form, by what it cancels for."""
    if kind == "cooling_off":
        return gettext("Withdraw from contract")
    return gettext("Cancel for cause") if kind == "for_cause" else _words(profile, "entry_label")


@register.simple_tag
def confirm_kind(kind: str, profile: Profile) -> str:
    """The words on the button that declares."""
    return withdrawal_confirm(profile) if kind == "cooling_off" else _words(profile, "confirm_label")


@register.simple_tag
def withdrawal_entry(profile: Profile | str) -> str:
    """The words on the button or link that leads to the form of the cooling-off right."""
    return _withdrawal_words(profile, "entry_label")


@register.simple_tag
def withdrawal_confirm(profile: Profile | str) -> str:
    """The words on the button that withdraws from the contract."""
    return _withdrawal_words(profile, "confirm_label")


@register.simple_tag
def withdrawal_hint(profile: Profile, which: str) -> str:
    """Explains the words of the law in a language that the page is not in."""
    if not _is_foreign(profile):
        return ""
    return _hint(getattr(COOLING_OFF, f"{which}_label"))


@register.simple_tag
def statement_standing(statement: Statement, today: date) -> str:
    """Whether the statement holds, and from when."""
    if statement.announced:
        return gettext("Announced for %(when)s, not in force yet") % {"when": gettext(statement.announced)}
    if not statement.verified:
        return gettext("Not verified; we do not apply it")
    if statement.valid_from and statement.valid_from > today:
        return gettext("From %(day)s") % {"day": day_words(statement.valid_from)}
    if statement.valid_to and statement.valid_to <= today:
        return gettext("Until %(day)s") % {"day": day_words(statement.valid_to)}
    return gettext("Since %(day)s") % {"day": day_words(statement.valid_from)} if statement.valid_from else ""


@register.simple_tag
def label_hint(profile: Profile, which: str) -> str:
    """Explains a prescribed label in another language, outside the button, which may have no other words."""
    if not profile.labels_in or profile.labels_in == active_language():
        return ""
    name = f"{which}_label"
    return _hint(getattr(PROFILES[DEFAULT], name))


def _hint(meaning: str) -> SafeString:
    hint = gettext("The law requires these words. They mean: %(meaning)s") % {"meaning": gettext(meaning)}
    return format_html('<p class="quiet small mt-2 mb-0">{}</p>', hint)


def _is_foreign(profile: Profile | str) -> bool:
    """Whether the words of the cooling-off right are those of a language that the page is not in."""
    words = profile.withdrawal_words if isinstance(profile, Profile) else None
    return words is not None and isinstance(profile, Profile) and active_language() not in profile.speaks


def _withdrawal_words(profile: Profile | str, name: str) -> str | SafeString:
    words = profile.withdrawal_words if isinstance(profile, Profile) else None
    if words is None or not _is_foreign(profile):
        return gettext(getattr(COOLING_OFF, name))
    return format_html('<span lang="{}" dir="ltr">{}</span>', words.language, getattr(words, name))


def _words(profile: Profile | str, name: str) -> str | SafeString:
    shown_profile = (
        profile if isinstance(profile, Profile) else PROFILES[settings.JURISDICTION]
    )  # error pages may have none
    words: str = getattr(shown_profile, name)
    if not shown_profile.labels_in:
        return gettext(words)
    if shown_profile.labels_in == active_language():
        return words
    return format_html('<span lang="{}" dir="ltr">{}</span>', shown_profile.labels_in, words)

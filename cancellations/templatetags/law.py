"""The labels of buttons that the law of a jurisdiction prescribes."""

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from cancellations.rules.jurisdictions import DEFAULT, PROFILES, Profile
from messaging.wording import active_language

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
    return gettext("Confirm withdrawal") if kind == "cooling_off" else _words(profile, "confirm_label")


@register.simple_tag
def label_hint(profile: Profile, which: str) -> str:
    """Explains a prescribed label in another language, outside the button, which may have no other words."""
    if not profile.labels_in or profile.labels_in == active_language():
        return ""
    name = f"{which}_label"
    hint = gettext("The law requires these words. They mean: %(meaning)s") % {
        "meaning": gettext(getattr(PROFILES[DEFAULT], name))
    }
    return format_html('<p class="quiet small mt-2 mb-0">{}</p>', hint)


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

"""A policy version's text with its own figures filled in, as sanitised HTML."""

import re
from pathlib import Path

from django.conf import settings
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from cancellations.models import PolicyVersion
from messaging.outbound.rendering import markdown_to_html
from messaging.wording import use_language

FIRST_TEXT = Path(__file__).with_name("first_policy.md")  # what a new version starts from
DAY_FIGURES = {
    "notice_days": _("Notice"),
    "trial_notice_days": _("Notice within a trial"),
    "cooling_off_days": _("Cooling-off"),
    "verification_days": _("Time to prove your address"),
    "refund_decision_days": _("Refund decided within"),
    "refund_payment_days": _("Refund paid within"),
}


def figures(version: PolicyVersion) -> dict[str, str]:
    """The figures by the names that stand in braces in the text, in words such as «10 days»."""
    told = {}
    for name in DAY_FIGURES:
        days = getattr(version, name)
        if name.startswith("refund"):
            words = ngettext("%(days)s working day", "%(days)s working days", days)
        else:
            words = ngettext("%(days)s day", "%(days)s days", days)
        told[name] = words % {"days": days}
    return told


def plain(version: PolicyVersion) -> str:
    """The Markdown with the figures in place. A name in braces that is no figure stays, so that a slip is seen.

    A policy is binding in one language, the portal's own, and so are its figures in whatever frame it stands.
    """
    text = version.text.replace("{brand}", settings.BRAND_NAME).replace("{support_email}", settings.SUPPORT_EMAIL)
    with use_language(settings.LANGUAGE_CODE):
        for name, words in figures(version).items():
            text = text.replace("{" + name + "}", words)
    return text


def unknown_figures(version: PolicyVersion) -> list[str]:
    """Names in braces that stay as they are when the text is shown: slips of whoever wrote it."""
    return sorted(set(re.findall(r"\{\w+\}", plain(version))))


def filled_in(version: PolicyVersion) -> str:
    return mark_safe(markdown_to_html(plain(version)))


def table(version: PolicyVersion) -> dict[str, str]:
    """All figures of the version by what they are called, for people."""
    told = {str(DAY_FIGURES[name]): words for name, words in figures(version).items()}
    told[gettext("Refund proposed on a termination")] = str(version.get_termination_basis_display())
    deciders = gettext("two managers") if version.termination_needs_two else gettext("one manager")
    told[gettext("A termination is decided by")] = deciders
    told[gettext("Review")] = str(version.get_review_mode_display())
    limits = (f"{code} {limit}" for code, limit in sorted(version.approval_limits.items()))
    told[gettext("Refund approved by one person up to")] = ", ".join(limits) or gettext("always by two")
    return told

"""A policy version's text with its own figures filled in, as sanitised HTML."""

import re
from pathlib import Path

from django.conf import settings
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from billing.models import RefundBasis
from cancellations.models import PolicyVersion
from cancellations.rules.terms import SpecialTerms, parse_special_terms
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


BILLED = {
    "day": _("billed by the day"),
    "week": _("billed by the week"),
    "month": _("billed by the month"),
    "year": _("billed by the year"),
}


def figures(version: PolicyVersion) -> dict[str, str]:
    """Returns the figures in words such as «10 days», by the names that stand for them in the text."""
    figures = {}
    for name in DAY_FIGURES:
        days = getattr(version, name)
        if name.startswith("refund"):
            words = ngettext("%(days)s working day", "%(days)s working days", days)
        else:
            words = ngettext("%(days)s day", "%(days)s days", days)
        figures[name] = words % {"days": days}
    return figures


def plain(version: PolicyVersion) -> str:
    """Returns the Markdown text with its figures filled in. An unknown name in braces stays visible.

    A policy is binding in one language, the default of the portal, so its figures are always in that language.
    """
    text = version.text.replace("{brand}", settings.BRAND_NAME).replace("{support_email}", settings.SUPPORT_EMAIL)
    with use_language(settings.LANGUAGE_CODE):
        for name, words in figures(version).items():
            text = text.replace("{" + name + "}", words)
    return text


def unknown_figures(version: PolicyVersion) -> list[str]:
    """Returns the names in braces that are not figures: mistakes in the text."""
    return sorted(set(re.findall(r"\{\w+\}", plain(version))))


def filled_in(version: PolicyVersion) -> str:
    return mark_safe(markdown_to_html(plain(version)))  # noqa: S308 - sanitised by nh3


def special_figures(version: PolicyVersion) -> list[tuple[str, dict[str, str]]]:
    """Returns the terms that differ: for which subscriptions, and in words the figures that they set, by label."""
    return [(_for_whom(terms), _special_figures(terms)) for terms in parse_special_terms(version.special_terms)]


def special_labels(version: PolicyVersion) -> list[str]:
    """Returns the labels of the figures that the version's special terms set, in the order of its own figures."""
    used = {label for _, figures in special_figures(version) for label in figures}
    return [label for label in _special_labels().values() if label in used]


def _special_labels() -> dict[str, str]:
    return {
        "notice_days": gettext("Notice"),
        "trial_notice_days": gettext("Notice within a trial"),
        "refund_basis": gettext("Refund proposed on a termination"),
    }


def _special_figures(terms: SpecialTerms) -> dict[str, str]:
    figures = {}
    for name, label in _special_labels().items():
        value = getattr(terms, name)
        if isinstance(value, int):
            figures[label] = ngettext("%(days)s day", "%(days)s days", value) % {"days": value}
        elif value:
            figures[label] = str(RefundBasis(value).label)
    return figures


def _for_whom(terms: SpecialTerms) -> str:
    if terms.is_prefix:
        return gettext("plans whose code starts with %(start)s") % {"start": terms.plan_code[:-1]}
    if terms.plan_code:
        return gettext("plan %(plan)s") % {"plan": terms.plan_code}
    return str(BILLED[terms.interval_unit])


def table(version: PolicyVersion) -> dict[str, str]:
    """Returns all figures of the version by label."""
    table = {str(DAY_FIGURES[name]): words for name, words in figures(version).items()}
    table[gettext("Refund proposed on a termination")] = str(version.get_termination_basis_display())
    deciders = gettext("two managers") if version.termination_needs_two else gettext("one manager")
    table[gettext("Terminations are decided by")] = deciders
    for whom, special in special_figures(version):
        table |= {
            gettext("%(figure)s, %(whom)s") % {"figure": label, "whom": whom}: special[label] for label in special
        }
    table[gettext("Review")] = str(version.get_review_mode_display())
    limits = (f"{code} {limit}" for code, limit in sorted(version.approval_limits.items()))
    table[gettext("Refund approved by one person up to")] = ", ".join(limits) or gettext("always by two")
    return table

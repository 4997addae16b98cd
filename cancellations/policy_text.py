"""A policy version's text with its own figures filled in, as sanitised HTML."""

from pathlib import Path

from django.conf import settings
from django.template.defaultfilters import pluralize
from django.utils.safestring import mark_safe

from cancellations.models import PolicyVersion
from messaging.rendering import markdown_to_html

FIRST_TEXT = Path(__file__).with_name("first_policy.md")  # what a new version starts from
DAY_FIGURES = (
    "notice_days",
    "trial_notice_days",
    "cooling_off_days",
    "verification_days",
    "refund_decision_days",
    "refund_payment_days",
)


def figures(version: PolicyVersion) -> dict[str, str]:
    """The figures by the names that stand in braces in the text, in words such as «10 days»."""
    told = {}
    for name in DAY_FIGURES:
        days = getattr(version, name)
        kind = "working day" if name.startswith("refund") else "day"
        told[name] = f"{days} {kind}{pluralize(days)}"
    return told


def filled_in(version: PolicyVersion) -> str:
    """HTML; a name in braces that is no figure stays as it is, so that a slip of the pen is seen."""
    text = version.text.replace("{brand}", settings.BRAND_NAME).replace("{support_email}", settings.SUPPORT_EMAIL)
    for name, words in figures(version).items():
        text = text.replace("{" + name + "}", words)
    return mark_safe(markdown_to_html(text))

"""What the page before a cancellation says about the end date and the money."""

from typing import Any

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from billing.models import RefundBasis
from billing.templatetags.money import money
from cancellations.models import Kind
from cancellations.templatetags.standing import filled
from messaging.wording import day_words

register = template.Library()


@register.simple_tag
def date_remark(card: dict[str, Any], kind: str) -> dict[str, str]:
    """What qualifies the end date of a subscription, and its tone; empty where nothing does."""
    outcome = card["outcome"]
    if kind == Kind.FOR_CAUSE:
        return {"words": gettext("At the latest. If we accept your reason, it ends today"), "tone": ""}
    if kind == Kind.COOLING_OFF and not outcome.at_once:
        words = gettext("The cooling-off days are over, so this counts as an ordinary cancellation")
        return {"words": words, "tone": "wait"}
    if card["late"]:
        days = {"billing": outcome.assessment.deadline_for, "deadline": outcome.assessment.deadline_on}
        words = gettext("Too late for %(billing)s: the last day for that was %(deadline)s")
        return {"words": filled(words, **{name: day_words(day) for name, day in days.items()}), "tone": "wait"}
    return {}


@register.simple_tag
def money_remark(card: dict[str, Any], kind: str, refund_reason: str) -> SafeString | str:
    """What becomes of the money that was paid for the time after the end."""
    outcome = card["outcome"]
    if outcome.refund and outcome.refund.amount:
        if outcome.refund_basis == RefundBasis.FULL:
            words = gettext("You paid %(sum)s. We review this automatically; you do not need to ask.")
        else:
            words = gettext(
                "You have prepaid %(sum)s beyond the end date. We review this automatically; you do not need to ask."
            )
        return filled(words, sum=money(outcome.refund))
    if kind != Kind.ORDINARY:
        return gettext("We review what you paid, and tell you the result.")
    if refund_reason:
        return gettext(
            "You have prepaid nothing beyond that date, so there is no automatic refund. We decide based on "
            "your reason."
        )
    return gettext("You have prepaid nothing beyond that date, so there is nothing to refund.")


@register.simple_tag
def date_rule(kind: str, days: int) -> SafeString:
    """How the end date will be found, for a guest whose subscription is not known yet."""
    if kind == Kind.COOLING_OFF:
        words = ngettext(
            "If the contract is within its cooling-off days, it ends at once. Otherwise it ends on the first billing "
            "date at least %(days)s day after today.",
            "If the contract is within its cooling-off days, it ends at once. Otherwise it ends on the first billing "
            "date at least %(days)s days after today.",
            days,
        )
    elif kind == Kind.FOR_CAUSE:
        words = ngettext(
            "It is the first billing date at least %(days)s day after today, or today if we accept your reason.",
            "It is the first billing date at least %(days)s days after today, or today if we accept your reason.",
            days,
        )
    else:
        words = ngettext(
            "It is the first billing date at least %(days)s day after today.",
            "It is the first billing date at least %(days)s days after today.",
            days,
        )
    return filled(words, days=days)

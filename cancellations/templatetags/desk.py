"""Tags with which the pages of billing and accounts show the cases of this app without importing it."""

from typing import Any

from django import template

from accounts.models import Account
from accounts.timeline import action_item, entries, staff_names
from billing.models import Refund
from cancellations.models import CancellationRequest, TerminatedSubscription

register = template.Library()


@register.simple_tag
def case_behind(refund: Refund) -> dict[str, Any]:
    """Returns the request or termination that led to the refund, with its history."""
    request = CancellationRequest.objects.filter(refund=refund).select_related("policy_version").first()
    if request is None:  # a refund of an earlier review of the request
        request = CancellationRequest.objects.filter(
            declaration=refund.about, subscription=refund.subscription_id
        ).first()
    terminated = (
        TerminatedSubscription.objects.filter(refund=refund).select_related("termination__policy_version").first()
    )
    case = request or (terminated.termination if terminated else None)
    names = staff_names()
    return {
        "request": request,
        "termination": terminated.termination if terminated else None,
        "timeline": [action_item(entry, names) for entry in entries(case)] if case else [],
        "policy_version": case.policy_version if case else None,
    }


@register.simple_tag
def record_of(account: Account) -> dict[str, Any]:
    """Returns the newest rows of the account, for its page."""
    return {
        "subscriptions": account.subscriptions.all()[:50],
        "requests": account.requests.order_by("-received_at")[:20],
        "holds": account.holds.filter(lifted_at__isnull=True),
        "conversations": account.conversations.order_by("-opened_at")[:20],
        "terminations": account.terminations.all()[:20],
    }


@register.filter
def icon(kind: str) -> str:
    """The icon of an entry of a timeline, by its name in Material Symbols."""
    return {"message": "mail", "note": "sticky_note_2", "file": "attach_file"}.get(kind, "task_alt")


@register.filter
def presence_words(names: list[str]) -> str:
    """Who else has the page open, in the words that the script of the page uses; empty for nobody."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} looking at this, too." if names else ""

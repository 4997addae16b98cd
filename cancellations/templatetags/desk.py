"""What the pages of rows further down show of what lies above them: billing and accounts never know why."""

from typing import Any

from django import template

from accounts.models import Account, User
from billing.models import Refund
from cancellations.explaining import STAFF_VERBS
from cancellations.models import CancellationRequest, TerminatedSubscription
from cancellations.queries import Entry, timeline

register = template.Library()


@register.filter
def deed(verb: str) -> str:
    """What was done, for staff."""
    return str(STAFF_VERBS.get(verb, verb))


@register.simple_tag
def case_behind(refund: Refund) -> dict[str, Any]:
    """The request or the termination that the refund follows from, with its history."""
    request = CancellationRequest.objects.filter(refund=refund).select_related("policy_version").first()
    if request is None:  # an earlier refund of a request whose review was queued anew
        request = CancellationRequest.objects.filter(
            declaration=refund.about, subscription=refund.subscription_id
        ).first()
    done = TerminatedSubscription.objects.filter(refund=refund).select_related("termination__policy_version").first()
    case = request or (done.termination if done else None)
    return {
        "request": request,
        "termination": done.termination if done else None,
        "entries": [(entry, _who(entry)) for entry in timeline(case)] if case else [],
        "policy_version": case.policy_version if case else None,
    }


def _who(entry: Entry) -> str:
    person = User.objects.filter(pk=entry.by).first() if entry.by else None
    return str(person) if person else entry.actor


@register.simple_tag
def record_of(account: Account) -> dict[str, Any]:
    """The account's newest rows, for its page."""
    return {
        "subscriptions": account.subscriptions.all()[:50],
        "requests": account.requests.order_by("-received_at")[:20],
        "holds": account.holds.filter(lifted_at__isnull=True),
        "terminations": account.terminations.all()[:20],
    }

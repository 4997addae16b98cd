"""Letters about a termination and its reversal."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from billing.models.states import RELEASED, VOIDABLE
from cancellations.models import (
    Termination,
)
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.wording import day_words, instant_words, use_language


def send_termination_letter(kind: str, termination: Termination, *, now: datetime) -> None:
    """Queues the letter of a termination, or of its reversal, with ground and appeal address."""
    with use_language(termination.account.language):
        _send_termination_letter(kind, termination, now)


def _send_termination_letter(kind: str, termination: Termination, now: datetime) -> None:
    account = termination.account
    ended = termination.subscriptions.select_related("subscription", "refund").order_by("subscription__reference")
    requests = termination.superseded_requests.order_by("declaration").values_list("declaration", flat=True)
    refunds_under_way = [
        str(item.refund) for item in ended if item.refund and item.refund.state not in (*VOIDABLE, *RELEASED)
    ]
    context: dict[str, Value] = {
        "reference": termination.reference,
        "account_number": account.account_number,
        "name": account.name,
        "ground": str(termination.get_ground_display()),
        "description": termination.description,
        "effective": instant_words(termination.effective_at, account.time_zone) if termination.effective_at else "",
        "plans": [str(item.subscription) for item in ended],
        "requests": list(dict.fromkeys(requests)),
        "reviewed": any(item.refund for item in ended),
        "refund_due": next((day_words(item.refund.decision_due_on) for item in ended if item.refund), ""),
        "refunds_paid": refunds_under_way,
        "revoked": termination.revoke_sign_in,
        "settled_ground": termination.settled_ground,
        "appeal_email": settings.APPEAL_EMAIL,
        "policy": str(termination.policy_version.number),
        "policy_url": settings.SITE_URL + reverse("policy_version", args=[termination.policy_version.number]),
    }
    queue_message(kind=kind, recipient=account.email, context=context, now=now, about=termination.reference)

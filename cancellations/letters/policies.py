"""The letter that announces a policy version."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Upper
from django.urls import reverse

from accounts.models import Account
from cancellations.models import PolicyVersion
from cancellations.queries.policies import published_versions
from messaging.models import OutgoingMessage
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.wording import instant_words, use_language


def send_policy_letter(version: PolicyVersion, account: Account, *, now: datetime) -> None:
    """Queues the announcement of a new policy version to an account holder."""
    with use_language(account.language):
        _send_policy_letter(version, account, now)


def policy_letters(version: PolicyVersion, address: Any) -> QuerySet[OutgoingMessage]:
    """Returns the announcements of this version to an address, given in capitals."""
    letters = OutgoingMessage.objects.annotate(address=Upper("recipient"))
    return letters.filter(kind="policy_changed", about=f"policy {version.number}", address=address)


def _send_policy_letter(version: PolicyVersion, account: Account, now: datetime) -> None:
    effective = version.effective_from
    assert effective is not None  # held by a constraint for published versions
    previous = published_versions().filter(number__lt=version.number).first()
    compare = reverse("policy_compare", args=[previous.number, version.number]) if previous else ""
    context: dict[str, Value] = {
        "name": account.name,
        "policy": str(version.number),
        "summary": version.change_summary,
        "effective": instant_words(effective, account.time_zone),
        "in_force": effective <= now,
        "policy_url": settings.SITE_URL + reverse("policy_version", args=[version.number]),
        "compare_url": settings.SITE_URL + compare if compare else "",
    }
    queue_message(
        kind="policy_changed", recipient=account.email, context=context, now=now, about=f"policy {version.number}"
    )

"""Webhook events about requests, ended subscriptions, terminations and policy versions (docs/webhooks.md)."""

from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from billing.models import Subscription
from cancellations.models import CancellationRequest, PolicyVersion, Termination
from messaging.models import EventType
from messaging.services.webhooks import emit


def emit_request_event(type: EventType, request: CancellationRequest, now: datetime) -> None:
    """Emits the event. Call it in the transaction of the change."""
    account = request.account
    data: dict[str, Any] = {
        "reference": request.reference,
        "declaration": request.declaration,
        "account_number": account.account_number if account else None,
        "subscription": request.subscription.reference if request.subscription else None,
        "state": request.state,
        "kind": request.kind,
        "channel": request.channel,
        "received_at": _iso(request.received_at),
        "next_billing_on": _iso(request.next_billing_on),
        "deadline_on": _iso(request.deadline_on),
        "on_time": request.on_time,
        "effective_on": _iso(request.effective_on),
        "effective_at": _iso(request.effective_at),
        "refund_wanted": request.refund_wanted,
        "policy_version": request.policy_version.number,
    }
    subject = f"account:{account.account_number}" if account else f"request:{request.declaration}"
    emit(type=type, subject=subject, data=data, now=now)


def emit_subscription_ended(
    subscription: Subscription, ended_on: date, *, cause: str, reference: str, now: datetime
) -> None:
    """Emits that a subscription ended; `cause` is cancellation or termination, `reference` is that of the case."""
    number = subscription.account.account_number
    data = {
        "subscription": subscription.reference,
        "account_number": number,
        "ended_on": _iso(ended_on),
        "cause": cause,
        "reference": reference,
    }
    emit(type=EventType.SUBSCRIPTION_ENDED, subject=f"account:{number}", data=data, now=now)


def emit_termination_event(type: EventType, termination: Termination, now: datetime) -> None:
    number = termination.account.account_number
    data = {
        "reference": termination.reference,
        "account_number": number,
        "ground": termination.ground,
        "effective_at": _iso(termination.effective_at),
        "sign_in_revoked": termination.revoke_sign_in,
        "subscriptions": sorted(termination.subscriptions.values_list("subscription__reference", flat=True)),
    }
    emit(type=type, subject=f"account:{number}", data=data, now=now)


def emit_policy_published(version: PolicyVersion, now: datetime) -> None:
    data = {
        "version": version.number,
        "effective_from": _iso(version.effective_from),
        "change_summary": version.change_summary,
        "url": settings.SITE_URL + reverse("policy_version", args=[version.number]),
    }
    emit(type=EventType.POLICY_PUBLISHED, subject="policy", data=data, now=now)


def _iso(moment: date | datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None

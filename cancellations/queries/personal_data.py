"""What blocks the erasure of personal data, and the accounts whose retention period is over."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Account
from billing.models import Dispute, Payment, Refund, Subscription
from billing.models.states import RELEASED, RefundState
from billing.rules.periods import local_date
from cancellations.models import (
    CancellationRequest,
    Hold,
    Termination,
)
from cancellations.models.states import OPEN, ConversationState, TerminationState
from messaging.models import MessageState, OutgoingMessage


def erasure_blockers(account: Account, *, now: datetime) -> list[str]:
    """Returns what blocks the erasure of the account's personal data, as sentences for staff."""
    today = local_date(now, account.time_zone)
    blockers = []
    if account.subscriptions.exclude(ended_on__lte=today).exists():
        blockers.append("A subscription is running.")
    if account.requests.filter(state__in=OPEN).exists():
        blockers.append("A cancellation request is open.")
    if account.refunds.exclude(state__in=[*RELEASED, RefundState.PAID]).exists() or account.refunds.filter(
        state=RefundState.FAILED
    ):
        blockers.append("A refund is open.")
    if account.payments.filter(dispute=Dispute.OPEN).exists():
        blockers.append("A payment is under dispute.")
    if account.terminations.filter(state=TerminationState.PROPOSED).exists():
        blockers.append("A termination waits for a second manager.")
    if account.conversations.filter(state=ConversationState.OPEN).exists():
        blockers.append("Mail from the customer waits for an answer.")
    if OutgoingMessage.objects.filter(recipient__same_address=account.email, state=MessageState.PENDING).exists():
        blockers.append("A message to the customer waits to be sent.")
    blockers += [
        f"A hold is in force: {hold.ground}" for hold in Hold.objects.filter(account=account, lifted_at__isnull=True)
    ]
    return blockers


def accounts_past_retention(now: datetime) -> QuerySet[Account]:
    """Returns the accounts whose subscriptions, requests, refunds, terminations and payments are all old enough."""
    if not settings.RETENTION_CASE_DAYS:
        return Account.objects.none()
    cutoff = now - timedelta(days=settings.RETENTION_CASE_DAYS)
    recent: list[tuple[QuerySet[Any], Q]] = [
        (Subscription.objects.all(), Q(ended_on__isnull=True) | Q(ended_on__gte=cutoff.date())),
        (CancellationRequest.objects.all(), Q(state__in=OPEN) | Q(state_changed_at__gte=cutoff)),
        (Refund.objects.all(), ~Q(state__in=[*RELEASED, RefundState.PAID]) | Q(state_changed_at__gte=cutoff)),
        (Termination.objects.all(), Q(state_changed_at__gte=cutoff)),
        (Payment.objects.all(), Q(paid_at__gte=cutoff) | Q(dispute=Dispute.OPEN)),
        (Hold.objects.all(), Q(lifted_at__isnull=True)),
    ]
    has_subscriptions = Exists(
        Subscription.objects.filter(account=OuterRef("pk"))
    )  # without one we cannot tell how old an account is
    accounts = Account.objects.filter(has_subscriptions, erased_at__isnull=True)
    for rows, is_recent in recent:
        accounts = accounts.exclude(Exists(rows.filter(is_recent, account=OuterRef("pk"))))
    return accounts.order_by("pk")

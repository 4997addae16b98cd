"""What stands against erasing personal data, and whose has been kept long enough."""

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
    """What stands against erasing the account's personal data, for staff to read; empty where nothing does."""
    today = local_date(now, account.time_zone)
    found = []
    if account.subscriptions.exclude(ended_on__lte=today).exists():
        found.append("A subscription still runs.")
    if account.requests.filter(state__in=OPEN).exists():
        found.append("A cancellation request is open.")
    if account.refunds.exclude(state__in=[*RELEASED, RefundState.PAID]).exists() or account.refunds.filter(
        state=RefundState.FAILED
    ):
        found.append("A refund is open.")
    if account.payments.filter(dispute=Dispute.OPEN).exists():
        found.append("A payment is under dispute.")
    if account.terminations.filter(state=TerminationState.PROPOSED).exists():
        found.append("A termination waits for a second manager.")
    if account.conversations.filter(state=ConversationState.OPEN).exists():
        found.append("Mail from the customer waits for an answer.")
    if OutgoingMessage.objects.filter(recipient__iexact=account.email, state=MessageState.PENDING).exists():
        found.append("A message to the customer waits to be sent.")
    found += [f"It is held: {hold.ground}" for hold in Hold.objects.filter(account=account, lifted_at__isnull=True)]
    return found


def accounts_past_retention(now: datetime) -> QuerySet[Account]:
    """Accounts whose last end, request, refund, termination and payment lie back further than the settings keep."""
    if not settings.RETENTION_CASE_DAYS:
        return Account.objects.none()
    over = now - timedelta(days=settings.RETENTION_CASE_DAYS)
    recent: list[tuple[QuerySet[Any], Q]] = [
        (Subscription.objects.all(), Q(ended_on__isnull=True) | Q(ended_on__gte=over.date())),
        (CancellationRequest.objects.all(), Q(state__in=OPEN) | Q(state_changed_at__gte=over)),
        (Refund.objects.all(), ~Q(state__in=[*RELEASED, RefundState.PAID]) | Q(state_changed_at__gte=over)),
        (Termination.objects.all(), Q(state_changed_at__gte=over)),
        (Payment.objects.all(), Q(paid_at__gte=over) | Q(dispute=Dispute.OPEN)),
        (Hold.objects.all(), Q(lifted_at__isnull=True)),
    ]
    known = Exists(Subscription.objects.filter(account=OuterRef("pk")))  # the others are not ours to judge
    found = Account.objects.filter(known, erased_at__isnull=True)
    for rows, still in recent:
        found = found.exclude(Exists(rows.filter(still, account=OuterRef("pk"))))
    return found.order_by("pk")

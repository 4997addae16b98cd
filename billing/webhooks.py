"""The webhook events of a refund (docs/webhooks.md)."""

from datetime import datetime
from typing import Any

from billing.models import Refund
from messaging.currencies import decimal_text
from messaging.models import EventType
from messaging.services.webhooks import emit


def emit_refund_event(type: EventType, refund: Refund, now: datetime) -> None:
    """Emits the event to the company's systems, in the transaction of the change."""
    lines = refund.lines.select_related("payment").order_by("pk")
    data: dict[str, Any] = {
        "reference": refund.reference,
        "about": refund.about,
        "account_number": refund.account.account_number,
        "subscription": refund.subscription.reference,
        "amount": decimal_text(refund.amount) if refund.amount else "0",
        "currency": refund.amount.currency.code if refund.amount else "",
        "lines": [{"payment": line.payment.reference, "amount": decimal_text(line.money)} for line in lines],
        "payment_due_on": refund.payment_due_on.isoformat() if refund.payment_due_on else None,
        "paid_on": refund.paid_on.isoformat() if refund.paid_on else None,
        "settlement_reference": refund.settlement_reference,
        "credit_note": refund.credit_note,
    }
    emit(type=type, subject=f"account:{refund.account.account_number}", data=data, now=now)

"""What the company's own systems hear of a refund (docs/webhooks.md)."""

from datetime import datetime
from typing import Any

from moneyed import Money

from billing.models import Refund
from billing.rules.proration import minor_unit_digits
from messaging.models import EventType
from messaging.services.webhooks import emit


def tell_systems(type: EventType, refund: Refund, now: datetime) -> None:
    """Writes the event, in the transaction of the change."""
    lines = refund.lines.select_related("payment").order_by("pk")
    data: dict[str, Any] = {
        "reference": refund.reference,
        "about": refund.about,
        "account_number": refund.account.account_number,
        "subscription": refund.subscription.reference,
        "amount": _digits(refund.amount) if refund.amount else "0",
        "currency": refund.amount.currency.code if refund.amount else "",
        "lines": [{"payment": one.payment.reference, "amount": _digits(one.money)} for one in lines],
        "payment_due_on": refund.payment_due_on.isoformat() if refund.payment_due_on else None,
        "paid_on": refund.paid_on.isoformat() if refund.paid_on else None,
        "settlement_reference": refund.settlement_reference,
        "credit_note": refund.credit_note,
    }
    emit(type=type, subject=f"account:{refund.account.account_number}", data=data, now=now)


def _digits(sum_: Money) -> str:
    """As many decimals as the currency has, such as 20.00, 643 or 7.742."""
    return f"{sum_.amount:.{minor_unit_digits(sum_.currency)}f}"

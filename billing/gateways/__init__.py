"""The adapters that move money. The state `sending` is committed before any of them is called.

An adapter is called again until its answer is clear, always with the refund's own key, so it must return
the first answer to a repeated call instead of moving the money twice.
"""

from collections.abc import Sequence

from django.conf import settings

from billing.gateways.answers import Answer, Gateway, Part
from billing.gateways.stripe_refunds import StripeGateway
from billing.models import Refund

MANUAL = "manual"  # a person makes the transfer, and settles it with its reference and date

__all__ = ["MANUAL", "Answer", "Gateway", "Part", "gateway_called", "gateway_name", "parts_of"]


def gateway_name(refund: Refund) -> str:
    """The gateway through which the refund goes: the one that took the payments, if it can be called; else by hand."""
    took = set(refund.lines.values_list("payment__gateway", "payment__gateway_reference"))
    if settings.STRIPE_API_KEY and took and all(name == StripeGateway.name and reference for name, reference in took):
        return StripeGateway.name
    return MANUAL


def gateway_called(name: str) -> Gateway | None:
    """The adapter of that name; None for the manual gateway, and where the settings do not name it any more."""
    if name == StripeGateway.name and settings.STRIPE_API_KEY:
        return StripeGateway(settings.STRIPE_API_KEY, settings.STRIPE_API_BASE)
    return None


def parts_of(refund: Refund) -> Sequence[Part]:
    """What is returned of each payment, in the order of the payments' keys."""
    lines = refund.lines.select_related("payment").order_by("payment_id")
    return [Part(line.payment.reference, line.payment.gateway_reference, line.money) for line in lines]

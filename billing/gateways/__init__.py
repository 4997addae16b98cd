"""The adapters that move money. The state `sending` is committed before any of them is called.

An adapter is called again until its answer is clear, always with the refund's own key, so it must return
the first answer to a repeated call instead of moving the money twice.
"""

from collections.abc import Mapping, Sequence

from billing.gateways.answers import Answer, Gateway, Part
from billing.gateways.stripe_refunds import StripeGateway
from billing.models import Refund

MANUAL = "manual"  # a person makes the transfer, and settles it with its reference and date
GATEWAYS: Mapping[str, type[Gateway]] = {gateway.name: gateway for gateway in (StripeGateway,)}

__all__ = ["MANUAL", "Answer", "Gateway", "Part", "gateway_called", "gateway_choices", "gateway_name", "parts_of"]


def gateway_choices() -> list[tuple[str, str]]:
    """Each gateway's name and its label for staff, the manual one first."""
    return [(MANUAL, "by hand"), *((name, gateway.label) for name, gateway in GATEWAYS.items())]


def gateway_name(refund: Refund) -> str:
    """The gateway that took all of the payments, if the settings allow to call it; else the manual one."""
    paid_by = set(refund.lines.values_list("payment__gateway", "payment__gateway_reference"))
    names = {name for name, _ in paid_by}
    if len(names) != 1 or not all(reference for _, reference in paid_by):
        return MANUAL
    name = names.pop()
    return name if gateway_called(name) else MANUAL


def gateway_called(name: str) -> Gateway | None:
    """The adapter of that name; None for the manual gateway, and where the settings do not name it any more."""
    gateway = GATEWAYS.get(name)
    return gateway.from_settings() if gateway else None


def parts_of(refund: Refund) -> Sequence[Part]:
    """What is returned of each payment, in the order of the payments' keys."""
    lines = refund.lines.select_related("payment").order_by("payment_id")
    return [Part(line.payment.reference, line.payment.gateway_reference, line.money) for line in lines]

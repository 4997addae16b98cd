"""The adapters that move money. The state `sending` is committed before any of them is called.

An adapter is called for each line, with the refund's key, until its answer is clear. It must answer a repeated call
with the outcome of the first one instead of moving the money twice.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from billing.gateways.answers import Answer, Gateway, Part
from billing.gateways.stripe_refunds import StripeGateway
from billing.models import Payment, Refund, RefundLine
from billing.models.states import LineState

MANUAL = "manual"  # a person makes the transfer and records its reference and date
GATEWAYS: Mapping[str, type[Gateway]] = {gateway.name: gateway for gateway in (StripeGateway,)}

__all__ = [
    "MANUAL",
    "Answer",
    "Gateway",
    "Part",
    "gateway_by_name",
    "gateway_choices",
    "gateway_name",
    "gateway_names",
    "part_of",
    "smallest_amounts",
]


def gateway_choices() -> list[tuple[str, str]]:
    """Each gateway's name and its label for staff, the manual one first."""
    return [(MANUAL, "by hand"), *((name, gateway.label) for name, gateway in GATEWAYS.items())]


def gateway_name(refund: Refund) -> str:
    """The gateway that took all of the payments still to return, if it is configured; otherwise the manual one."""
    return gateway_names([refund])[refund.pk]


def gateway_names(refunds: Sequence[Refund]) -> dict[UUID, str]:
    """The `gateway_name` of each refund by its key, in one query."""
    lines = RefundLine.objects.filter(refund__in=refunds).exclude(state=LineState.RETURNED)
    payments = defaultdict(set)
    for key, name, reference in lines.values_list("refund", "payment__gateway", "payment__gateway_reference"):
        payments[key].add((name, reference))
    return {refund.pk: _gateway_of(payments[refund.pk]) for refund in refunds}


def _gateway_of(payments: Collection[tuple[str, str]]) -> str:
    names = {name for name, _ in payments}
    if len(names) != 1 or not all(reference for _, reference in payments):
        return MANUAL
    name = names.pop()
    return name if gateway_by_name(name) else MANUAL


def gateway_by_name(name: str) -> Gateway | None:
    """The adapter with this name; None for the manual gateway and for one that is not configured."""
    gateway = GATEWAYS.get(name)
    return gateway.from_settings() if gateway else None


def part_of(line: RefundLine) -> Part:
    """What a gateway is asked to return for this line."""
    return Part(line.payment.reference, line.payment.gateway_reference, line.money)


def smallest_amounts(payments: Sequence[Payment]) -> dict[str, Decimal]:
    """Returns the smallest amount by currency that the gateway of all of these payments moves; empty if by hand."""
    gateway = gateway_by_name(_gateway_of({(each.gateway, each.gateway_reference) for each in payments}))
    if gateway is None:
        return {}
    return {each.amount.currency.code: gateway.smallest(each.amount.currency) for each in payments}

"""Refunds through Stripe (https://docs.stripe.com/api/refunds), one for each payment."""

import logging
from decimal import ROUND_FLOOR, Decimal
from typing import Any, ClassVar, Self
from uuid import UUID

import stripe
from django.conf import settings
from moneyed import Currency, Money

from billing.gateways.answers import Answer, Part
from messaging.currencies import minor_unit_digits

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 20
# Where Stripe's units are not those of ISO 4217 (https://docs.stripe.com/currencies#special-cases, read 2026-11-27):
# the decimals of its whole numbers, and the smallest amount that it moves.
OTHER_DIGITS = {"ISK": 2, "MGA": 0, "UGX": 2}
OTHER_SMALLEST = {
    "ISK": Decimal(1), "UGX": Decimal(1), "MGA": Decimal(1),
    "BHD": Decimal("0.01"), "JOD": Decimal("0.01"), "KWD": Decimal("0.01"), "OMR": Decimal("0.01"),
    "TND": Decimal("0.01"),
}  # fmt: skip


class StripeGateway:
    name: ClassVar[str] = "stripe"
    label: ClassVar[str] = "Stripe"

    @classmethod
    def from_settings(cls) -> Self | None:
        return cls(settings.STRIPE_API_KEY, settings.STRIPE_API_BASE) if settings.STRIPE_API_KEY else None

    def __init__(self, api_key: str, api_base: str = "") -> None:
        addresses: Any = {"api": api_base} if api_base else {}
        http = stripe.RequestsClient(timeout=TIMEOUT_SECONDS)
        self._client = stripe.StripeClient(api_key, base_addresses=addresses, http_client=http, max_network_retries=0)

    def smallest(self, currency: Currency) -> Decimal:
        return smallest(currency)

    def send(self, key: UUID, part: Part) -> Answer:
        """Looks for an existing refund of the charge before it creates one: Stripe keeps an idempotency key for a
        day only, but our metadata for ever.
        """
        try:
            refund = self._find_or_create(key, part)
        except (stripe.InvalidRequestError, stripe.CardError) as error:
            return Answer("failed", detail=f"Stripe: {error.user_message or error}")
        except stripe.StripeError as error:
            log.warning("Stripe's answer about refund %s of %s is unclear: %s", key, part.payment, error)
            return Answer("unclear", detail=f"Stripe: {error}")
        if refund.status in ("failed", "canceled"):
            reason = getattr(refund, "failure_reason", None) or "no reason given"
            return Answer("failed", reference=refund.id, detail=f"Stripe: {refund.id} {refund.status} ({reason})")
        if refund.status == "requires_action":
            return Answer(
                "unclear", reference=refund.id, detail=f"Stripe: the customer has to act on {refund.id} first"
            )
        if refund.status != "succeeded":
            return Answer("unclear", reference=refund.id, detail=f"Stripe has not finished {refund.id} yet")
        return Answer("paid", reference=refund.id)

    def _find_or_create(self, key: UUID, part: Part) -> Any:
        """Our refund of this charge; creates one if there is none or if it failed, then under another key."""
        params: Any = {**_charge(part), "limit": 100}
        existing = self._client.v1.refunds.list(params).auto_paging_iter()
        ours = [refund for refund in existing if _metadata(refund).get("refund") == str(key)]
        active = [refund for refund in ours if refund.status not in ("failed", "canceled")]
        return active[0] if active else self._create(part, key, f"{key}:{part.payment}:{len(ours)}")

    def _create(self, part: Part, key: UUID, idempotency_key: str) -> Any:
        units = stripe_units(part.amount)
        params: Any = {**_charge(part), "amount": units, "metadata": {"refund": str(key), "payment": part.payment}}
        return self._client.v1.refunds.create(params, {"idempotency_key": idempotency_key})


def smallest(currency: Currency) -> Decimal:
    """The smallest amount that Stripe moves, in units of the currency."""
    return OTHER_SMALLEST.get(currency.code, Decimal(1).scaleb(-minor_unit_digits(currency)))


def stripe_units(amount: Money) -> int:
    """The amount as Stripe writes it, a whole number; what is less than its smallest amount is left out."""
    step = smallest(amount.currency)
    digits = OTHER_DIGITS.get(amount.currency.code, minor_unit_digits(amount.currency))
    return int(((amount.amount / step).to_integral_value(ROUND_FLOOR) * step).scaleb(digits))


def _metadata(refund: Any) -> dict[str, str]:
    return refund.metadata.to_dict() if refund.metadata else {}


def _charge(part: Part) -> dict[str, str]:
    return {"payment_intent" if part.charge.startswith("pi_") else "charge": part.charge}

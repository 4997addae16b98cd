"""Refunds through Stripe (https://docs.stripe.com/api/refunds), one for each payment."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Self
from uuid import UUID

import stripe
from django.conf import settings
from moneyed import Money

from billing.gateways.answers import Answer, Part
from messaging.currencies import minor_unit_digits

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 20
# Decimals of Stripe's amounts where they differ from ISO 4217 (https://docs.stripe.com/currencies#special-cases)
OTHER_DIGITS = {"ISK": 2, "MGA": 0, "UGX": 2}


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

    def send(self, key: UUID, parts: Sequence[Part]) -> Answer:
        """Looks for an existing refund of each charge before it creates one: Stripe keeps an idempotency key for a
        day only, but our metadata for ever. If one part failed, all fail; the reference names the other refunds.
        """
        try:
            refunds = [self._find_or_create(key, part) for part in parts]
        except stripe.InvalidRequestError as error:
            return Answer("failed", detail=f"Stripe: {error.user_message or error}")
        except stripe.StripeError as error:
            log.warning("Stripe's answer about refund %s is unclear: %s", key, error)
            return Answer("unclear", detail=f"Stripe: {error}")
        ids = ", ".join(refund.id for refund in refunds)
        failed = [refund for refund in refunds if refund.status in ("failed", "canceled")]
        if failed:
            reasons = [
                f"{refund.id} {refund.status} {getattr(refund, 'failure_reason', None) or ''}".strip()
                for refund in failed
            ]
            return Answer("failed", reference=ids, detail=f"Stripe: {'; '.join(reasons)}")
        if any(refund.status != "succeeded" for refund in refunds):
            return Answer("unclear", reference=ids, detail="Stripe has not finished it yet")
        return Answer("paid", reference=ids)

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


def stripe_units(amount: Money) -> int:
    """The amount as Stripe writes it: a whole number of the smallest unit."""
    digits = OTHER_DIGITS.get(amount.currency.code, minor_unit_digits(amount.currency))
    return int(amount.amount.scaleb(digits))


def _metadata(refund: Any) -> dict[str, str]:
    return refund.metadata.to_dict() if refund.metadata else {}


def _charge(part: Part) -> dict[str, str]:
    return {"payment_intent" if part.charge.startswith("pi_") else "charge": part.charge}

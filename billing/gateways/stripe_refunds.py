"""Refunds through Stripe (https://docs.stripe.com/api/refunds), one for each payment that is returned."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Self
from uuid import UUID

import stripe
from django.conf import settings

from billing.gateways.answers import Answer, Part
from billing.rules.proration import minor_unit_digits

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 20


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
        """Each part is looked for among the charge's refunds before it is made: an idempotency key is kept for a day
        only, our metadata for ever. One part that failed fails the whole, and names what the others returned.
        """
        try:
            found = [self._made(key, part) for part in parts]
        except stripe.InvalidRequestError as error:
            return Answer("failed", detail=f"Stripe: {error.user_message or error}")
        except stripe.StripeError as error:
            log.warning("Stripe's answer about refund %s is unclear: %s", key, error)
            return Answer("unclear", detail=f"Stripe: {error}")
        names = ", ".join(one.id for one in found)
        broken = [one for one in found if one.status in ("failed", "canceled")]
        if broken:
            why = [f"{one.id} {one.status} {getattr(one, 'failure_reason', None) or ''}".strip() for one in broken]
            return Answer("failed", reference=names, detail=f"Stripe: {'; '.join(why)}")
        if any(one.status != "succeeded" for one in found):
            return Answer("unclear", reference=names, detail="Stripe has not finished it yet")
        return Answer("paid", reference=names)

    def _made(self, key: UUID, part: Part) -> Any:
        """Our refund of this charge, made now if there is none; one that failed is made anew, under another key."""
        params: Any = {**_charge(part), "limit": 100}
        known = self._client.v1.refunds.list(params).auto_paging_iter()
        ours = [one for one in known if _metadata(one).get("refund") == str(key)]
        alive = [one for one in ours if one.status not in ("failed", "canceled")]
        return alive[0] if alive else self._create(part, key, f"{key}:{part.payment}:{len(ours)}")

    def _create(self, part: Part, key: UUID, idempotency_key: str) -> Any:
        units = int(part.amount.amount.scaleb(minor_unit_digits(part.amount.currency)))
        params: Any = {**_charge(part), "amount": units, "metadata": {"refund": str(key), "payment": part.payment}}
        return self._client.v1.refunds.create(params, {"idempotency_key": idempotency_key})


def _metadata(refund: Any) -> dict[str, str]:
    return refund.metadata.to_dict() if refund.metadata else {}


def _charge(part: Part) -> dict[str, str]:
    return {"payment_intent" if part.charge.startswith("pi_") else "charge": part.charge}

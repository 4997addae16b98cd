"""Handles a mail provider's webhooks through django-anymail: incoming mail, and reports of returned mail."""

import logging
from typing import Any

from anymail.inbound import AnymailInboundMessage
from anymail.signals import AnymailInboundEvent, AnymailTrackingEvent, inbound, tracking
from django.utils import timezone

from messaging.models import Door
from messaging.services.inbox import receive
from messaging.services.outbox import record_bounce

log = logging.getLogger(__name__)
RETURNED = ("bounced", "rejected", "failed")


def connect() -> None:
    inbound.connect(store_mail, dispatch_uid="messaging.providers")
    tracking.connect(record_report, dispatch_uid="messaging.providers")


def store_mail(sender: Any, event: AnymailInboundEvent, esp_name: str, **kwargs: Any) -> None:
    """Stores the mail. An error makes the webhook fail, and the provider sends it again."""
    receive(raw=_raw(event.message), door=Door.WEBHOOK, now=timezone.now())


def record_report(sender: Any, event: AnymailTrackingEvent, esp_name: str, **kwargs: Any) -> None:
    if event.event_type in RETURNED:
        record_bounce(
            message_id=event.message_id if event.message_id and "@" in event.message_id else "",
            recipient=event.recipient or "",
            words=event.mta_response or event.description or event.event_type,
            now=timezone.now(),
        )


def _raw(message: AnymailInboundMessage) -> bytes:
    try:
        return message.as_bytes()
    except (UnicodeError, ValueError, LookupError) as error:  # headers that cannot be serialised
        log.warning("A mail of the provider could not be written as bytes (%s); it is stored as text.", error)
        return message.as_string().encode("utf-8", "surrogateescape")

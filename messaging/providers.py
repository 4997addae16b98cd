"""The mail provider's webhooks, as django-anymail reads them: mail that comes in, and mail that came back."""

import logging
from typing import Any

from anymail.inbound import AnymailInboundMessage
from anymail.signals import AnymailInboundEvent, AnymailTrackingEvent, inbound, tracking
from django.utils import timezone

from messaging.models import Door
from messaging.services.inbox import hand_over
from messaging.services.outbox import note_bounce

log = logging.getLogger(__name__)
CAME_BACK = ("bounced", "rejected", "failed")


def connect() -> None:
    inbound.connect(take_in, dispatch_uid="messaging.providers")
    tracking.connect(take_report, dispatch_uid="messaging.providers")


def take_in(sender: Any, event: AnymailInboundEvent, esp_name: str, **kwargs: Any) -> None:
    """Stores the mail. If that fails, the provider hears so, and sends it again."""
    hand_over(raw=_raw(event.message), door=Door.WEBHOOK, now=timezone.now())


def take_report(sender: Any, event: AnymailTrackingEvent, esp_name: str, **kwargs: Any) -> None:
    if event.event_type in CAME_BACK:
        note_bounce(
            message_id=event.message_id if event.message_id and "@" in event.message_id else "",
            recipient=event.recipient or "",
            words=event.mta_response or event.description or event.event_type,
            now=timezone.now(),
        )


def _raw(message: AnymailInboundMessage) -> bytes:
    try:
        return message.as_bytes()
    except (UnicodeError, ValueError, LookupError) as error:  # headers that cannot be written as they stand
        log.warning("A mail of the provider could not be written as bytes (%s); it is kept as text.", error)
        return message.as_string().encode("utf-8", "surrogateescape")

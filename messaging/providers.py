"""Handles a mail provider's webhooks through django-anymail: incoming mail, and reports of returned mail."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from anymail.inbound import AnymailInboundMessage
from anymail.signals import AnymailInboundEvent, AnymailTrackingEvent, inbound, tracking
from anymail.webhooks.postmark import PostmarkInboundWebhookView
from django.utils import timezone

from messaging.inbound.unparsed import UnparsedMail, address_text
from messaging.models import Door
from messaging.services.inbox import receive
from messaging.services.outbox import record_bounce

RETURNED = ("bounced", "rejected", "failed")
MAKING = (
    "parse_raw_mime", "parse_raw_mime_bytes", "parse_raw_mime_chunks", "construct", "construct_attachment",
    "construct_attachment_from_uploaded_file",
)  # fmt: skip


def connect() -> None:
    inbound.connect(store_mail, dispatch_uid="messaging.providers")
    tracking.connect(record_report, dispatch_uid="messaging.providers")
    for name in MAKING:  # the web process must not parse a mail: a worker does, in a process that can be killed
        setattr(AnymailInboundMessage, name, getattr(UnparsedMail, name))
    PostmarkInboundWebhookView._address = staticmethod(address_text)  # it refuses addresses that are none
    PostmarkInboundWebhookView.esp_to_anymail_event = take_empty_files(PostmarkInboundWebhookView.esp_to_anymail_event)


def take_empty_files(read_event: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Lets django-anymail read an event of Postmark with an empty file, in which it looks for a field `Data`."""

    @wraps(read_event)
    def read(view: Any, event: Any) -> Any:
        files = [{"Data": "", **file} for file in event.get("Attachments") or ()]
        return read_event(view, {**event, "Attachments": files})

    return read


def store_mail(sender: Any, event: AnymailInboundEvent, esp_name: str, **kwargs: Any) -> None:
    """Stores the mail. An error makes the webhook fail, and the provider sends it again."""
    receive(raw=event.message.raw, door=Door.WEBHOOK, now=timezone.now())


def record_report(sender: Any, event: AnymailTrackingEvent, esp_name: str, **kwargs: Any) -> None:
    if event.event_type in RETURNED:
        record_bounce(
            message_id=event.message_id if event.message_id and "@" in event.message_id else "",
            recipient=event.recipient or "",
            words=event.mta_response or event.description or event.event_type,
            now=timezone.now(),
            is_from_provider=True,
        )

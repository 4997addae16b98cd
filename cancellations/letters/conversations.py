"""Letters of a conversation: what staff write, and the answer to a mail that is too large."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from cancellations.models import (
    Conversation,
)
from cancellations.rules.recognition import REPLIED
from messaging.inbound.quoting import own_words
from messaging.models import IncomingMessage
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.wording import instant_words, use_language

QUOTED_LINES = 40


def send_too_large(mail: IncomingMessage, conversation: Conversation, *, now: datetime) -> None:
    """Answers a mail that was too large, of which only the beginning is stored."""
    with use_language(conversation.language):
        context: dict[str, Value] = {
            "size": _megabytes(mail.size),
            "size_limit": _megabytes(settings.INBOUND_MOST_BYTES),
            "received": instant_words(mail.arrived_at, settings.COMPANY_TIME_ZONE),
            "form_url": settings.SITE_URL + reverse("cancel"),
        }
        queue_message(
            kind="mail_too_large",
            recipient=conversation.email,
            context=context,
            now=now,
            about=conversation.about,
            thread=conversation.reference,
            answers=mail,
        )


def send_written(
    kind: str, conversation: Conversation, words: str, *, now: datetime, answers: IncomingMessage | None = None
) -> None:
    """Queues a text that staff wrote: an answer to a mail, or a question about a request."""
    with use_language(conversation.language):
        quoted = own_words(answers.text)[0].strip().split("\n")[:QUOTED_LINES] if answers else []
        context: dict[str, Value] = {
            "words": words,
            "mail_subject": REPLIED.sub("", answers.subject if answers else conversation.subject),
            "reference": conversation.about,
            "quoted": quoted,
            "quoted_at": instant_words(answers.arrived_at, settings.COMPANY_TIME_ZONE) if answers else "",
        }
        queue_message(
            kind=kind,
            recipient=conversation.email,
            context=context,
            now=now,
            about=conversation.about,
            thread=conversation.reference,
            answers=answers,
        )


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"

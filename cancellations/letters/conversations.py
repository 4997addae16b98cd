"""Letters of a conversation: what staff write, and the answer to a mail that is too large."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from cancellations.letters.requests import quote_unproven
from cancellations.models import Conversation
from cancellations.rules.recognition import REPLIED
from messaging.inbound.quoting import own_words
from messaging.models import Checked, IncomingMessage
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.wording import instant_words, use_language

QUOTED_LINES = 40
MAX_SUBJECT = 80  # characters, of a mail whose sender our server did not authenticate


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
    """Queues a text that staff wrote: an answer to a mail, or a question about a request.

    Anybody can write in somebody else's name. So only a mail whose sender our server authenticated is quoted; of
    others, the subject alone is repeated, shortened and without links.
    """
    with use_language(conversation.language):
        is_genuine = answers is None or answers.checked == Checked.PASSED
        quoted = own_words(answers.text)[0].strip().split("\n")[:QUOTED_LINES] if answers and is_genuine else []
        subject = REPLIED.sub("", answers.subject if answers else conversation.subject)
        context: dict[str, Value] = {
            "words": words,
            "mail_subject": subject if is_genuine else quote_unproven(subject, MAX_SUBJECT),
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

"""Letters about a request: the values that their templates need."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext

from billing.rules.periods import local_date
from cancellations.letters.proof import Link, follow_code, proof_token
from cancellations.models import (
    CancellationRequest,
    Channel,
    Kind,
    Proof,
    Receipt,
)
from cancellations.rules.jurisdictions import profile_of_code
from cancellations.wording.charges import words_to_come_of
from cancellations.wording.explanation import sentences
from messaging.models import IncomingMessage
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.text import shorten, without_links
from messaging.wording import day_words, instant_words, use_language

MAX_QUOTED = 200  # characters of a typed text in a letter to an address that is not proven
PROVING = {"prove_address", "follow_link"}  # their links and codes prove the address, so the text is wiped once sent


def send_letter(
    kind: str,
    request: CancellationRequest,
    *,
    now: datetime,
    parts: Sequence[CancellationRequest] | None = None,
    joined: Sequence[CancellationRequest] = (),
    answers: IncomingMessage | None = None,
) -> None:
    """Queues a message to the customer about `parts` of the declaration, or about the request alone.

    `kind` names the template; `answers` is the mail to which the message replies. A declaration that was joined to an
    open request has that request as its part. `joined` are other declarations that this message confirms as well.
    """
    with use_language(request.language):
        context = _context(request, parts or [request], joined, now)
        if kind in PROVING:
            context |= {"status_url": settings.SITE_URL + reverse("request_proof", args=[proof_token(request)])}
        if kind == "follow_link":
            link = Link(request.declaration, request.email_given, request.links_used)
            context |= {"code": follow_code(link, now)}
        if kind == "prove_address":
            context |= _typed(request)
        queue_message(
            kind=kind,
            recipient=request.email_given,
            context=context,
            now=now,
            about=request.declaration,
            answers=answers,
            holds_secret=kind in PROVING,
        )


def _context(
    request: CancellationRequest,
    parts: Sequence[CancellationRequest],
    joined: Sequence[CancellationRequest],
    now: datetime,
) -> dict[str, Value]:
    zone = parts[0].time_zone or settings.COMPANY_TIME_ZONE
    expires = request.verification_expires_at
    receipt = Receipt.objects.filter(declaration=request.declaration).defer("pdf", "content").first()
    main = parts[0] if request.joined_to_id else request
    values = {part.pk: _part(part, now) for part in {main, *parts}}
    return {
        **values[main.pk],
        "seal": receipt.seal if receipt else "",
        "receipt_url": settings.SITE_URL + reverse("request_receipt", args=[request.declaration]),
        "verify_url": settings.SITE_URL + reverse("verify"),
        "parts": [values[part.pk] for part in parts],
        "several": len(parts) > 1,
        "joined": [_joined(other, zone) for other in joined],
        "counts_with": request.joined_to.declaration if request.joined_to else "",
        "reference": request.declaration,
        "page_url": settings.SITE_URL + reverse("request_status", args=[request.declaration]),
        "account_number": request.account_number_given,
        "by_mail": request.channel == Channel.EMAIL,
        "more_proof": request.proof == Proof.LINK_AND_NUMBER,
        "username": request.username_given,
        "received": instant_words(request.received_at, zone),
        "kind": request.kind,
        "kind_declared": request.kind_declared,
        "cause": request.cause,
        "reason": str(request.get_reason_display()) if request.reason else "",
        "name": request.name_given,
        "end_notice": profile_of_code(request.jurisdiction).end_notice and request.effective_on is not None,
        "words": request.words,
        "requested_end": day_words(request.asked_end),
        "end_is_open": request.end_is_open,
        "refund_reason": request.refund_reason,
        "refund_due": day_words(request.refund.decision_due_on if request.refund else None),
        "policy": str(request.policy_version.number),
        "decision_words": request.decision_words,
        "decline_ground": str(request.get_decline_ground_display()) if request.decline_ground else "",
        "expires": day_words(expires and local_date(expires, zone)),
        "link_days": str(settings.PROOF_LINK_DAYS),
    }


def _typed(request: CancellationRequest) -> dict[str, Value]:
    """Returns what was typed, for a letter to an address that is not proven yet: as little as possible.

    Anybody can type anything, and the company's mail would carry it to somebody else. The letter quotes it only where
    the law asks for the content at once (docs/rules.md), or if our mail server authenticated the sender of a mail. It
    is shortened, without links, and in the receipt in full.
    """
    is_own_mail = request.channel == Channel.EMAIL and request.proof == Proof.LINK
    is_law = request.channel == Channel.GUEST and (
        profile_of_code(request.jurisdiction).one_page or request.kind_declared == Kind.COOLING_OFF
    )
    texts: list[tuple[str, str]] = []
    if is_law:
        texts = [
            (gettext("Name"), request.name_given),
            (gettext("Account number"), request.account_number_given),
            (gettext("Reason for leaving at once"), request.cause),
        ]
    elif is_own_mail:
        texts = [(gettext("In your own words"), request.words)]
    lines = [f"{label}: {quote_unproven(text, MAX_QUOTED)}" for label, text in texts if text.strip()]
    return {"typed": lines}


def quote_unproven(text: str, length: int) -> str:
    """Returns what somebody typed for a letter to an address that is not proven to be theirs: short, without links."""
    return shorten(without_links(text, gettext("[link removed]")), length)


def _joined(request: CancellationRequest, zone: str) -> dict[str, Value]:
    return {
        "reference": request.declaration,
        "received": instant_words(request.received_at, zone),
        "page_url": settings.SITE_URL + reverse("request_status", args=[request.declaration]),
    }


def _part(request: CancellationRequest, now: datetime) -> dict[str, Value]:
    """Returns the values that concern one subscription of the declaration."""
    today = local_date(now, request.time_zone or settings.COMPANY_TIME_ZONE)
    return {
        "to_come": words_to_come_of(request, today=today),
        "plan": str(request.subscription) if request.subscription else "",
        "effective": day_words(request.effective_on),
        "explanation": sentences(request.explanation),
        "at_once": request.at_once,
        "ground_is_open": request.ground_is_open,
        "kind_ground": gettext(request.kind_ground) if request.kind_ground else "",
    }

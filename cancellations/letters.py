"""What a message about a request says: the flat values for its template."""

from datetime import datetime

from django.conf import settings
from django.core import signing
from django.urls import reverse

from billing.periods import local_date
from billing.wording import day_words, instant_words
from cancellations.models import CancellationRequest
from messaging.rendering import Value
from messaging.services import queue_message

PROOF_SALT = "cancellations.proof"
PROVING = {"prove_address", "follow_link"}  # whoever reads these proves the address: wiped once sent


def proof_token(request: CancellationRequest) -> str:
    """A signed text that only the reader of the mailbox has; it says which request and which address."""
    return signing.dumps([request.reference, request.email_given], salt=PROOF_SALT)


def read_proof_token(token: str) -> tuple[str, str]:
    """(reference, address) of a token. Raises django.core.signing.BadSignature, also when it is too old."""
    reference, email = signing.loads(token, salt=PROOF_SALT, max_age=settings.PROOF_LINK_DAYS * 86_400)
    return reference, email


def send_letter(kind: str, request: CancellationRequest, *, now: datetime) -> None:
    """Queues the message of this kind to the customer."""
    queue_message(
        kind=kind,
        recipient=request.email_given,
        context=_context(request),
        now=now,
        about=request.reference,
        holds_secret=kind in PROVING,
    )


def _context(request: CancellationRequest) -> dict[str, Value]:
    zone = request.time_zone or settings.COMPANY_TIME_ZONE
    expires = request.verification_expires_at
    link = reverse("request_proof", args=[proof_token(request)])
    return {
        "reference": request.reference,
        "status_url": settings.SITE_URL + link,
        "page_url": settings.SITE_URL + reverse("request_status", args=[request.reference]),
        "account_number": request.account_number_given,
        "plan": request.subscription.plan_name if request.subscription else "",
        "received": instant_words(request.received_at, zone),
        "effective": day_words(request.effective_on),
        "deadline": day_words(request.deadline_on),
        "on_time": bool(request.on_time),
        "explanation": list(request.explanation),
        "reason": request.get_reason_display(),
        "words": request.words,
        "wished": day_words(request.requested_end),
        "refund_reason": request.refund_reason,
        "policy": str(request.policy_version),
        "decision_words": request.decision_words,
        "decline_ground": request.get_decline_ground_display() if request.decline_ground else "",
        "waived_ground": request.notice_waived_ground,
        "expires": day_words(expires and local_date(expires, zone)),
        "link_days": str(settings.PROOF_LINK_DAYS),
    }

"""What a message about a request says: the flat values for its template."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext

from accounts.models import Account
from billing.periods import local_date
from billing.references import ALPHABET
from billing.states import RELEASED, VOIDABLE
from cancellations.explaining import sentences
from cancellations.jurisdictions import PROFILES
from cancellations.models import (
    CancellationRequest,
    Channel,
    Conversation,
    PolicyVersion,
    Proof,
    Receipt,
    Termination,
)
from cancellations.queries import published_versions
from cancellations.recognition import REPLIED
from messaging.models import IncomingMessage
from messaging.quoting import own_words
from messaging.rendering import Value
from messaging.services.outbox import queue_message
from messaging.wording import day_words, instant_words, reading

PROOF_SALT = "cancellations.proof"
CODE_SALT = "cancellations.follow"
CODE_SECONDS = 900
QUOTED_LINES = 40
PROVING = {"prove_address", "follow_link"}  # whoever reads these proves the address: wiped once sent


def proof_token(request: CancellationRequest) -> str:
    """A signed text that only the reader of the mailbox has; it says which declaration and which address."""
    return signing.dumps([request.declaration, request.email_given], salt=PROOF_SALT)


def read_proof_token(token: str) -> tuple[str, str]:
    """(reference, address) of a token. Raises django.core.signing.BadSignature, also when it is too old."""
    reference, email = signing.loads(token, salt=PROOF_SALT, max_age=settings.PROOF_LINK_DAYS * 86_400)
    return reference, email


def follow_code(reference: str, email: str, now: datetime, *, earlier: int = 0) -> str:
    """The code in the mail with the link, for whoever reads mail on another device: good for 15 to 30 minutes.

    It is worked out from the server's secret and never stored. Its 29^8 possibilities cannot be tried in that time.
    """
    turn = int(now.timestamp()) // CODE_SECONDS - earlier
    digest = salted_hmac(CODE_SALT, f"{reference}|{email.strip().lower()}|{turn}", algorithm="sha256").digest()
    marks = "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:8])
    return f"{marks[:4]}-{marks[4:]}"


def is_follow_code(code: str, reference: str, email: str, now: datetime) -> bool:
    """Whether it is the code of this quarter of an hour or the one before, however it was typed."""
    typed = "".join(code.split()).upper().replace("-", "")
    known = [follow_code(reference, email, now, earlier=n).replace("-", "") for n in (0, 1)]
    return any(constant_time_compare(typed, one) for one in known)


def send_letter(
    kind: str,
    request: CancellationRequest,
    *,
    now: datetime,
    parts: Sequence[CancellationRequest] | None = None,
    answers: IncomingMessage | None = None,
) -> None:
    """Queues the message of this kind to the customer, about `parts` of the declaration or the request alone.

    `answers` is the mail to which it replies.
    """
    with reading(request.language):
        context = _context(request, parts or [request])
        if kind == "follow_link":
            context |= {"code": follow_code(request.declaration, request.email_given, now)}
        own_mail = request.channel == Channel.EMAIL and request.proof == Proof.LINK
        if kind == "prove_address" and not (PROFILES[request.jurisdiction].one_page or own_mail):
            # Nobody has proven this address yet: what somebody typed goes to it only where the law says so, or
            # where our mail server found that it came from there.
            context |= {"words": "", "cause": "", "refund_reason": "", "name": ""}
        queue_message(
            kind=kind,
            recipient=request.email_given,
            context=context,
            now=now,
            about=request.declaration,
            answers=answers,
            holds_secret=kind in PROVING,
        )


def send_termination_letter(kind: str, termination: Termination, *, now: datetime) -> None:
    """Queues the letter of a termination, or of its reversal, with ground and appeal address."""
    with reading(termination.account.language):
        _send_termination_letter(kind, termination, now)


def _send_termination_letter(kind: str, termination: Termination, now: datetime) -> None:
    account = termination.account
    done = termination.subscriptions.select_related("subscription", "refund").order_by("subscription__reference")
    requests = termination.superseded_requests.order_by("declaration").values_list("declaration", flat=True)
    paid = [str(one.refund) for one in done if one.refund and one.refund.state not in (*VOIDABLE, *RELEASED)]
    context: dict[str, Value] = {
        "reference": termination.reference,
        "account_number": account.account_number,
        "name": account.name,
        "ground": str(termination.get_ground_display()),
        "description": termination.description,
        "effective": instant_words(termination.effective_at, account.time_zone) if termination.effective_at else "",
        "plans": [str(one.subscription) for one in done],
        "requests": list(dict.fromkeys(requests)),
        "reviewed": any(one.refund for one in done),
        "refund_due": next((day_words(one.refund.decision_due_on) for one in done if one.refund), ""),
        "refunds_paid": paid,
        "revoked": termination.revoke_sign_in,
        "settled_ground": termination.settled_ground,
        "appeal_email": settings.APPEAL_EMAIL,
        "policy": str(termination.policy_version.number),
        "policy_url": settings.SITE_URL + reverse("policy_version", args=[termination.policy_version.number]),
    }
    queue_message(kind=kind, recipient=account.email, context=context, now=now, about=termination.reference)


def send_policy_letter(version: PolicyVersion, account: Account, *, now: datetime) -> None:
    """Queues the announcement of a new policy version to an account holder."""
    with reading(account.language):
        _send_policy_letter(version, account, now)


def _send_policy_letter(version: PolicyVersion, account: Account, now: datetime) -> None:
    effective = version.effective_from
    assert effective is not None  # held by a constraint for published versions
    before = published_versions().filter(number__lt=version.number).first()
    compare = reverse("policy_compare", args=[before.number, version.number]) if before else ""
    context: dict[str, Value] = {
        "name": account.name,
        "policy": str(version.number),
        "summary": version.change_summary,
        "effective": instant_words(effective, account.time_zone),
        "in_force": effective <= now,
        "policy_url": settings.SITE_URL + reverse("policy_version", args=[version.number]),
        "compare_url": settings.SITE_URL + compare if compare else "",
    }
    queue_message(
        kind="policy_changed", recipient=account.email, context=context, now=now, about=f"policy {version.number}"
    )


def _context(request: CancellationRequest, parts: Sequence[CancellationRequest]) -> dict[str, Value]:
    zone = request.time_zone or settings.COMPANY_TIME_ZONE
    expires = request.verification_expires_at
    link = reverse("request_proof", args=[proof_token(request)])
    receipt = Receipt.objects.filter(declaration=request.declaration).defer("pdf", "content").first()
    return {
        **_part(request),
        "seal": receipt.seal if receipt else "",
        "receipt_url": settings.SITE_URL + reverse("request_receipt", args=[request.declaration]),
        "verify_url": settings.SITE_URL + reverse("verify"),
        "parts": [_part(part) for part in parts],
        "several": len(parts) > 1,
        "reference": request.declaration,
        "status_url": settings.SITE_URL + link,
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
        "end_notice": PROFILES[request.jurisdiction].end_notice and request.effective_on is not None,
        "words": request.words,
        "wished": day_words(request.requested_end),
        "refund_reason": request.refund_reason,
        "refund_due": day_words(request.refund.decision_due_on if request.refund else None),
        "policy": str(request.policy_version.number),
        "decision_words": request.decision_words,
        "decline_ground": str(request.get_decline_ground_display()) if request.decline_ground else "",
        "expires": day_words(expires and local_date(expires, zone)),
        "link_days": str(settings.PROOF_LINK_DAYS),
    }


def _part(request: CancellationRequest) -> dict[str, Value]:
    """What concerns one subscription of the declaration."""
    return {
        "plan": str(request.subscription) if request.subscription else "",
        "effective": day_words(request.effective_on),
        "explanation": sentences(request.explanation),
        "at_once": request.at_once,
        "ground_is_open": request.ground_is_open,
        "kind_ground": gettext(request.kind_ground) if request.kind_ground else "",
    }


def send_too_large(mail: IncomingMessage, conversation: Conversation, *, now: datetime) -> None:
    """Answers a mail of which we kept only the beginning."""
    with reading(conversation.language):
        context: dict[str, Value] = {
            "subject_told": mail.subject,
            "size": _megabytes(mail.size),
            "most": _megabytes(settings.INBOUND_MOST_BYTES),
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
    """Queues what somebody of staff wrote: an answer to a mail, or a question about a request."""
    with reading(conversation.language):
        quoted = own_words(answers.text)[0].split("\n")[:QUOTED_LINES] if answers else []
        context: dict[str, Value] = {
            "words": words,
            "subject_told": REPLIED.sub("", answers.subject if answers else conversation.subject),
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

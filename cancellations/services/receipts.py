"""Issuing receipts, making each PDF once, and checking whether a receipt is genuine."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256

from django.conf import settings
from django.db import transaction

from billing.rules.periods import local_date
from cancellations.models import CancellationRequest, Receipt
from cancellations.receipts.pdf import receipt_pdf
from cancellations.receipts.seal import FIRST, canonical, seal_of
from cancellations.wording.charges import words_to_come_of
from cancellations.wording.explanation import sentences
from messaging.numbers import tidy_reference
from messaging.wording import active_language, day_words, instant_words, use_language


def issue_receipt(request: CancellationRequest, parts: Sequence[CancellationRequest], now: datetime) -> Receipt:
    """Issues the receipt of a declaration: what was declared, when it was received, and the explained end dates."""
    with use_language(request.language):
        content = canonical(_content(request, parts))
    receipt = Receipt.objects.create(request=request, declaration=request.declaration, issued_at=now, content=content)
    receipt.refresh_from_db(fields=["number", "previous_seal", "seal"])
    return receipt


def _content(request: CancellationRequest, parts: Sequence[CancellationRequest]) -> dict[str, object]:
    zone = request.time_zone or settings.COMPANY_TIME_ZONE
    return {
        "company": settings.BRAND_NAME,
        "language": active_language(),
        "jurisdiction": request.jurisdiction,
        "name": request.name_given,
        "reference": request.declaration,
        "received_at": request.received_at.isoformat(),
        "received": instant_words(request.received_at, zone),
        "account_number": request.account_number_given,
        "username": request.username_given,
        "email": request.email_given,
        "kind": request.kind_declared,
        "reason": str(request.get_reason_display()) if request.reason else "",
        "cause": request.cause,
        "words": request.words,
        "requested_end": request.asked_end.isoformat() if request.asked_end else "",
        "wished": day_words(request.asked_end),
        "refund_reason": request.refund_reason,
        "policy_version": request.policy_version.number,
        "subscriptions": [
            {
                "subscription": str(part.subscription),
                "ends_on": part.effective_on.isoformat() if part.effective_on else "",
                "ends": day_words(part.effective_on),
                "at_once": part.at_once,
                "ground_is_open": part.ground_is_open,
                "end_is_open": part.effective_on is None,
                "explanation": sentences(part.explanation),
                "to_come": words_to_come_of(part, today=local_date(part.received_at, zone)),
            }
            for part in parts
            if part.subscription is not None
        ],
    }


def pdf_of(receipt: Receipt) -> bytes:
    """Returns the PDF. It is made on the first call and stored, so that its bytes never change."""
    if receipt.pdf is None:
        pdf = receipt_pdf(receipt.content, number=receipt.number or 0, seal=receipt.seal, issued=receipt.issued_at)
        with transaction.atomic():
            row = Receipt.objects.select_for_update().get(pk=receipt.pk)
            if row.pdf is None:  # another request may have made it in the meantime
                row.pdf, row.pdf_sha256 = pdf, sha256(pdf).hexdigest()
                row.save(update_fields=["pdf", "pdf_sha256"])
        receipt = row
    return bytes(receipt.pdf or b"")


def is_genuine(*, reference: str = "", seal: str = "", file: bytes | None = None) -> bool:
    """Whether a receipt is ours and unchanged. Pass its file, or its reference and seal."""
    if file is not None:
        receipt = Receipt.objects.filter(pdf_sha256=sha256(file).hexdigest()).first()
    else:
        receipt = Receipt.objects.filter(declaration=tidy_reference(reference), seal=_tidy(seal)).first()
    return receipt is not None and is_intact(receipt)


def is_intact(receipt: Receipt) -> bool:
    """Whether the seal matches the content and the neighbouring receipts. For an erased one, only the neighbours."""
    seal_fits = receipt.erased_at is not None or receipt.seal == seal_of(receipt.previous_seal, receipt.content)
    number = receipt.number or 0
    previous_seal = Receipt.objects.filter(number=number - 1).values_list("seal", flat=True).first()
    next_previous_seal = Receipt.objects.filter(number=number + 1).values_list("previous_seal", flat=True).first()
    is_chained = receipt.previous_seal == (FIRST if number == 1 else previous_seal)
    return seal_fits and is_chained and next_previous_seal in (None, receipt.seal)


def _tidy(seal: str) -> str:
    return "".join(seal.split()).lower()


def broken_receipts() -> Iterator[str]:
    """Yields a sentence for each receipt that is missing from the chain or was changed in the database."""
    expected, seal = 1, FIRST
    for receipt in Receipt.objects.order_by("number").defer("pdf").iterator(chunk_size=500):
        if receipt.number != expected:
            yield f"Receipts {expected} to {(receipt.number or 0) - 1} are missing."
        elif receipt.previous_seal != seal:
            yield f"Receipt {receipt.number} ({receipt.declaration}) does not follow the one before it."
        if receipt.erased_at is None and receipt.seal != seal_of(receipt.previous_seal, receipt.content):
            yield f"Receipt {receipt.number} ({receipt.declaration}) was changed: its seal does not match its content."
        expected, seal = (receipt.number or 0) + 1, receipt.seal

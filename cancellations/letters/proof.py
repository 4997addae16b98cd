"""What proves an address: the signed link in a mail, and the code for another device."""

from datetime import datetime

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from billing.rules.references import ALPHABET
from cancellations.models import (
    CancellationRequest,
)

PROOF_SALT = "cancellations.proof"


CODE_SALT = "cancellations.follow"


CODE_SECONDS = 900


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

"""Proofs of an address: the signed link in a mail, and the code for another device."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from billing.rules.references import ALPHABET
from cancellations.models import CancellationRequest
from messaging.addresses import fold_address
from messaging.sealing import secret_keys

PROOF_SALT = "cancellations.proof"
CODE_SALT = "cancellations.follow"
CODE_SECONDS, STEP_SECONDS = 600, 15  # OWASP ASVS 5.0, V6.5.5


class Link(NamedTuple):
    """What the link of a mail says: whose declaration it opens, and how often one was opened when it was sent."""

    reference: str
    email: str
    links_used: int = 0


def proof_token(request: CancellationRequest) -> str:
    """Returns the signed token of the link in a mail. The request is the first of its declaration."""
    return signing.dumps(Link(request.declaration, request.email_given, request.links_used), salt=PROOF_SALT)


def read_proof_token(token: str) -> Link:
    """Reads a token. Raises django.core.signing.BadSignature if it is forged or expired."""
    return Link(*signing.loads(token, salt=PROOF_SALT, max_age=settings.PROOF_LINK_DAYS * 86_400))


def follow_code(link: Link, now: datetime, *, earlier: int = 0, key: str = "") -> str:
    """Returns the code that is sent with the link, for reading mail on another device. Valid for ten minutes.

    Like the link it works once. It is derived from SECRET_KEY, or from an earlier `key`, and never stored. There are
    29^8 codes, and wrong ones are limited (cancellations/pages/requests.py).
    """
    step = int(now.timestamp()) // STEP_SECONDS - earlier
    value = f"{link.reference}|{fold_address(link.email)}|{link.links_used}|{step}"
    digest = salted_hmac(CODE_SALT, value, secret=key or settings.SECRET_KEY, algorithm="sha256").digest()
    characters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:8])
    return f"{characters[:4]}-{characters[4:]}"


def is_follow_code(code: str, link: Link, now: datetime) -> bool:
    """Whether `code` is valid now, ignoring case, spaces and hyphens. A code of an earlier key counts, too."""
    typed = "".join(code.split()).upper().replace("-", "")
    steps = range(CODE_SECONDS // STEP_SECONDS)
    codes = [follow_code(link, now, earlier=n, key=key) for n in steps for key in secret_keys()]
    return any(constant_time_compare(typed, valid_code.replace("-", "")) for valid_code in codes)

"""Addresses: when two are the same, the senders we use, and signed reply addresses that link a reply to a reference."""

import re
from email.utils import parseaddr
from string import ascii_lowercase, ascii_uppercase
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models.lookups import Lookup
from django.utils.crypto import constant_time_compare, salted_hmac

SALT = "messaging.reply"
SIGNATURE_CHARACTERS = 16  # of 5 bits each: 80 bits cannot be guessed by mail
TOKEN = re.compile(r"([a-z]{2})([a-z0-9]{8})-([a-z0-9]{16})")
OUR_ID = re.compile(r"<?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@([^>\s]+)>?", re.IGNORECASE)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def fold_address(address: str) -> str:
    """Returns the address in the spelling in which equal addresses are equal: without outer spaces, A to Z lower.

    Other letters stay as they are. By Unicode's rules «ı» has the capital «I», so that `alice@gmaıl.example`, a
    domain of its own, would become somebody else's `alice@gmail.example`.
    """
    return address.strip().translate(_LOWER)


def are_same_address(first: str, second: str) -> bool:
    return fold_address(first) == fold_address(second)


@models.EmailField.register_lookup
class SameAddress(Lookup):  # type: ignore[type-arg]  # not generic at run time
    """`email__same_address=…`: rows whose address is the same by `fold_address`.

    The first condition uses the index of the field (Upper, as for `iexact`); the second compares by ASCII alone.
    """

    lookup_name = "same_address"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, column_values = self.process_lhs(compiler, connection)
        address = fold_address(self.rhs)
        sql = f'(UPPER({column}::text) = UPPER(%s) AND LOWER({column} COLLATE "C") = %s)'
        return sql, (*column_values, address, *column_values, address)


def reply_address(reference: str) -> str:
    """Returns the reply address for the reference; empty if REPLY_ADDRESS is not set.

    It is signed, because references appear in subjects and on paper: knowing one must not be enough.
    """
    parts = re.fullmatch(r"([A-Z]{2})-(\w{4})-(\w{4})", reference)
    if not settings.REPLY_ADDRESS or parts is None:
        return ""
    plain = "".join(parts.groups()).lower()
    return str(settings.REPLY_ADDRESS).replace("{token}", f"{plain}-{_sign(plain, settings.SECRET_KEY)}")


def reference_in(address: str) -> str:
    """Returns the reference in a reply address of ours; empty for other addresses and wrong signatures.

    An address that was signed with an earlier key counts for as long as the key is in SECRET_KEY_FALLBACKS.
    """
    prefix, _, suffix = str(settings.REPLY_ADDRESS).lower().partition("{token}")
    address = address.strip().lower()
    if not suffix or not (address.startswith(prefix) and address.endswith(suffix)):
        return ""
    match = TOKEN.fullmatch(address[len(prefix) : len(address) - len(suffix)])
    if match is None:
        return ""
    kind, rest, signature = match.groups()
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    is_genuine = any(constant_time_compare(signature, _sign(kind + rest, key)) for key in keys)
    return f"{kind}-{rest[:4]}-{rest[4:]}".upper() if is_genuine else ""


def our_message(message_id: str) -> UUID | None:
    """Returns the primary key of our message with this Message-ID; None if the ID is not one of ours."""
    match = OUR_ID.fullmatch(message_id.strip())
    return UUID(match[1]) if match and match[2].lower() == _domain(settings.DEFAULT_FROM_EMAIL) else None


def is_ours(address: str) -> bool:
    """Whether the portal sends from this address, or reads mail at it."""
    address = address.strip().lower()
    own = {parseaddr(setting)[1].lower() for setting in (settings.DEFAULT_FROM_EMAIL, settings.SUPPORT_EMAIL)}
    return address in own or bool(reference_in(address))


def _domain(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2].lower() or "localhost"


def _sign(plain: str, key: str) -> str:
    digest = salted_hmac(SALT, plain, secret=key, algorithm="sha256").digest()
    return "".join(ALPHABET[byte % 32] for byte in digest[:SIGNATURE_CHARACTERS])

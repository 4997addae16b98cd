"""Our own addresses: who we are on the way out, and how a reply finds its way back to what it answers."""

import re
from email.utils import parseaddr
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

SALT = "messaging.reply"
MARKS = 16  # of 5 bits each; nobody guesses 80 bits by mail
TOKEN = re.compile(r"([a-z]{2})([a-z0-9]{8})-([a-z0-9]{16})")
OUR_ID = re.compile(r"<?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@([^>\s]+)>?", re.IGNORECASE)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def reply_address(reference: str) -> str:
    """The address to which a reply about the reference goes; empty where the settings name none.

    It is signed: a reference alone, which stands in subjects and on paper, does not make one.
    """
    parts = re.fullmatch(r"([A-Z]{2})-(\w{4})-(\w{4})", reference)
    if not settings.REPLY_ADDRESS or parts is None:
        return ""
    plain = "".join(parts.groups()).lower()
    return str(settings.REPLY_ADDRESS).replace("{token}", f"{plain}-{_sign(plain)}")


def reference_in(address: str) -> str:
    """The reference of a reply address of ours; empty for any other address, and for one whose sign is wrong."""
    before, _, behind = str(settings.REPLY_ADDRESS).lower().partition("{token}")
    told = address.strip().lower()
    if not behind or not (told.startswith(before) and told.endswith(behind)):
        return ""
    found = TOKEN.fullmatch(told[len(before) : len(told) - len(behind)])
    if found is None:
        return ""
    kind, rest, sign = found.groups()
    genuine = constant_time_compare(sign, _sign(kind + rest))
    return f"{kind}-{rest[:4]}-{rest[4:]}".upper() if genuine else ""


def our_message(message_id: str) -> UUID | None:
    """The key of the message of ours with this Message-ID, whose 122 random bits nobody guesses; None otherwise."""
    found = OUR_ID.fullmatch(message_id.strip())
    return UUID(found[1]) if found and found[2].lower() == _domain(settings.DEFAULT_FROM_EMAIL) else None


def is_ours(address: str) -> bool:
    """Whether it is an address from which the portal writes, or at which it reads."""
    told = address.strip().lower()
    own = {parseaddr(one)[1].lower() for one in (settings.DEFAULT_FROM_EMAIL, settings.SUPPORT_EMAIL)}
    return told in own or bool(reference_in(told))


def _domain(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2].lower() or "localhost"


def _sign(plain: str) -> str:
    digest = salted_hmac(SALT, plain, algorithm="sha256").digest()
    return "".join(ALPHABET[byte % 32] for byte in digest[:MARKS])

"""Encryption of secrets in the database. The key is not stored there, so a copy of the database reveals none."""

from base64 import urlsafe_b64encode
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.encoding import force_bytes

__all__ = ["InvalidToken", "box"]


def box(use: str) -> MultiFernet:
    """Returns the cipher for this use. Encrypts with SECRET_KEY; decrypts with it and with its fallbacks."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    digests = (sha256(use.encode() + force_bytes(key)).digest() for key in keys)
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])

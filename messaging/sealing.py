"""Secrets that lie in the database: encrypted with a key that is not in it, so that a copy of it alone opens none."""

from base64 import urlsafe_b64encode
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.encoding import force_bytes

__all__ = ["InvalidToken", "box"]


def box(use: str) -> MultiFernet:
    """What encrypts and decrypts for this use: by SECRET_KEY, and decrypts by its fallbacks."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    digests = (sha256(use.encode() + force_bytes(key)).digest() for key in keys)
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])

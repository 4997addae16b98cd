"""Canonical content and seals of receipts. Pure: no Django, no clock.

A trigger computes the seals in the database (models/receipts.py); this code checks them independently.
"""

import json
from collections.abc import Mapping
from hashlib import sha256

FIRST = "0" * 64  # the previous seal of the first receipt


def canonical(content: Mapping[str, object]) -> str:
    """Returns canonical JSON: sorted names, no spaces, unescaped Unicode (like RFC 8785 for strings and integers)."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def seal_of(previous_seal: str, content: str) -> str:
    """Returns the SHA-256 of the previous seal and the content, in hexadecimal."""
    return sha256((previous_seal + content).encode()).hexdigest()

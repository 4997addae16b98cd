"""Sealing a receipt: canonical content and the chain of hashes. Pure: no Django, no clock.

The database computes the same (models/receipts.py); here is what checks it, by other means.
"""

import json
from collections.abc import Mapping
from hashlib import sha256

FIRST = "0" * 64  # stands before the first receipt


def canonical(content: Mapping[str, object]) -> str:
    """One text for one content: sorted names, no spaces, Unicode as it is (after RFC 8785, for texts and numbers)."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def seal_of(previous_seal: str, content: str) -> str:
    """SHA-256 over the seal before and the content, in hexadecimal digits."""
    return sha256((previous_seal + content).encode()).hexdigest()

"""When and from where our mail server took a mail, from Received headers. Needs no parser, so nothing can fail."""

import re
from collections.abc import Iterable
from datetime import datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

MOST_BYTES = 100_000  # in which the header has to begin
MOST_LENGTH = 2_000
RECEIVED = re.compile(rb"^received:(.*(?:\r?\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
# Mail servers add their headers above these, which the sender writes (RFC 5322, 3.6; RFC 2045; RFC 6376)
WRITTEN_BY_SENDER = (
    "from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references",
    "mime-version", "content-type", "dkim-signature",
)  # fmt: skip
SENDERS = re.compile(rf"^(?:{'|'.join(WRITTEN_BY_SENDER)})[ \t]*:".encode(), re.IGNORECASE | re.MULTILINE)
CLIENT = re.compile(r"\[(?:IPv6:)?([0-9a-fA-F:.]{2,45})\]")  # RFC 5321, 4.1.3
HEADERS_END = re.compile(rb"\r?\n\r?\n")


def arrival_in(raw: bytes, *, own_servers: list[str]) -> datetime | None:
    """Returns the time in the newest Received header; None if our own server did not write it or it is unreadable."""
    end = HEADERS_END.search(raw, 0, MOST_BYTES)
    match = RECEIVED.search(raw, 0, end.start() if end else MOST_BYTES)
    if match is None or SENDERS.search(raw, 0, match.start()):  # below a header of the sender it is the sender's
        return None
    newest = match[1][:MOST_LENGTH].decode("ascii", "replace")
    if not traced_by(newest, own_servers=own_servers):
        return None
    try:
        at = parsedate_to_datetime(" ".join(newest.rpartition(";")[2].split()))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo is not None else None


def client_in(headers: Iterable[tuple[str, str]], *, own_servers: list[str]) -> str:
    """Returns the public address from which our servers took the mail; empty if it is not known.

    `headers` are the (name, value) pairs of the mail in its order: the Received headers of our servers are at the top.
    """
    for name, value in headers:
        if name != "received" or not traced_by(value, own_servers=own_servers):
            return ""
        before_by = re.split(r"\sby\s", value, maxsplit=1, flags=re.IGNORECASE)[0]
        addresses = [address for address in CLIENT.findall(before_by) if _is_public(address)]
        if addresses:
            return str(addresses[-1])  # the first may be the name by which the client called itself
    return ""


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False


def traced_by(received: str, *, own_servers: list[str]) -> bool:
    """Whether one of our servers wrote this Received header (RFC 5321, 4.4)."""
    words = received.lower().split()
    return is_own(words[words.index("by") + 1] if "by" in words[:-1] else "", own_servers)


def is_own(server: str, own: list[str]) -> bool:
    server = server.lower().rstrip(".;")
    return any(server == name.lower() or server.endswith(f".{name.lower()}") for name in own)

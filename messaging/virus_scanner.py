"""Hands files to a virus scanner (clamd), if one is set by CLAMD."""

import io
from urllib.parse import urlsplit

from clamav_client.clamd import ClamdError, ClamdNetworkSocket, ClamdUnixSocket
from django.conf import settings

SECONDS = 20  # for each step of the connection
LONGEST_NAME = 200


class ScannerUnavailable(Exception):
    """The scanner gave no verdict: it cannot be reached, or it refused the file. The message says why."""


def is_scanner_set() -> bool:
    return bool(settings.CLAMD)


def find_virus(content: bytes) -> str:
    """Returns the name of the virus that the scanner found in the content; empty if there is none.

    Raises ScannerUnavailable.
    """
    try:
        results = _scanner().instream(io.BytesIO(content))
    except (ClamdError, OSError, ValueError) as error:  # ValueError: an answer that is no text
        raise ScannerUnavailable(str(error) or type(error).__name__) from error
    status, name = results.get("stream", ("ERROR", "The scanner ended the connection without an answer."))
    if status == "OK":
        return ""
    if status == "FOUND":
        return (name or "a virus")[:LONGEST_NAME]
    raise ScannerUnavailable(name or "The scanner could not read the file.")


def _scanner() -> ClamdNetworkSocket:
    address = urlsplit(settings.CLAMD)
    if address.scheme == "unix":
        return ClamdUnixSocket(path=address.path, timeout=SECONDS)
    return ClamdNetworkSocket(host=address.hostname or "", port=address.port or 3310, timeout=SECONDS)

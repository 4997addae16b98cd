"""Leaves large attachments where they are while a mail is parsed, so that a mail of 25 MB needs little memory.

A run is a stretch of lines in base64. `set_apart` puts a short line in the place of each, which is no base64 and
which nobody can guess; `restored` and `decoded` put the run back.
"""

import binascii
import io
import re
import secrets
from collections.abc import Iterator

CHUNK = 32_768
PIECE = 1_000_000
BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NO_BASE64 = bytes(byte for byte in range(256) if byte not in BASE64)

Pieces = Iterator[bytes | memoryview]


class LargeRuns:
    """The runs that were set apart, by their number."""

    def __init__(self) -> None:
        self._runs: list[memoryview] = []
        self._mark = f"run-{secrets.token_hex(16)}-"
        self._place = re.compile(re.escape(self._mark.encode()) + rb"(\d{1,9})")

    def set_apart(self, raw: bytes) -> bytes:
        """Returns the mail with a mark in the place of each run."""
        kept, end = [], 0
        for start, stop in _runs(raw):
            self._runs.append(memoryview(raw)[start:stop])
            kept += [raw[end:start], f"{self._mark}{len(self._runs) - 1}\n".encode()]
            end = stop
        return b"".join([*kept, raw[end:]]) if kept else raw

    def has_any(self, content: str) -> bool:
        """Whether a run belongs into the content."""
        return bool(self._runs) and self._mark in content

    def restored(self, content: bytes) -> bytes:
        """Returns the content with each run back in its place."""
        return b"".join(self._pieces(content)) if self._runs and self._mark.encode() in content else content

    def decoded(self, content: bytes) -> bytes:
        """Returns the base64 content decoded, with each run back in its place."""
        return _decoded(self._pieces(content))

    def _pieces(self, content: bytes) -> Pieces:
        for number, part in enumerate(self._place.split(content)):
            yield part if number % 2 == 0 else self._runs[int(part)]


def _runs(raw: bytes) -> Iterator[tuple[int, int]]:
    """Yields start and end of each run, both at the start of a line. Looks at each byte once."""
    first = None
    for start in range(0, len(raw) + CHUNK, CHUNK):
        if len(raw) >= start + CHUNK and not raw[start : start + CHUNK].translate(None, BASE64 + b"=\r\n"):
            first = start if first is None else first
        elif first is not None:
            begin, end = raw.find(b"\n", first, start) + 1, raw.rfind(b"\n", first, start) + 1
            if end > begin > 0:
                yield begin, end
            first = None


def _decoded(pieces: Pieces) -> bytes:
    decoded, rest = io.BytesIO(), b""
    for piece in pieces:
        for start in range(0, len(piece), PIECE):
            digits = rest + bytes(piece[start : start + PIECE]).translate(None, NO_BASE64)
            whole = len(digits) // 4 * 4
            decoded.write(binascii.a2b_base64(digits[:whole]))
            rest = digits[whole:]
    if len(rest) > 1:
        decoded.write(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4)))
    return decoded.getvalue()

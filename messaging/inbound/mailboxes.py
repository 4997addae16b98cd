"""Reads new messages from a folder over IMAP (RFC 9051), with the server's time of arrival."""

import imaplib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError

SECONDS = 30
AT_ONCE = 50
LOOPBACK = ("localhost", "127.0.0.1", "::1")
TROUBLE = (OSError, imaplib.IMAP4.error, ImapToolsError, UnicodeError)
UID = re.compile(rb"\bUID (\d+)")
SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
ARRIVED = re.compile(rb'\bINTERNALDATE "([^"]+)"')


@dataclass(frozen=True)
class Source:
    """A mailbox to read: server, user, folder and credentials. `name` identifies it without the password."""

    host: str
    port: int
    user: str
    folder: str
    encryption: str
    password: str = field(repr=False)
    token_file: str = ""

    @property
    def name(self) -> str:
        port = "" if self.port in (143, 993) else f":{self.port}"
        return f"{self.user}@{self.host}{port}/{self.folder}"


@dataclass(frozen=True)
class Listed:
    """Size and time of arrival of a message that is not fetched yet."""

    uid: int
    size: int
    arrived_at: datetime


def source_of(url: str) -> Source:
    """Parses `imaps://user:password@host:993/INBOX`, or `imap://…` for STARTTLS. Raises ValueError.

    `imap://` is not encrypted on localhost and with `?tls=off`. `?token_file=…` names a file with an OAuth 2.0
    access token (XOAUTH2), which is read at each connection.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme not in ("imap", "imaps") or not parts.hostname or not parts.username:
        raise ValueError("Write a mailbox as imaps://user:password@host/INBOX, with each part percent-encoded.")
    is_plain = parts.scheme == "imap" and (parts.hostname in LOOPBACK or options.get("tls") == "off")
    return Source(
        host=parts.hostname,
        port=parts.port or (993 if parts.scheme == "imaps" else 143),
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        folder=unquote(parts.path.strip("/")) or "INBOX",
        encryption="none" if is_plain else "tls" if parts.scheme == "imaps" else "starttls",
        token_file=options.get("token_file", ""),
    )


class Folder:
    """An open folder, read-only: no message is marked as seen, moved or removed."""

    def __init__(self, box: BaseMailBox, name: str) -> None:
        self._box = box
        box.folder.set(name, readonly=True)
        values = box.client.response("UIDVALIDITY")[1]
        self.uid_validity = int(values[0]) if values and values[0] else 0

    def after(self, uid: int) -> list[int]:
        """Returns the UIDs greater than `uid`, in order."""
        matches = [int(match) for match in self._box.uids(f"UID {uid + 1}:*")]
        return sorted(match for match in matches if match > uid)  # «n:*» always includes the last message

    def listed(self, uids: list[int]) -> Iterator[Listed]:
        """Yields size and time of arrival of each message that is still there."""
        for start in range(0, len(uids), AT_ONCE):
            batch = ",".join(str(uid) for uid in uids[start : start + AT_ONCE])
            for line in self._fetch(batch, "(UID INTERNALDATE RFC822.SIZE)"):
                data = b" ".join(line) if isinstance(line, tuple) else line or b""
                uid, size, arrived = UID.search(data), SIZE.search(data), ARRIVED.search(data)
                if uid and size and arrived:
                    at = datetime.strptime(arrived[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z")
                    yield Listed(int(uid[1]), int(size[1]), at)

    def content(self, uid: int, most: int | None = None) -> bytes | None:
        """Returns the raw message, or its first `most` bytes; None if it is gone."""
        part = "BODY.PEEK[]" if most is None else f"BODY.PEEK[]<0.{most}>"
        for line in self._fetch(str(uid), f"({part})"):
            if isinstance(line, tuple) and len(line) > 1:
                return bytes(line[1])
        return None

    def _fetch(self, uids: str, items: str) -> list[bytes | tuple[bytes, bytes] | None]:
        status, lines = self._box.client.uid("FETCH", uids, items)
        if status != "OK":
            raise imaplib.IMAP4.error(f"FETCH of {uids}: {lines!r}"[:500])
        return list(lines)


@contextmanager
def open_folder(source: Source) -> Iterator[Folder]:
    """Signs in and opens the folder. Raises the errors listed in TROUBLE."""
    box = _connect(source)
    try:
        if source.token_file:
            box.xoauth2(source.user, Path(source.token_file).read_text().strip(), initial_folder=None)
        elif (source.user + source.password).isascii():
            box.login(source.user, source.password, initial_folder=None)
        else:
            box.login_utf8(source.user, source.password, initial_folder=None)
        yield Folder(box, source.folder)
    finally:
        try:
            box.logout()
        except TROUBLE:
            box.client.shutdown()


def _connect(source: Source) -> BaseMailBox:
    if source.encryption == "none":
        return MailBoxUnencrypted(source.host, source.port, timeout=SECONDS)
    context = ssl.create_default_context()
    mailbox_class = MailBox if source.encryption == "tls" else MailBoxStartTls
    return mailbox_class(source.host, source.port, timeout=SECONDS, ssl_context=context)

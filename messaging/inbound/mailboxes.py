"""Reading a folder of a mail server by IMAP (RFC 9051): what is new, with the server's time of arrival."""

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
    """Where to read. `name` says so without the password."""

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
    """A message of the folder, before it is fetched."""

    uid: int
    size: int
    arrived_at: datetime


def source_of(url: str) -> Source:
    """Reads `imaps://user:password@host:993/INBOX`, or `imap://…` with STARTTLS. Raises ValueError.

    On this machine itself (localhost), and with `?tls=off`, `imap://` is not encrypted. With `?token_file=…` the
    file's content is an OAuth 2.0 access token (XOAUTH2), read anew each time.
    """
    told = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(told.query).items()}
    if told.scheme not in ("imap", "imaps") or not told.hostname or not told.username:
        raise ValueError("A mailbox looks like imaps://user:password@host/INBOX, each part percent-encoded.")
    plain = told.scheme == "imap" and (told.hostname in LOOPBACK or options.get("tls") == "off")
    return Source(
        host=told.hostname,
        port=told.port or (993 if told.scheme == "imaps" else 143),
        user=unquote(told.username),
        password=unquote(told.password or ""),
        folder=unquote(told.path.strip("/")) or "INBOX",
        encryption="none" if plain else "tls" if told.scheme == "imaps" else "starttls",
        token_file=options.get("token_file", ""),
    )


class Folder:
    """An open folder, read only: nothing is marked as seen, moved or removed."""

    def __init__(self, box: BaseMailBox, name: str) -> None:
        self._box = box
        box.folder.set(name, readonly=True)
        told = box.client.response("UIDVALIDITY")[1]
        self.uid_validity = int(told[0]) if told and told[0] else 0

    def after(self, uid: int) -> list[int]:
        """The UIDs of what is newer, in order."""
        found = [int(one) for one in self._box.uids(f"UID {uid + 1}:*")]
        return sorted(one for one in found if one > uid)  # «n:*» always names the last message

    def listed(self, uids: list[int]) -> Iterator[Listed]:
        """Size and time of arrival of each that is still there."""
        for start in range(0, len(uids), AT_ONCE):
            wanted = ",".join(str(uid) for uid in uids[start : start + AT_ONCE])
            for line in self._fetch(wanted, "(UID INTERNALDATE RFC822.SIZE)"):
                told = b" ".join(line) if isinstance(line, tuple) else line or b""
                uid, size, arrived = UID.search(told), SIZE.search(told), ARRIVED.search(told)
                if uid and size and arrived:
                    at = datetime.strptime(arrived[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z")
                    yield Listed(int(uid[1]), int(size[1]), at)

    def content(self, uid: int, most: int | None = None) -> bytes | None:
        """The message as it came, or its first bytes; None where it is gone."""
        part = "BODY.PEEK[]" if most is None else f"BODY.PEEK[]<0.{most}>"
        for line in self._fetch(str(uid), f"({part})"):
            if isinstance(line, tuple) and len(line) > 1:
                return bytes(line[1])
        return None

    def _fetch(self, uids: str, what: str) -> list[bytes | tuple[bytes, bytes] | None]:
        status, lines = self._box.client.uid("FETCH", uids, what)
        if status != "OK":
            raise imaplib.IMAP4.error(f"FETCH of {uids}: {lines!r}"[:500])
        return list(lines)


@contextmanager
def opened(source: Source) -> Iterator[Folder]:
    """Signs in and opens the folder. Raises what TROUBLE names."""
    box = _connected(source)
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


def _connected(source: Source) -> BaseMailBox:
    if source.encryption == "none":
        return MailBoxUnencrypted(source.host, source.port, timeout=SECONDS)
    context = ssl.create_default_context()
    kind = MailBox if source.encryption == "tls" else MailBoxStartTls
    return kind(source.host, source.port, timeout=SECONDS, ssl_context=context)

"""Parses raw mail, including broken MIME, wrong charsets, HTML without text, and winmail.dat.

A part that cannot be read is left out, and a remark says so. Only `parse` raises Unreadable, if the bytes hold no
mail at all. Mail can be made to cost minutes: workers parse it in a process that can be killed (reading.py).
"""

import binascii
import io
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from email.utils import parsedate_to_datetime
from hashlib import sha256

from tnefparse import TNEF

from messaging.address_syntax import addresses_in
from messaging.inbound.html import MOST_AS_TEXT, rough_text_of, safe_html, text_of, visible_html
from messaging.inbound.large_runs import LargeRuns
from messaging.text import on_one_line, replace_unkeepable, shorten

MOST_PARTS = 200
MOST_DEPTH = 20
MOST_FILES = 50
MOST_TEXT = 100_000  # characters; the raw mail keeps the rest
MOST_READ = 2_000_000  # bytes, without large attachments in base64
MOST_HTML_COMPARED = 500_000  # characters
MOST_HEADER = 20_000  # characters of one header
MOST_ADDRESSES = 5_000  # characters of a header with addresses
SINGLE_BYTE = {"iso-8859-1", "iso8859-1", "latin-1", "latin1", "windows-1252", "cp1252", "us-ascii", "ascii", ""}
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
MESSAGE_ID = re.compile(r"<[^<>\s]{1,248}>")


class Unreadable(Exception):
    """The bytes hold no mail that can be parsed."""


@dataclass(frozen=True)
class File:
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """A parsed mail. `text` is its plain text, or the text of its HTML; `safe_html` is `html` sanitised."""

    message: Message
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str
    safe_html: str
    files: tuple[File, ...]
    remarks: tuple[str, ...]

    def header(self, name: str) -> str:
        return _header(self.message, name)

    def ordered(self, *names: str) -> list[tuple[str, str]]:
        """Returns the headers with these names in the mail's order, newest first (RFC 5322, 3.6.7)."""
        wanted = {name.lower() for name in names}
        return [(key.lower(), _header_text(value)) for key, value in self.message.raw_items() if key.lower() in wanted]

    @property
    def digest(self) -> str:
        """SHA-256 of what the sender wrote, without the trace headers, which differ from copy to copy."""
        parts = [self.sender.lower(), self.subject, self.text, self.html]
        parts += [f"{file.name}:{sha256(file.content).hexdigest()}" for file in self.files]
        return sha256("\x00".join(parts).encode()).hexdigest()


@dataclass
class _Content:
    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    runs: LargeRuns = field(default_factory=LargeRuns)
    is_rough: bool = False
    parts: int = 0

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)


class _Policy(Compat32):
    """Bounds each header: the time of some of its parsers grows with the square of the length."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MOST_HEADER]


def parse(raw: bytes, *, whole: bool = True, is_rough: bool = False, most: int = MOST_READ) -> Mail:
    """Parses a mail, but not more than `most` of its bytes beside large attachments. Raises Unreadable.

    If `whole` is False, `raw` is only its beginning. If `is_rough`, HTML and winmail.dat are not parsed.
    """
    try:
        content = _Content(is_rough=is_rough)
        if not whole:
            content.remark("Too large: only its beginning was stored.")
        message = _message(raw, content, most)
        _walk(message, content, 0)
    except (RecursionError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:500]) from error
    if not message.keys():
        raise Unreadable("It has no headers.")
    html = "\n".join(content.html)
    text = "\n".join(part.removesuffix("\n") for part in content.plain if part.strip())  # a line end ends a part
    safe, is_cut = ("", False) if is_rough else _safe(html)
    if not text.strip() and html:
        text = _tidy(rough_text_of(html) if is_rough else text_of(safe)).strip()  # HTML shows no space at its ends
        is_cut = is_cut or len(safe) > MOST_AS_TEXT
    if is_cut:
        content.remark("Its HTML is long: only the beginning is shown.")
    if len(text) > MOST_TEXT:
        content.remark(f"The text is long: {len(text):,} characters, of which the first {MOST_TEXT:,} are shown.")
    name, sender = next(iter(_addresses(message, "From")), ("", ""))
    if not sender:
        written = shorten(on_one_line(_header(message, "From")), 400)
        content.remark(f"No mail can be sent to its sender «{written}»." if written else "It names no sender.")
    return Mail(
        message=message,
        message_id=next(iter(_ids(message, "Message-ID")), ""),
        in_reply_to=next(iter(_ids(message, "In-Reply-To")), ""),
        references=tuple(_ids(message, "References")[-30:]),
        sender=sender,
        sender_name=name[:200],
        recipients=tuple(
            address
            for header in ("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To")
            for _, address in _addresses(message, header)[:50]
        ),
        subject=" ".join(_header(message, "Subject").split())[:250],
        text=text[:MOST_TEXT] if text.strip() else "",
        html=html[:MOST_HTML_COMPARED],
        safe_html=safe,
        files=tuple(content.files),
        remarks=tuple(content.remarks),
    )


def _safe(html: str) -> tuple[str, bool]:
    visible, is_cut = visible_html(html)
    return safe_html(visible), is_cut


def _message(raw: bytes, content: _Content, most: int) -> Message:
    light = content.runs.set_apart(raw)
    if len(light) > most:
        content.remark(f"The mail is long: only its first {most / 1_000_000:g} MB were read.")
    return BytesParser(policy=_Policy()).parse(io.BytesIO(light[:most]))


def _walk(part: Message, content: _Content, depth: int) -> None:
    content.parts += 1
    if content.parts > MOST_PARTS or depth > MOST_DEPTH:
        content.remark("It has too many parts, or they are nested too deeply: some were not read.")
        return
    if part.defects:
        defects = ", ".join(sorted({type(defect).__name__ for defect in part.defects}))
        content.remark(f"It is not well-formed: {defects}.")
    kind = part.get_content_type()
    if part.is_multipart() and kind.startswith("multipart/"):
        children = [child for child in part.get_payload() if isinstance(child, Message)]
        if kind == "multipart/report":  # the later parts quote the reported message; the sender did not write them
            children = children[:1]
        for child in children:
            _walk(child, content, depth + 1)
        return
    name = _file_name(part)
    is_attachment = "attachment" in str(part.get("Content-Disposition", "")).lower()
    if kind in ("text/plain", "text/html") and not is_attachment and not (name and content.plain):
        text = _tidy(_decoded(_payload(part, content.runs)[:MOST_READ], _charset(part)))
        (content.html if kind == "text/html" else content.plain).append(text)
        return
    payload = _payload(part, content.runs)
    is_tnef = kind in ("application/ms-tnef", "application/vnd.ms-tnef") or name.lower() == "winmail.dat"
    if is_tnef and not content.is_rough:
        _open_tnef(payload, content)
    elif kind == "message/rfc822" or payload or name:
        _add_file(File(name or _default_name(kind, len(content.files)), kind, payload), content)


def _add_file(file: File, content: _Content) -> None:
    if len(content.files) >= MOST_FILES:
        content.remark(f"It has more than {MOST_FILES} files: the others are only in the raw mail.")
        return
    content.files.append(file)


def _open_tnef(payload: bytes, content: _Content) -> None:
    """Adds text and files from winmail.dat, Outlook's own format (MS-OXTNEF)."""
    try:
        tnef = TNEF(payload)
        body, html = tnef.body or "", tnef.htmlbody or ""
        rtf = tnef.rtfbody if not (body or html) else b""
        files = [(file.long_filename() or file.name or "file", file.data or b"") for file in tnef.attachments]
    except Exception:  # the bytes may be hostile: whatever the library raises, go on with the rest of the mail
        content.remark("Its winmail.dat could not be opened; it is stored as a file.")
        _add_file(File("winmail.dat", "application/ms-tnef", payload), content)
        return
    if not any(text.strip() for text in content.plain):
        if text := _as_text(body) or _rtf_text(rtf or b""):
            content.plain.append(text)
        if html:
            content.html.append(_as_text(html))
    for name, data in files:
        _add_file(File(_plain_name(str(name)), "application/octet-stream", bytes(data)), content)


def _rtf_text(rtf: bytes) -> str:
    """Returns the text of RTF without its commands; good enough for the body of a mail from Outlook."""
    text = re.sub(
        rb"\{\\(?:fonttbl|colortbl|stylesheet|\*)[^{}]{0,5000}(?:\{[^{}]{0,5000}\})*[^{}]{0,5000}\}", b"", rtf
    )
    text = re.sub(rb"\\(?:par|line)\b ?", b"\n", text)
    text = re.sub(rb"\\'([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16)]), text)
    text = re.sub(rb"\\[a-zA-Z]{1,32}-?\d{0,10} ?|[{}]", b"", text)
    return _tidy(text.decode("cp1252", "replace")).strip()


def _as_text(value: object) -> str:
    return _tidy(_decoded(value, "") if isinstance(value, bytes) else str(value or ""))


def _payload(part: Message, runs: LargeRuns) -> bytes:
    try:
        inner = part.get_payload()
        if part.get_content_type() == "message/rfc822":
            first = inner[0] if isinstance(inner, list) and inner else None
            return runs.restored(first.as_bytes()) if isinstance(first, Message) else b""
        is_base64 = str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64"
        if is_base64 and isinstance(inner, str) and runs.has_any(inner):
            return runs.decoded(inner.encode("ascii", "surrogateescape"))
        payload = part.get_payload(decode=True)
    except (ValueError, binascii.Error, LookupError, AttributeError, RecursionError, KeyError):
        return b""
    return runs.restored(payload) if isinstance(payload, bytes) else b""


def _charset(part: Message) -> str:
    try:
        return str(part.get_content_charset() or "").lower()
    except (ValueError, LookupError):
        return ""


def _decoded(content: bytes, charset: str) -> str:
    """Decodes text, also if the charset is missing, unknown or wrong.

    UTF-8 is tried before single-byte charsets: bytes that happen to be valid UTF-8 nearly always are.
    """
    prefers_utf8 = charset in SINGLE_BYTE or charset.startswith(("utf-16", "utf-32"))
    charsets = ["utf-8", charset] if prefers_utf8 else [charset, "utf-8"]
    for name in filter(None, (*charsets, "cp1252")):
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")


def _tidy(text: str) -> str:
    """Removes invisible characters and characters that hide text. What cannot be kept becomes U+FFFD."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    return replace_unkeepable(UNSEEN.sub("", plain))


def _header(message: Message, name: str) -> str:
    raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    return _header_text(raw)


def _header_text(raw: object) -> str:
    value = _readable(str(raw))
    if "=?" in value:
        try:
            chunks = decode_header(value)
        except (HeaderParseError, binascii.Error, ValueError):
            chunks = [(value, None)]
        value = "".join(
            chunk
            if isinstance(chunk, str)
            else _decoded(chunk, (charset or "").lower())
            if charset
            else chunk.decode("raw-unicode-escape", "replace")
            for chunk, charset in chunks
        )
    return _tidy(value).strip()


def sent_at(date_header: str) -> datetime | None:
    """Returns the instant that a Date header names (RFC 5322, 3.6.1), in UTC; None if it names none."""
    try:
        moment = parsedate_to_datetime(date_header)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.year >= 1970 else None


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    """Returns the (name, address) pairs of the headers with this name."""
    values = [str(value) for key, value in message.raw_items() if key.lower() == name.lower()][:10]
    pairs = []
    for value in values:
        pairs += addresses_in(_bounded(_tidy(_readable(value)))) or addresses_in(_bounded(_header_text(value)))
    return [(_header_text(name).strip("\"' "), address) for name, address in pairs]


def _bounded(addresses: str) -> str:
    """Returns the beginning of a long list, up to the end of an address."""
    return addresses if len(addresses) <= MOST_ADDRESSES else addresses[:MOST_ADDRESSES].rpartition(",")[0]


def _readable(value: str) -> str:
    """Decodes raw non-ASCII bytes in a header."""
    if any("\udc80" <= character <= "\udcff" for character in value):
        return _decoded(value.encode("utf-8", "surrogateescape"), "")
    return value


def _ids(message: Message, name: str) -> list[str]:
    """Returns Message-IDs in angle brackets, and adds the brackets if a mail program left them out."""
    value = " ".join(_header(message, name)[:20_000].split())
    ids = MESSAGE_ID.findall(value)
    if not ids and value and " " not in value and "<" not in value:
        ids = [f"<{value.strip('<>')[:248]}>"]
    return ids


def _file_name(part: Message) -> str:
    try:
        return _plain_name(_header_text(part.get_filename() or ""))
    except (ValueError, LookupError, TypeError):
        return "file"


def _plain_name(name: str) -> str:
    """Removes the path and invisible characters, such as those that reverse the reading direction."""
    return " ".join(_tidy(name).replace("\\", "/").rpartition("/")[2].split())[:150]


def _default_name(kind: str, count: int) -> str:
    return "message.eml" if kind == "message/rfc822" else f"part-{count + 1}.{kind.partition('/')[2][:10] or 'bin'}"

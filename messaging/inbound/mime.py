"""Reading a mail as it came, however it is made: broken MIME, wrong charsets, HTML only, winmail.dat.

Nothing here fails on a mail: what cannot be read is left out, and said among the remarks. Only `parse` raises
Unreadable, where there is no mail at all in the bytes.
"""

import binascii
import re
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from hashlib import sha256

import nh3
from inscriptis import get_text
from lxml.etree import LxmlError
from tnefparse import TNEF

MOST_PARTS = 200
MOST_DEPTH = 20
MOST_FILES = 50
MOST_TEXT = 100_000  # characters; the raw mail keeps the rest
MOST_HTML = 500_000
SINGLE_BYTE = {"iso-8859-1", "iso8859-1", "latin-1", "latin1", "windows-1252", "cp1252", "us-ascii", "ascii", ""}
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
ADDRESS = re.compile(r"[^\s<>@,;:\"()\[\]]{1,64}@[^\s<>@,;:\"()]{1,255}")
MARK_ID = re.compile(r"<[^<>\s]{1,248}>")
TAGS = {
    "a", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead",
    "tr", "u", "ul",
}  # fmt: skip


class Unreadable(Exception):
    """The bytes hold no mail that can be read."""


@dataclass(frozen=True)
class File:
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """What a mail says. `text` is its plain text, or that of its HTML; `html` is as it came, not sanitised."""

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
    files: tuple[File, ...]
    remarks: tuple[str, ...]

    def header(self, name: str) -> str:
        return _header(self.message, name)

    def ordered(self, *names: str) -> list[tuple[str, str]]:
        """The headers of these names in their order, the newest first (RFC 5322, 3.6.7)."""
        wanted = {name.lower() for name in names}
        return [(key.lower(), _words(value)) for key, value in self.message.raw_items() if key.lower() in wanted]

    @property
    def digest(self) -> str:
        """SHA-256 over what the sender wrote, whatever the way that it took (RFC 5322's trace fields)."""
        told = [self.sender.lower(), self.subject, self.text, self.html]
        told += [f"{one.name}:{sha256(one.content).hexdigest()}" for one in self.files]
        return sha256("\x00".join(told).encode()).hexdigest()


@dataclass
class _Found:
    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    parts: int = 0

    def remark(self, words: str) -> None:
        if words not in self.remarks:
            self.remarks.append(words)


def parse(raw: bytes, *, whole: bool = True) -> Mail:
    """Reads a mail; with `whole` False, `raw` is the beginning of one. Raises Unreadable."""
    try:
        message = BytesParser(policy=compat32).parsebytes(raw)
        found = _Found()
        if not whole:
            found.remark("Too large: only its beginning was kept.")
        _walk(message, found, 0)
    except (RecursionError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:500]) from error
    if not message.keys():
        raise Unreadable("It has no headers.")
    html = "\n".join(found.html)[:MOST_HTML]
    text = "\n".join(one.strip("\n") for one in found.plain if one.strip())
    if not text.strip() and html:
        text = text_of(html)
    if len(text) > MOST_TEXT:
        found.remark(f"Its text is long: {len(text):,} characters, of which the first {MOST_TEXT:,} are shown.")
    name, sender = next(iter(_addresses(message, "From")), ("", ""))
    if not sender:
        found.remark("It does not say who sent it.")
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
        text=text[:MOST_TEXT].strip(),
        html=html,
        files=tuple(found.files),
        remarks=tuple(found.remarks),
    )


def safe_html(html: str) -> str:
    """HTML that shows what was written and nothing else: no script, no style, no picture, nothing from elsewhere."""
    return nh3.clean(
        html,
        tags=TAGS,
        clean_content_tags={"script", "style", "title", "head", "template", "noscript", "iframe", "object"},
        attributes={"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def text_of(html: str) -> str:
    """The text of HTML as a reader would see it, line by line."""
    kept = nh3.clean(html[:MOST_HTML], tags=TAGS, attributes={}, clean_content_tags={"script", "style", "title"})
    try:
        return _tidy(get_text(kept)) if kept.strip() else ""
    except (LxmlError, RecursionError, ValueError, AssertionError):
        return _tidy(nh3.clean(kept, tags=set()))


def _walk(part: Message, found: _Found, depth: int) -> None:
    found.parts += 1
    if found.parts > MOST_PARTS or depth > MOST_DEPTH:
        found.remark("It has too many parts, or they are nested too deep: some were not looked at.")
        return
    if part.defects:
        found.remark("It is not well made: " + ", ".join(sorted({type(one).__name__ for one in part.defects})) + ".")
    kind = part.get_content_type()
    if part.is_multipart() and kind.startswith("multipart/"):
        children = [one for one in part.get_payload() if isinstance(one, Message)]
        if kind == "multipart/report":  # what it reports of is not what the sender wrote
            children = children[:1]
        for child in children:
            _walk(child, found, depth + 1)
        return
    name = _file_name(part)
    attached = "attachment" in str(part.get("Content-Disposition", "")).lower()
    if kind in ("text/plain", "text/html") and not attached and not (name and found.plain):
        words = _tidy(_decoded(_content(part), _charset(part)))
        (found.html if kind == "text/html" else found.plain).append(words)
        return
    content = _content(part)
    if kind in ("application/ms-tnef", "application/vnd.ms-tnef") or name.lower() == "winmail.dat":
        _open_tnef(content, found)
    elif kind == "message/rfc822" or content or name:
        _keep(File(name or _made_name(kind, len(found.files)), kind, content), found)


def _keep(file: File, found: _Found) -> None:
    if len(found.files) >= MOST_FILES:
        found.remark(f"It has more than {MOST_FILES} files: the others are in the raw mail alone.")
        return
    found.files.append(file)


def _open_tnef(content: bytes, found: _Found) -> None:
    """Outlook's own wrapping (MS-OXTNEF): its text and files, where they can be read."""
    try:
        opened = TNEF(content)
        body, html = opened.body or "", opened.htmlbody or ""
        rich = opened.rtfbody if not (body or html) else b""
        files = [(one.long_filename() or one.name or "file", one.data or b"") for one in opened.attachments]
    except Exception:  # an old library on hostile bytes: whatever it raises, the mail itself is read on
        found.remark("Its winmail.dat could not be opened; it is kept as a file.")
        _keep(File("winmail.dat", "application/ms-tnef", content), found)
        return
    if not any(one.strip() for one in found.plain):
        if words := _as_text(body) or _rich_text(rich or b""):
            found.plain.append(words)
        if html:
            found.html.append(_as_text(html))
    for name, data in files:
        _keep(File(_plain_name(str(name)), "application/octet-stream", bytes(data)), found)


def _rich_text(rich: bytes) -> str:
    """The words of RTF, without its commands; enough to read a body that Outlook wrapped."""
    told = re.sub(
        rb"\{\\(?:fonttbl|colortbl|stylesheet|\*)[^{}]{0,5000}(?:\{[^{}]{0,5000}\})*[^{}]{0,5000}\}", b"", rich
    )
    told = re.sub(rb"\\(?:par|line)\b ?", b"\n", told)
    told = re.sub(rb"\\'([0-9a-fA-F]{2})", lambda mark: bytes([int(mark[1], 16)]), told)
    told = re.sub(rb"\\[a-zA-Z]{1,32}-?\d{0,10} ?|[{}]", b"", told)
    return _tidy(told.decode("cp1252", "replace")).strip()


def _as_text(value: object) -> str:
    return _tidy(_decoded(value, "") if isinstance(value, bytes) else str(value or ""))


def _content(part: Message) -> bytes:
    try:
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload()
            first = inner[0] if isinstance(inner, list) and inner else None
            return first.as_bytes() if isinstance(first, Message) else b""
        payload = part.get_payload(decode=True)
    except (ValueError, binascii.Error, LookupError, AttributeError, RecursionError, KeyError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _charset(part: Message) -> str:
    try:
        return str(part.get_content_charset() or "").lower()
    except (ValueError, LookupError):
        return ""


def _decoded(content: bytes, charset: str) -> str:
    """The text, also where the charset is missing, unknown or wrong: bytes that are UTF-8 are hardly ever chance."""
    plain = charset in SINGLE_BYTE or charset.startswith(("utf-16", "utf-32"))
    tried = ["utf-8", charset] if plain else [charset, "utf-8"]
    for name in filter(None, (*tried, "cp1252")):
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")


def _tidy(text: str) -> str:
    """Without marks that nobody sees, that hide words, or that no database takes."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    return UNSEEN.sub("", plain).encode("utf-8", "replace").decode()


def _header(message: Message, name: str) -> str:
    raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    return _words(raw)


def _words(raw: object) -> str:
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


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    """(name, address) of each; a header that is not well made gives the addresses that can be seen in it."""
    values = [str(value) for key, value in message.raw_items() if key.lower() == name.lower()][:10]
    if not values:
        return []
    found = []
    for told, address in getaddresses([_readable(value)[:5000] for value in values]):
        if ADDRESS.fullmatch(plain := _tidy(address)):
            found.append((_words(told).strip("\"' "), plain))
    return found or [("", one) for value in values for one in ADDRESS.findall(_words(value)[:5000])]


def _readable(value: str) -> str:
    """Bytes beyond ASCII, as they came in a header, as the text that they are."""
    if any("\udc80" <= mark <= "\udcff" for mark in value):
        return _decoded(value.encode("utf-8", "surrogateescape"), "")
    return value


def _ids(message: Message, name: str) -> list[str]:
    """Message-IDs in angle brackets; one without them, as some programs write it, gets them."""
    value = " ".join(_header(message, name)[:20_000].split())
    found = MARK_ID.findall(value)
    if not found and value and " " not in value and "<" not in value:
        found = [f"<{value.strip('<>')[:248]}>"]
    return found


def _file_name(part: Message) -> str:
    try:
        return _plain_name(_words(part.get_filename() or ""))
    except (ValueError, LookupError, TypeError):
        return "file"


def _plain_name(name: str) -> str:
    """A name without a path and without tricks of direction."""
    return " ".join(_tidy(name).replace("\\", "/").rpartition("/")[2].split())[:150]


def _made_name(kind: str, count: int) -> str:
    return "message.eml" if kind == "message/rfc822" else f"part-{count + 1}.{kind.partition('/')[2][:10] or 'bin'}"

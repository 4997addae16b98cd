"""A mail from the webhook of a mail provider, as bytes that nothing has parsed.

It stands in for django-anymail's AnymailInboundMessage, which parses each mail with Python's e-mail package in the web
process. A raw mail is kept as it is; one that comes in fields is put together line by line.
"""

import base64
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
NAME = re.compile(r"[!-9;-~]{1,100}")  # RFC 5322, 2.2
MEDIA_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}", re.ASCII)
HEADER = re.compile(rb"^([!-9;-~]{1,100}):[ \t]*(.*(?:\r?\n[ \t].*)*)", re.MULTILINE)
NO_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # lone surrogates, except those in place of a byte (PEP 383)
HEADERS_END = re.compile(rb"\r?\n\r?\n")
OF_THE_BODY = ("mime-version", "content-type", "content-transfer-encoding")


class File(NamedTuple):
    content_type: str
    content: bytes
    name: str


class UnparsedMail:
    """A mail as bytes. Its headers can be looked up and added as plain text, for what django-anymail does with them."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __getitem__(self, name: str) -> str | None:
        return self.get(name)

    def __setitem__(self, name: str, value: str) -> None:
        self.raw = _line(name, value) + self.raw

    def get(self, name: str, default: str | None = None) -> str | None:
        """Returns the text of the first header with the name, as it stands in the mail."""
        end = HEADERS_END.search(self.raw)
        for match in HEADER.finditer(self.raw, 0, end.start() if end else len(self.raw)):
            if match[1].decode().lower() == name.lower():
                return match[2].decode("utf-8", "replace")
        return default

    # What django-anymail calls

    @classmethod
    def parse_raw_mime(cls, text: str) -> "UnparsedMail":
        return cls(_encoded(text))

    @classmethod
    def parse_raw_mime_bytes(cls, raw: bytes) -> "UnparsedMail":
        return cls(raw)

    @classmethod
    def parse_raw_mime_chunks(cls, chunks: Iterable[bytes]) -> "UnparsedMail":
        return cls(b"".join(chunks))

    @classmethod
    def construct(
        cls,
        raw_headers: str | None = None,
        from_email: str | None = None,
        to: str | None = None,
        cc: str | None = None,
        bcc: str | None = None,
        subject: str | None = None,
        headers: Headers | None = None,
        text: str | None = None,
        text_charset: str = "utf-8",
        html: str | None = None,
        html_charset: str = "utf-8",
        attachments: Iterable[File] | None = None,
    ) -> "UnparsedMail":
        fields = {"From": from_email, "To": to, "Cc": cc, "Bcc": bcc, "Subject": subject}
        more = headers.items() if isinstance(headers, Mapping) else headers or ()
        lines = [_line(name, value) for name, value in fields.items() if value is not None]
        lines += _kept_headers(raw_headers or "", {name.lower() for name, value in fields.items() if value is not None})
        lines += [_line(name, value) for name, value in more if str(name).lower() not in OF_THE_BODY]
        parts = [_text(text, "plain")] if text is not None else []
        parts += [_text(html, "html")] if html is not None else []
        parts += [_attached(file) for file in attachments or ()]
        return cls(b"".join(lines) + _body(parts))

    @classmethod
    def construct_attachment(
        cls,
        content_type: str,
        content: bytes | str,
        charset: str | None = None,
        filename: str | None = None,
        content_id: str | None = None,
        base64: bool = False,
    ) -> File:
        data = content if isinstance(content, bytes) else _encoded(content)
        return File(content_type, _decoded(data) if base64 else data, filename or "")

    @classmethod
    def construct_attachment_from_uploaded_file(cls, file: Any, content_id: str | None = None) -> File:
        return File(getattr(file, "content_type", ""), file.read(), getattr(file, "name", "") or "")


def address_text(address: Mapping[str, str] | None) -> str:
    """Returns the address of a Postmark webhook as it stands in a header, valid or not."""
    name, mailbox = (address or {}).get("Name", ""), (address or {}).get("Email", "")
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{mailbox}>' if name else mailbox


def _encoded(text: str) -> bytes:
    """Returns the text as bytes, with U+FFFD in place of each lone surrogate, which JSON can hold and no mail can."""
    return NO_BYTES.sub("\ufffd", text).encode("utf-8", "surrogateescape")


def _line(name: str, value: object) -> bytes:
    """Returns the header on one line; nothing if its name is none (RFC 5322, 2.2)."""
    if not NAME.fullmatch(str(name)):
        return b""
    return _encoded(f"{name}: {' '.join(str(value).splitlines())}\r\n")


def _kept_headers(text: str, replaced: set[str]) -> list[bytes]:
    """Returns the headers of a mail without those of its body, and without those that are given apart."""
    raw = _encoded(text)
    left_out = (*OF_THE_BODY, *replaced)
    return [
        match[0].rstrip(b"\r\n") + b"\r\n"
        for match in HEADER.finditer(raw)
        if match[1].decode().lower() not in left_out
    ]


def _body(parts: list[bytes]) -> bytes:
    mark = secrets.token_hex(16).encode()
    lines = [b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n"]
    lines += [b"--" + mark + b"\r\n" + part + b"\r\n" for part in parts]
    return b"".join([*lines, b"--" + mark + b"--\r\n"])


def _text(text: str, kind: str) -> bytes:
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    return head + base64.encodebytes(_encoded(text))


def _attached(file: File) -> bytes:
    kind = file.content_type if MEDIA_TYPE.fullmatch(file.content_type or "") else "application/octet-stream"
    name = f"; filename*=utf-8''{quote(file.name, safe='', errors='replace')}" if file.name else ""
    if kind.startswith(("message/", "multipart/")):  # base64 is not allowed for these (RFC 2045, 6.4)
        return f"Content-Type: {kind}\r\nContent-Disposition: attachment{name}\r\n\r\n".encode() + file.content
    head = f"Content-Type: {kind}\r\nContent-Disposition: attachment{name}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode() + base64.encodebytes(file.content)


def _decoded(content: bytes) -> bytes:
    try:
        return base64.b64decode(content)
    except ValueError:
        return content

"""Hostile text as strategies of hypothesis, and how it travels: in the bytes of forms, paths and mails."""

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = [
    "", " ", "\x00", "a\x00b", "\x0b", "\x1b[31m", "\x7f", "\x85", "\ud800", "a\udfff", "\ufffe", "\U0010ffff", "\ufeff",
    "\u202e", "\u2066x", "\u2069\u202e", "\u2028", "\r\nBcc: x@y.example", "ı", "ſ", "İ", "ﬃ", "a\u0301" * 200, "👩‍👩‍👧‍👦", "٣", "²",
    "=1+1", "＝1+1", "'\"--;", "<script>alert(1)</script>", "{{7*7}}", "{% x %}", "${x}", "%00", "%2500", "%s%n", "../..",
    "\\", "javascript:alert(1)", "http://[", "//evil.example", "x" * 20_000, "1" * 400, "-1", "0", "1e999", "NaN",
    "Infinity", "1_0", "9223372036854775808", "0.00001", "999999999999.99", "2026-02-30", "0001-01-01", "9999-12-31",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59", "true", "null", "[]", "{}", "[" * 5000, '{"a":' * 500, "on",
    "x@y", f"{'a' * 65}@b.example", f"a@{'b' * 64}.example", '"a b"@c.example', "a@xn--", "(" * 3000 + "@x", "CR-AAAA-AAAA",
    "00000000-0000-0000-0000-000000000000", "DE89370400440532013000", "Europe/../UTC", "de-DE-u-co-phonebk",
]  # fmt: skip
UNKEEPABLE = st.sampled_from(["\x00", "a\x00b", "\x0b", "\ud800", "\ufffe"])
TEXT = UNKEEPABLE | st.sampled_from(EXAMPLES) | st.text(st.characters(codec=None), max_size=40)  # with lone surrogates

BOUNDARY = "between-the-parts"
FILES = st.binary(max_size=200) | st.sampled_from(
    [
        b"", b"%PDF-1.7\n" + b"\xff" * 50, b"\x89PNG\r\n\x1a\n\x00", b"\xff\xd8\xff\xe0", b"RIFF....WEBP", b"a\x00b", b"\xef\xbb\xbf",
        b"<?xml version='1.0'?><!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><Document>&e;</Document>",
        b"<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><BkToCstmrStmt><Stmt/></BkToCstmrStmt></Document>",
        b"<Document xmlns='urn:iso:std:iso:20022:tech:xsd:pain.002.001.03'>" + b"<a>" * 500,
        b"reference;amount\r\nRF-1;\x00\r\n", b"a,b\r\n\"", "\ud800".encode("utf-16", "surrogatepass"),
    ]
)  # fmt: skip


def bounded(examples: int) -> settings:
    """The same examples in each run. With FUZZ=20 in the environment, 20 times as many, and others in each run."""
    times = int(os.environ.get("FUZZ", "1"))
    return settings(
        max_examples=examples * times,
        derandomize=times == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def repeat(examples: int, check_one: Callable[[Callable[[st.SearchStrategy], Any]], None]) -> None:
    """Runs the check with so many examples, each in a transaction that is rolled back."""

    @bounded(examples)
    @given(st.data())
    def run(data):
        with transaction.atomic():
            check_one(data.draw)
            transaction.set_rollback(True)

    run()


def as_bytes(text: str) -> bytes:
    """The text as a hostile program sends it: lone surrogates as three bytes, which is not UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def as_path(text: str) -> str:
    return quote_from_bytes(as_bytes(text), safe="")


def as_form(fields: list[tuple[str, str]]) -> bytes:
    """The body of a form, `application/x-www-form-urlencoded`."""
    return "&".join(f"{as_path(name)}={as_path(value)}" for name, value in fields).encode()


def as_multipart(fields: list[tuple[str, str]], files: list[tuple[str, str, bytes]]) -> bytes:
    """The body of a form with files, as (field, name, content), with BOUNDARY between the parts."""
    lines = []
    for name, value in fields:
        lines += [b'Content-Disposition: form-data; name="%s"' % _quoted(name), b"", as_bytes(value)]
        lines.append(b"--" + BOUNDARY.encode())
    for name, file, content in files:
        disposition = b'Content-Disposition: form-data; name="%s"; filename="%s"' % (_quoted(name), _quoted(file))
        lines += [disposition, b"Content-Type: application/octet-stream", b"", content, b"--" + BOUNDARY.encode()]
    return b"\r\n".join([b"--" + BOUNDARY.encode(), *lines]) + b"--\r\n"


def _quoted(text: str) -> bytes:
    return as_bytes(text).replace(b'"', b"%22").replace(b"\r", b"").replace(b"\n", b"")

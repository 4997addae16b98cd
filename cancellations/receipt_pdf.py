"""The receipt as a PDF that archives and screen readers can use (PDF/A-2b, PDF/UA-1), by Typst."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst
from django.conf import settings
from django.urls import reverse

TEMPLATE = Path(__file__).with_name("receipt.typ")
FONTS = Path(__file__).with_name("fonts")
STANDARDS: Any = ["a-2b", "ua-1"]
_UNSHOWN = re.compile(r'the text `"(.+?)"` could not be displayed', re.DOTALL)
TRIES = 25


@cache
def _fonts() -> typst.Fonts:
    """Ours only, so that every machine makes the same bytes."""
    return typst.Fonts(include_system_fonts=False, font_paths=[str(FONTS)])


def receipt_pdf(content: str, *, number: int, seal: str, issued: datetime) -> bytes:
    """The file. A mark that no font of ours has is told by its Unicode number, since the standards allow no gap."""
    content = re.sub(r"[\U00010000-\U0010FFFF]", _named, content)
    for _ in range(TRIES):
        try:
            return _compile(content, number, seal, issued, STANDARDS)
        except typst.TypstError as error:
            if (found := _UNSHOWN.search(str(error))) is None:
                raise
            unescaped = re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda code: chr(int(code[1], 16)), found[1])
            for mark in set(unescaped):
                content = content.replace(mark, _named(mark))
    return _compile(content, number, seal, issued, [])  # a wall of marks that nobody can read


def _compile(content: str, number: int, seal: str, issued: datetime, standards: Any) -> bytes:
    told = {
        "content": content,
        "number": str(number),
        "seal": seal,
        "issued": issued.astimezone(UTC).isoformat(),
        "verify": settings.SITE_URL + reverse("verify"),
        "policy": settings.SITE_URL + reverse("policy"),
    }
    made = typst.compile(
        str(TEMPLATE),
        format="pdf",
        sys_inputs=told,
        pdf_standards=standards,
        font_paths=_fonts(),
        timestamp=issued.replace(microsecond=0),  # as fine as a PDF tells it
    )
    assert isinstance(made, bytes)
    return made


def _named(mark: re.Match[str] | str) -> str:
    one = mark if isinstance(mark, str) else mark[0]
    return f"‹U+{ord(one):04X}›"

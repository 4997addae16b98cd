"""The receipt as a PDF that archives and screen readers can use (PDF/A-2b, PDF/UA-1), by Typst."""

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst
from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from messaging.wording import use_language

TEMPLATE = Path(__file__).with_name("receipt.typ")
FONTS = Path(__file__).with_name("fonts")
STANDARDS: Any = ["a-2b", "ua-1"]
_MISSING_GLYPH = re.compile(r'the text `"(.+?)"` could not be displayed', re.DOTALL)
# Controls and noncharacters; embeddings, overrides and isolates, which a receipt shows and does not follow; and what
# lies beyond the fonts
_NAMED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff\U00010000-\U0010ffff]"
)
TRIES = 25
LABELS = {
    "receipt": _("Receipt of a cancellation"),
    "receipt_number": _("Receipt {number} of {reference}"),
    "received": _("We received this declaration on {received}."),
    "declared": _("What was declared"),
    "account_number": _("Account number"),
    "username": _("Username"),
    "name": _("Name"),
    "email": _("E-mail address"),
    "kind": _("Kind"),
    "ordinary": _("cancellation"),
    "cooling_off": _("withdrawal within the cooling-off days"),
    "for_cause": _("cancellation for cause"),
    "cause": _("Reason for leaving at once"),
    "reason": _("Reason"),
    "words": _("In the customer’s words"),
    "requested_end": _("Requested end date"),
    "earliest": _("as early as possible"),
    "refund_reason": _("Asks for a refund"),
    "follows": _("What follows"),
    "not_found": _(
        "We did not find the contract automatically; our support team is looking for it. The time of receipt "
        "above counts, however long that takes."
    ),
    "at_once": _("{subscription} ends at once, at the time of receipt."),
    "ends": _("{subscription} ends on {ends}."),
    "end_is_open": _("When {subscription} ends is still open: the date in the message could not be read for certain."),
    "at_the_latest": _("{subscription} ends on {ends} at the latest; the reason for leaving at once is under review."),
    "rules": _("Version {version} of the cancellation policy applies:"),
    "seal": _("Seal"),
    "sealed": _(
        "This receipt is number {number}. Its seal covers all of the above, and the seal of the receipt before it:"
    ),
    "check": _("Anybody can check it, by this file or by reference and seal:"),
}


@cache
def _fonts() -> typst.Fonts:
    """Returns only the fonts of the project, so that every machine makes the same bytes."""
    return typst.Fonts(include_system_fonts=False, font_paths=[str(FONTS)])


def receipt_pdf(content: str, *, number: int, seal: str, issued: datetime) -> bytes:
    """Returns the PDF. A character without a glyph is replaced by its code point, as the standards demand glyphs."""
    content = json.dumps(_displayable(json.loads(content)), ensure_ascii=False)
    for _try in range(TRIES):
        try:
            return _compile(content, number, seal, issued, STANDARDS)
        except typst.TypstError as error:
            if (match := _MISSING_GLYPH.search(str(error))) is None:
                raise
            unescaped = re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda code: chr(int(code[1], 16)), match[1])
            for character in set(unescaped):
                content = content.replace(character, _by_code_point(character))
    return _compile(content, number, seal, issued, [])  # too many characters without a glyph: give up the standards


def _displayable(value: Any) -> Any:
    """Returns the value with its line ends as LF, and with the characters of _NAMED by their code points."""
    if isinstance(value, str):
        return _NAMED.sub(_by_code_point, re.sub("\r\n?|[\u2028\u2029]", "\n", value))
    if isinstance(value, dict):
        return {name: _displayable(item) for name, item in value.items()}
    return [_displayable(item) for item in value] if isinstance(value, list) else value


def _compile(content: str, number: int, seal: str, issued: datetime, standards: Any) -> bytes:
    with use_language(json.loads(content).get("language", "en")):
        labels = {name: str(words) for name, words in LABELS.items()}
    inputs = {
        "content": content,
        "labels": json.dumps(labels),
        "number": str(number),
        "seal": seal,
        "issued": issued.astimezone(UTC).isoformat(),
        "verify": settings.SITE_URL + reverse("verify"),
        "policy": settings.SITE_URL + reverse("policy"),
    }
    pdf = typst.compile(
        str(TEMPLATE),
        format="pdf",
        sys_inputs=inputs,
        pdf_standards=standards,
        font_paths=_fonts(),
        timestamp=issued.replace(microsecond=0),  # PDF dates have no fractions of a second
    )
    assert isinstance(pdf, bytes)
    return pdf


def _by_code_point(match: re.Match[str] | str) -> str:
    character = match if isinstance(match, str) else match[0]
    return f"‹U+{ord(character):04X}›"

"""The words of attached PDF files, for mails whose own words say little: many people send a letter that way.

Reading happens in a process that can be killed. A scan has no words.
"""

import io
import logging
from functools import partial

from pypdf import PdfReader

from messaging.confined import TooCostly, run_confined
from messaging.inbound.mime import Unreadable, parse

log = logging.getLogger(__name__)
SECONDS, MEGABYTES = 2.0, 200
MOST_FILES, MOST_PAGES, MOST_TEXT = 3, 5, 20_000  # characters


def is_pdf(name: str, media_type: str) -> bool:
    return media_type == "application/pdf" or name.lower().endswith(".pdf")


def words_in_pdfs(raw: bytes, *, whole: bool) -> str:
    """The text of the first pages of the first PDF files of a mail; empty if there is none, or it costs too much."""
    try:
        return run_confined(partial(words_here, whole=whole), raw, seconds=SECONDS, megabytes=MEGABYTES)
    except (TooCostly, Unreadable) as error:
        log.info("The PDF files of a mail are not read: %s", error)
        return ""


def words_here(raw: bytes, whole: bool) -> str:
    """Does the work of `words_in_pdfs` in this process."""
    files = [file for file in parse(raw, whole=whole, most=len(raw)).files if is_pdf(file.name, file.media_type)]
    texts = [_text_of(file.content) for file in files[:MOST_FILES]]
    return "\n\n".join(filter(None, texts))[:MOST_TEXT]


def _text_of(content: bytes) -> str:
    try:
        pages = PdfReader(io.BytesIO(content)).pages
        return "\n".join(pages[number].extract_text() for number in range(min(len(pages), MOST_PAGES))).strip()
    except Exception:  # hostile or damaged: it is for a person then
        return ""

"""A pseudo-locale: each translated text between marks, in a language that is written from right to left.

Whatever stands on a page outside the marks, and is no data, was never translated.
"""

import re
from pathlib import Path

from babel.messages.catalog import Catalog

from config.tools.catalogues import compiled, template_catalogue

CODE = "ar-xb"
OPEN, CLOSE = "⟦", "⟧"
_KEPT = re.compile(r"(%\(\w+\)s|\{\w+\}|<[^>]+>)")


def write(folder: Path) -> Path:
    """The catalogue of the pseudo-locale under the folder, for LOCALE_PATHS."""
    made = Catalog(locale="en", charset="utf-8", fuzzy=False)
    for message in template_catalogue():
        if message.id:
            plural = isinstance(message.id, tuple)
            made.add(message.id, tuple(map(_marked, message.id)) if plural else _marked(str(message.id)))
    path = folder / "ar_XB" / "LC_MESSAGES" / "django.mo"
    path.parent.mkdir(parents=True)
    path.write_bytes(compiled(made))
    return folder


def _marked(text: str) -> str:
    """Marks around each piece between figures and tags, so that what is filled in stands outside."""
    pieces = _KEPT.split(text)
    return "".join(
        piece if _KEPT.fullmatch(piece) or not piece.strip() else f"{OPEN}{piece}{CLOSE}" for piece in pieces
    )

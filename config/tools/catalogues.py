"""The translation catalogues (GNU gettext): collecting the texts to translate and updating the files.

Texts come from code, templates and the tables of sentences. Mails are not included: each language has its own
mail templates.
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation import template as django_template

from cancellations.rules import date_line, explanation, jurisdictions, reminders, statute

KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "npgettext": ((1, "c"), 2, 3),
    "pgettext": ((1, "c"), 2),
}
Text = str | tuple[str, ...]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def template_catalogue() -> Catalog:
    """All texts to translate, with their places in the source."""
    template = Catalog(charset="utf-8", fuzzy=False)
    for text, place in _texts():
        template.add(text, locations=[(place, 0)], flags=["python-format"] if "%(" in str(text) else [])
    return template


def load(language: str) -> Catalog:
    with _file(language, "po").open("rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> Catalog:
    """Updates the catalogue of a language with the texts of the source, and compiles it for Django."""
    path = _file(language, "po")
    path.parent.mkdir(parents=True, exist_ok=True)
    catalogue = load(language) if path.exists() else Catalog(locale=language, charset="utf-8", fuzzy=False)
    catalogue.header_comment = f"# The portal in {catalogue.locale.english_name}."
    catalogue.update(template_catalogue(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    buffer = io.BytesIO()
    write_po(buffer, catalogue, omit_header=False, sort_output=True, no_location=True, width=110)
    lines = buffer.getvalue().decode().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(VARYING)))
    _file(language, "mo").write_bytes(compiled(catalogue))
    return catalogue


VARYING = (
    '"POT-Creation-Date', '"PO-Revision-Date', '"Generated-By', '"Last-Translator', '"Language-Team',
    '"Project-Id-Version', '"Report-Msgid-Bugs-To',
)  # fmt: skip


def compiled(catalogue: Catalog) -> bytes:
    """The catalogue in the binary format (.mo). The same texts give the same bytes."""
    result = Catalog(locale=catalogue.locale, charset="utf-8", fuzzy=False, creation_date=EPOCH, revision_date=EPOCH)
    for message in sorted(catalogue, key=lambda message: str(message.id)):
        if message.id:
            result.add(message.id, message.string, context=message.context)
    buffer = io.BytesIO()
    write_mo(buffer, result)
    return buffer.getvalue()


def missing(catalogue: Catalog) -> list[str]:
    """The texts that are not translated, or whose translation has other placeholders or tags than the text."""
    texts = []
    for message in template_catalogue():
        if not message.id:
            continue
        entry = catalogue.get(message.id, message.context)
        strings = () if entry is None else entry.string if isinstance(entry.string, tuple | list) else (entry.string,)
        text = message.id[-1] if isinstance(message.id, tuple) else str(message.id)
        if not strings or any(not string or _placeholders(string) != _placeholders(text) for string in strings):
            texts.append(str(message.id))
    return texts


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s|\{\w+\}|<[^>]+>", text))


def translated_languages() -> list[str]:
    source = settings.LANGUAGE_CODE
    return [code for code, _ in settings.LANGUAGES if code != source]


def _texts() -> Iterator[tuple[Text, str]]:
    for path in sorted(_sources("*.py")):
        yield from _extracted(path.read_bytes(), path)
    for path in sorted((settings.BASE_DIR / "templates").rglob("*.*")):
        if path.suffix in (".html", ".txt") and "desk" not in path.parts and "local" not in path.parts:
            source = django_template.templatize(path.read_text(), origin=str(path))
            yield from _extracted("\n".join(line.strip() for line in source.splitlines()).encode(), path)
    for sentences in explanation.SENTENCES.values():
        yield sentences if len(sentences) > 1 else sentences[0], "cancellations/rules/explanation.py"
    for text in (
        *jurisdictions.texts(),
        *(rule.text for rule in statute.RULES),
        *(rule.statement.text for rule in reminders.RULES),
        *date_line.LABELS.values(),
    ):
        yield text, "cancellations"


def _extracted(source: bytes, path: Path) -> Iterator[tuple[Text, str]]:
    place = str(path.relative_to(settings.BASE_DIR))
    for _line, text, _comments, _context in extract("python", io.BytesIO(source), KEYWORDS):
        yield text if isinstance(text, str) else tuple(text), place


def _sources(pattern: str) -> Iterator[Path]:
    for app in ("accounts", "billing", "cancellations", "config", "messaging"):
        yield from (path for path in (settings.BASE_DIR / app).rglob(pattern) if "migrations" not in path.parts)


def _file(language: str, suffix: str) -> Path:
    return Path(settings.LOCALE_PATHS[0]) / language / "LC_MESSAGES" / f"django.{suffix}"

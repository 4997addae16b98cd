"""The glossary of docs/rules.md holds: its words exist where it says, and the words it bans are gone."""

import re
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

from config.tools import catalogues

BASE = settings.BASE_DIR
GLOSSARY = BASE / "docs" / "rules.md"
CODE = ("accounts", "billing", "cancellations", "config", "messaging")


def _glossary() -> str:
    return GLOSSARY.read_text().partition("\n## Glossary\n")[2]


def _tables(text: str) -> list[list[dict[str, str]]]:
    """The Markdown tables of a text, each row by the names of its columns."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines())
        tables.append([dict(zip(head, row, strict=True)) for row in rows])
    return tables


TABLES = _tables(_glossary())
BANNED = [row for table in TABLES for row in table if "not" in row]
TERMS = [row for table in TABLES for row in table if "word" in row]


@cache
def documents() -> dict[str, str]:
    """The documents by path, without the table of banned words and without the generated names of permissions."""
    paths = [*BASE.glob("*.md"), *(path for path in (BASE / "docs").rglob("*.md") if path.name != "permissions.md")]
    texts = {str(path.relative_to(BASE)): path.read_text() for path in paths}
    texts["docs/rules.md"] = GLOSSARY.read_text().partition("### Words that we do not use")[0]
    return texts


@cache
def templates() -> dict[str, str]:
    paths = [path for path in (BASE / "templates").rglob("*.*") if path.suffix in (".html", ".txt", ".md")]
    return {str(path.relative_to(BASE)): path.read_text() for path in paths}


@cache
def translatable() -> dict[str, str]:
    ids = [message.id for message in catalogues.template_catalogue() if message.id]
    return {text: text for each in ids for text in ([each] if isinstance(each, str) else each)}


def found(word: str, texts: dict[str, str]) -> list[str]:
    parts = r"\s+".join(re.escape(part) for part in word.split())
    pattern = re.compile(rf"\b{parts}\b", re.IGNORECASE)
    return [name for name, text in texts.items() if pattern.search(text)]


@pytest.mark.parametrize("row", BANNED, ids=lambda row: row["not"])
@pytest.mark.parametrize("texts", [documents, templates, translatable])
def test_a_banned_word_stands_nowhere(row, texts):
    places = found(row["not"], texts())
    assert places == [], f"Say “{row['but']}” instead of “{row['not']}”."


def test_a_banned_word_is_found_across_lines_and_not_inside_other_words():
    texts = {"page": "It was\na Wished\n  End.", "other": "unwished ends"}
    assert found("wished end", texts) == ["page"]


def _customer_texts(language: str) -> str:
    mails = " ".join(path.read_text() for path in (BASE / "templates" / "messages" / language).glob("*.md"))
    if language == "en":
        return f"{mails} {' '.join(translatable())}".casefold()
    strings = [message.string for message in catalogues.load(language) if message.id]
    flat = [text for each in strings for text in ([each] if isinstance(each, str) else each)]
    return f"{mails} {' '.join(flat)}".casefold()


@pytest.mark.parametrize(("column", "language"), [("on pages", "en"), ("German", "de"), ("French", "fr")])
def test_pages_and_mails_use_the_words_of_the_glossary(column, language):
    texts = _customer_texts(language)
    words = [word.strip() for row in TERMS if column in row for word in row[column].split(",")]
    assert len(words) > 40
    assert [word for word in words if word != "–" and word.casefold() not in texts] == []


def test_the_code_uses_the_words_of_the_glossary():
    paths = [path for app in CODE for path in (BASE / app).rglob("*.py") if "migrations" not in path.parts]
    source = "\n".join([text for path in paths for text in (path.stem, path.read_text())])
    names = [name for row in TERMS for name in re.findall(r"`([^`]+)`", row["in code"])]
    assert len(names) > 60
    missing = [name for name in names if not re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", source)]
    assert [name for name in missing if not Path(BASE / name).exists()] == []

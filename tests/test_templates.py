"""Templates, styles and scripts can be read: no line is too long, one element stands on a line where it nests, and in
mails each block tag stands on its own line."""

import re
from pathlib import Path

import pytest
from django.template import Engine

from config.desk.frame import PATCHES, Loader

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 160
FILES = [
    *sorted((ROOT / "templates").rglob("*.html")),
    *sorted((ROOT / "templates").rglob("*.txt")),
    *sorted((ROOT / "templates").rglob("*.md")),
    *sorted((ROOT / "static" / "css").glob("*.css")),
    *sorted((ROOT / "static" / "js").glob("*.js")),
]
MAILS = sorted((ROOT / "templates" / "messages").rglob("*.md"))
BLOCK_TAG = re.compile(r"\{%.*?%\}")
SENTENCE = re.compile(r"[^{}%]*(\{\{[^{}]*\}\}[^{}%]*)*")  # text, links in it and values, and no tag


def too_long(text: str) -> list[int]:
    """The numbers of lines that are too long. A sentence to translate may stand alone on its line."""
    numbers, translated = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\{%-? *blocktranslate", line):
            translated = True
        alone = translated and SENTENCE.fullmatch(line)
        one_tag = re.fullmatch(r"\s*\{% translate (\"[^\"]*\"|'[^']*') %\}", line)
        if len(line) > LONGEST and not alone and not one_tag:
            numbers.append(number)
        if "endblocktranslate" in line:
            translated = False
    return numbers


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_is_too_long(path):
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_the_check_finds_a_long_line_and_allows_a_sentence():
    sentence = "word " * 40
    assert too_long(f"<p>{sentence}</p>") == [1]
    assert too_long(f"{{% blocktranslate trimmed %}}\n  {sentence}\n{{% endblocktranslate %}}") == []
    assert too_long(f"{{% blocktranslate trimmed %}}\n  {sentence}{{% if x %}}\n{{% endblocktranslate %}}") == [2]
    assert too_long(f'  {{% translate "{sentence}" %}}') == []


@pytest.mark.parametrize("path", MAILS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_block_tag_of_a_mail_stands_alone_on_its_line(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if BLOCK_TAG.search(line) and not BLOCK_TAG.fullmatch(line.strip())] == []


@pytest.mark.parametrize("name", PATCHES)
def test_what_we_change_in_unfold_is_still_there(name):
    """After an upgrade of django-unfold, this says which change to revise."""
    loader = Loader(Engine.get_default())
    (origin,) = [origin for origin in loader.get_template_sources(name) if Path(origin.name).exists()][:1]
    contents = loader.get_contents(origin)
    assert all(new in contents for _, new in PATCHES[name])

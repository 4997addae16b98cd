"""Messages from one Markdown template each: the text part is the source, the HTML part its rendering."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

import nh3
from django.conf import settings
from django.template.loader import render_to_string, select_template
from django.utils.safestring import mark_safe
from django.utils.translation import get_language_bidi
from markdown_it import MarkdownIt

from messaging.wording import active_language

Value = Union[str, bool, None, Sequence["Value"], Mapping[str, "Value"]]  # noqa: UP007 - it names itself
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:/@])")


@dataclass(frozen=True)
class Rendered:
    subject: str
    text: str
    html: str


def markdown_to_html(source: str) -> str:
    """Sanitised HTML of Markdown; raw HTML in the source is shown as text."""
    return mark_safe(nh3.clean(_MARKDOWN.render(source)))


def render(kind: str, context: Mapping[str, Value]) -> Rendered:
    """Renders templates/messages/<language>/<kind>.md in the active language; its first line is the subject.

    Values are texts, or lists and tables of them. In the HTML part they are escaped, so that what a person
    typed cannot become markup or a link; only values named `…_url` are taken as they are.
    """
    brand = {"brand": settings.BRAND_NAME, "support_email": settings.SUPPORT_EMAIL, "site_url": settings.SITE_URL}
    plain, escaped = _table(context, str), _table(context, _escape)
    template = select_template([f"messages/{language}/{kind}.md" for language in (active_language(), "en")])
    subject, text = _split(template.render({**plain, **brand}))
    _, source = _split(template.render({**escaped, **brand}))
    body = markdown_to_html(source)
    frame = {"subject": subject, "body": body, "language": active_language(), "rtl": get_language_bidi(), **brand}
    html = render_to_string("messages/frame.html", frame)
    return Rendered(subject=subject, text=text, html=html)


def _split(source: str) -> tuple[str, str]:
    subject, _, body = source.strip().partition("\n")
    subject = " ".join(subject.removeprefix("Subject:").split())[:250]
    return subject, re.sub(r"\n{3,}", "\n\n", body.strip()) + "\n"


def _escape(words: str) -> str:
    """Markdown's own escape, which holds for every mark of punctuation (CommonMark 2.4)."""
    return _SPECIAL.sub(r"\\\1", words)


def _table(values: Mapping[str, Value], change: Callable[[str], str]) -> dict[str, Value]:
    return {name: _each(value, str if name.endswith("_url") else change) for name, value in values.items()}


def _each(value: Value, change: Callable[[str], str]) -> Value:
    # Marked as safe for Django's HTML escaping, which has no place in Markdown.
    if isinstance(value, str):
        return mark_safe(change(value))
    if isinstance(value, Mapping):
        return _table(value, change)
    if isinstance(value, Sequence):
        return [_each(item, change) for item in value]
    return value

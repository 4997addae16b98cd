"""Renders messages from Markdown templates. The text part is the Markdown source, the HTML part its rendering."""

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

from messaging.text import isolate, on_one_line, replace_unkeepable
from messaging.wording import active_language

Value = Union[str, bool, None, Sequence["Value"], Mapping[str, "Value"]]  # noqa: UP007 - recursive
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# Noncharacters that no text may hold (messaging/text.py) keep line ends and runs of spaces of values through Markdown
_LINE, _SPACE = "\ufdd0", "\ufdd1"
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:/@])")


@dataclass(frozen=True)
class Rendered:
    subject: str
    text: str
    html: str


def markdown_to_html(source: str) -> str:
    """Renders Markdown to sanitised HTML. Raw HTML in the source is shown as text."""
    return mark_safe(nh3.clean(_MARKDOWN.render(source)))


def render(kind: str, context: Mapping[str, Value]) -> Rendered:
    """Renders templates/messages/<language>/<kind>.md in the active language. Its first line is the subject.

    Values are strings, or lists and mappings of strings. In the HTML part they are escaped, so that typed text
    cannot become markup or a link; only values whose name ends in `_url` are not escaped. In both parts their lines and
    spaces stay as they are, and a direction mark in them turns nothing but themselves.
    """
    brand = {"brand": settings.BRAND_NAME, "support_email": settings.SUPPORT_EMAIL, "site_url": settings.SITE_URL}
    plain, escaped = _convert_all(context, _protect), _convert_all(context, _escape)
    template = select_template([f"messages/{language}/{kind}.md" for language in (active_language(), "en")])
    subject, text = _split(template.render({**plain, **brand}))
    _, source = _split(template.render({**escaped, **brand}))
    body = mark_safe(markdown_to_html(source).replace(_LINE, "<br>\n").replace(_SPACE, "&nbsp;"))
    frame = {"subject": subject, "body": body, "language": active_language(), "rtl": get_language_bidi(), **brand}
    html = render_to_string("messages/frame.html", frame)
    return Rendered(subject=subject, text=text.replace(_LINE, "\n"), html=html)


def _split(source: str) -> tuple[str, str]:
    subject, _, body = source.strip().partition("\n")
    subject = on_one_line(subject.removeprefix("Subject:").replace(_LINE, " "))[:250]
    return subject, re.sub(r"\n{3,}", "\n\n", body.strip()) + "\n"


def _protect(text: str) -> str:
    """Isolates the text, and protects its line ends from the layout of the template."""
    return isolate(replace_unkeepable(text)).replace("\n", _LINE)


def _escape(text: str) -> str:
    """Escapes Markdown's special characters with backslashes (CommonMark 2.4), and keeps lines and spaces."""
    escaped = _SPECIAL.sub(r"\\\1", _protect(text))
    return re.sub(f"(?<=[ {_LINE}]) |^ | $", _SPACE, escaped)


def _convert_all(values: Mapping[str, Value], convert: Callable[[str], str]) -> dict[str, Value]:
    return {name: _convert(value, str if name.endswith("_url") else convert) for name, value in values.items()}


def _convert(value: Value, convert: Callable[[str], str]) -> Value:
    # Marked as safe because the templates produce Markdown, where Django's HTML escaping would be wrong.
    if isinstance(value, str):
        return mark_safe(convert(value))
    if isinstance(value, Mapping):
        return _convert_all(value, convert)
    if isinstance(value, Sequence):
        return [_convert(item, convert) for item in value]
    return value

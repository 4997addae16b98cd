"""Renders messages from Markdown templates. The text part is the Markdown source, the HTML part its rendering.

A template may be laid out like code: a line that holds only block tags leaves nothing behind, spaces at the start of
a line do not count, and the lines of a paragraph are joined by spaces.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import punctuation
from typing import Union

import nh3
from django.conf import settings
from django.template import Context, Template
from django.template.loader import render_to_string, select_template
from django.utils.safestring import mark_safe
from django.utils.translation import get_language_bidi
from markdown_it import MarkdownIt

from messaging.text import isolate, on_one_line, replace_unkeepable
from messaging.wording import active_language

Value = Union[str, bool, None, Sequence["Value"], Mapping[str, "Value"]]  # noqa: UP007 - recursive
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# Noncharacters, which no text may hold (messaging/text.py), mark where a value begins and ends in a rendered template,
# and carry line ends and spaces of values through Markdown
_BEGIN, _END, _LINE, _SPACE = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
_BLOCKQUOTE = '<blockquote style="margin:16px 0;padding:0 16px;border-left:3px solid #999999">'
_VALUE = re.compile(f"{_BEGIN}(.*?){_END}", re.DOTALL)
_TAG = r"\{% (?:if|elif|else|endif|for|empty|endfor)[^%\n]*%\}"
_LINE_OF_TAGS = re.compile(rf"^((?:{_TAG}[ \t]*)+)\n", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
# The next line is neither empty nor one of a list, a quotation or a table
_SOFT_BREAK = re.compile(r"(?<=[^\n])\n(?!\n|[->] |\||\d+\. |$)")
_PUNCTUATION = re.compile(f"([{re.escape(punctuation)}])")


@dataclass(frozen=True)
class Rendered:
    subject: str
    text: str
    html: str


def markdown_to_html(source: str) -> str:
    """Renders Markdown to sanitised HTML. Raw HTML in the source is shown as text."""
    return mark_safe(nh3.clean(_MARKDOWN.render(source)))  # noqa: S308 - sanitised


def render(kind: str, context: Mapping[str, Value]) -> Rendered:
    """Renders templates/messages/<language>/<kind>.md in the active language. Its first line is the subject.

    Values are strings, or lists and mappings of strings. The template is rendered once and compares them as they are;
    both parts are made from its result. In the HTML part values are escaped, so that typed text cannot become markup
    or a link; only values whose name ends in `_url` are not escaped. In both parts their lines and spaces stay as
    they are, and a direction mark in them turns nothing but themselves.
    """
    brand = {"brand": settings.BRAND_NAME, "support_email": settings.SUPPORT_EMAIL, "site_url": settings.SITE_URL}
    subject, source = _split(_template(kind).render(Context(_mark_all({**context, **brand}))))
    body = markdown_to_html(_VALUE.sub(lambda value: _escape(value[1]), source))
    body = body.replace(_LINE, "<br>\n").replace(_SPACE, "&nbsp;").replace("<blockquote>", _BLOCKQUOTE)
    frame = {
        "subject": subject,
        "body": mark_safe(body),  # noqa: S308 - sanitised by markdown_to_html
        "language": active_language(),
        "rtl": get_language_bidi(),
        **brand,
    }
    html = render_to_string("messages/frame.html", frame)
    return Rendered(subject=subject, text=_VALUE.sub(lambda value: _restore(value[1]), source), html=html)


def _template(kind: str) -> Template:
    names = [f"messages/{language}/{kind}.md" for language in (active_language(), "en")]
    return _compile(select_template(names).template.source)


@cache
def _compile(source: str) -> Template:
    return Template(_LINE_OF_TAGS.sub(r"\1", _INDENT.sub("", source)))


class _MarkedValue(str):
    """A value that conditions of a template compare as it is, and that the template writes between marks."""

    __slots__ = ()

    def __html__(self) -> str:
        protected = isolate(replace_unkeepable(self)).replace("\n", _LINE)  # the layout must not join its lines
        return f"{_BEGIN}{protected}{_END}" if protected else ""


def _split(source: str) -> tuple[str, str]:
    """Returns the subject, and the body with its values between marks."""
    subject, _, body = source.strip().partition("\n")
    subject = _VALUE.sub(lambda value: value[1].replace(_LINE, " "), subject.removeprefix("Subject:"))
    body = re.sub(r"\n{3,}", "\n\n", _SOFT_BREAK.sub(" ", body.strip()))
    return on_one_line(subject)[:250], body + "\n"


def _restore(text: str) -> str:
    return text.replace(_LINE, "\n")


def _escape(text: str) -> str:
    """Escapes punctuation with backslashes (CommonMark 2.4), and keeps lines, tabs and spaces."""
    escaped = _PUNCTUATION.sub(r"\\\1", text.replace("\t", "    "))
    return re.sub(f"(?<=[ {_LINE}]) |^ | $", _SPACE, escaped)


def _mark_all(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: _mark(name, value) for name, value in values.items()}


def _mark(name: str, value: Value) -> Value:
    if isinstance(value, str):
        return mark_safe(value) if name.endswith("_url") else _MarkedValue(value)  # noqa: S308 - Markdown, not HTML
    if isinstance(value, Mapping):
        return _mark_all(value)
    if isinstance(value, Sequence):
        return [_mark("", item) for item in value]
    return value

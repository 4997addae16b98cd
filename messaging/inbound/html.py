"""HTML of mails: as text, and sanitised for the staff interface.

Parsers that follow the HTML standard take time by the square of the nesting, so the nesting is bounded before.
"""

import re
from html import escape, unescape
from urllib.parse import quote, urlsplit

import nh3
from inscriptis import get_text
from lxml.etree import LxmlError

MOST_HTML = 1_000_000  # characters, without comments, styles and scripts
MOST_VISIBLE = 250_000  # characters, without attributes that are never shown
MOST_AS_TEXT = 150_000  # characters of sanitised HTML
MOST_NESTING = 100  # elements
TAGS = {
    "a", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead",
    "tr", "u", "ul",
}  # fmt: skip
# Elements without an end tag, and elements whose next start tag ends them
NEVER_NESTED = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
    "dd", "dt", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr",
}  # fmt: skip
INLINE = {"a", "b", "code", "del", "em", "font", "i", "s", "small", "span", "strong", "sub", "sup", "u"}
NOT_SHOWN = (("<!--", "-->"), ("<style", "</style>"), ("<script", "</script>"))
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,30})[^<>]*>?")
LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)  # as nh3 writes it
MOST_TARGET = 300  # characters
ANY_TAG = re.compile(r"<[^<>]*>?")


def visible_html(html: str) -> tuple[str, bool]:
    """Returns HTML that is cheap to parse, and whether its end was cut off.

    Comments, styles, scripts and tags that are nested deeper than MOST_NESTING are left out. Hostile HTML can hide
    tags, such as in attributes: then the limits of the process hold.
    """
    for start, end in NOT_SHOWN:
        html = _without(html, start, end)
    flat = TAG.sub(_Nesting().kept, html[:MOST_HTML])
    return flat[:MOST_VISIBLE], len(html) > MOST_HTML or len(flat) > MOST_VISIBLE


def safe_html(visible: str) -> str:
    """Sanitises HTML: no scripts, styles or images, and nothing loaded from other servers."""
    return nh3.clean(
        visible,
        tags=TAGS,
        clean_content_tags={"script", "style", "title", "head", "template", "noscript", "iframe", "object"},
        attributes={"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def show_targets(safe: str) -> str:
    """Returns sanitised HTML in which each link whose text is not its address is followed by where it leads."""
    return LINK.sub(lambda match: match[0] + _target_shown(unescape(match[1]), match[2]), safe)


def _target_shown(target: str, content: str) -> str:
    shown_text = "".join(unescape(ANY_TAG.sub("", content)).split())
    if shown_text == target:
        return ""
    address = quote(target, safe="%/:?#[]@!$&'()*+,;=~")  # also invisible characters and direction marks are seen
    host = _host(target)
    place = f"<strong>{escape(host)}</strong>: " if host else ""
    return f" <span>(leads to {place}{escape(address[:MOST_TARGET])}{'…' if len(address) > MOST_TARGET else ''})</span>"


def _host(target: str) -> str:
    """Returns the host as browsers look it up, so that letters of other alphabets are seen; empty if there is none."""
    try:
        host = urlsplit(target).hostname or ""
        return host.encode("idna").decode()
    except ValueError:  # UnicodeError is one
        return "an address that cannot be read"


def text_of(safe: str) -> str:
    """Returns the text of sanitised HTML with line breaks where a browser would show them."""
    try:
        text = get_text(safe[:MOST_AS_TEXT]) if safe.strip() else ""
    except (LxmlError, RecursionError, ValueError, AssertionError):
        text = ""
    return text if text.strip() else nh3.clean(safe, tags=set())


def rough_text_of(html: str) -> str:
    """Returns HTML without its tags, where no parser copes with it."""
    for start, end in NOT_SHOWN:
        html = _without(html, start, end)
    return unescape(ANY_TAG.sub(" ", html[:MOST_HTML]))


def _without(html: str, start: str, end: str) -> str:
    """Looks at each character once, also if an end is missing."""
    lower, kept, position = html.lower(), [], 0
    if len(lower) != len(html):  # some characters have longer small letters
        return html
    while (begin := lower.find(start, position)) >= 0 and (stop := lower.find(end, begin)) >= 0:
        kept.append(html[position:begin])
        position = stop + len(end)
    return "".join([*kept, html[position:]])


class _Nesting:
    """The elements that are open at a point of the HTML."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._left_out: dict[str, int] = {}
        self._last_break = -1

    def kept(self, tag: re.Match[str]) -> str:
        """Returns the tag, or what stands in its place."""
        name = tag[2].lower()
        if name in NEVER_NESTED:
            is_kept = not any(self._left_out.values())
        else:
            is_kept = self._end(name) if tag[1] else self._start(name)
        if is_kept:
            return _without_attributes(tag, name)
        is_beside_break, self._last_break = tag.start() == self._last_break, tag.end()
        return "" if name in INLINE or is_beside_break else "<br>"

    def _start(self, name: str) -> bool:
        if len(self._open) < MOST_NESTING:
            self._open.append(name)
            return True
        self._left_out[name] = self._left_out.get(name, 0) + 1
        return False

    def _end(self, name: str) -> bool:
        if self._left_out.get(name):
            self._left_out[name] -= 1
            return False
        if name not in self._open:
            return False
        while self._open.pop() != name:
            pass
        return True


def _without_attributes(tag: re.Match[str], name: str) -> str:
    is_shown = name == "a" or (name in ("td", "th") and "span" in tag[0])
    is_whole = tag[0].endswith(">") and tag[0].count('"') % 2 == 0 and tag[0].count("'") % 2 == 0
    return tag[0] if is_shown or not is_whole else f"<{tag[1]}{name}>"

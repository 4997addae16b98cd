"""The rule for text from people: which characters it may hold, and how it is shown. Pure: no framework, no clock.

Words stay as they were sent. What PostgreSQL, XML 1.0 or JSON cannot hold is not kept: control characters except tab
and line feed, lone surrogates and noncharacters. Each entrance either refuses such text (`check_text`) or keeps
U+FFFD in its place (`replace_unkeepable`). Direction marks are part of the words: they are kept, and isolated where
they are shown (`isolate`), so that they turn nothing but the words themselves.
"""

import re
import unicodedata

REPLACEMENT = "\ufffd"
FSI, PDI = "\u2068", "\u2069"  # first strong isolate, pop directional isolate (UAX #9)
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_UNKEEPABLE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_NONCHARACTERS}]")
_LINE_ENDS = re.compile("\r\n?")
_LINE_BREAKS = re.compile("(\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029])")  # where str.splitlines breaks
_DIRECTION_MARKS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNLOGGABLE = re.compile(
    f"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff{_NONCHARACTERS}]"
)
# A cell is read as a formula if it starts with one of these (OWASP, "CSV Injection"), after spaces and invisible marks
_FORMULA = re.compile("[\\s\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\\-@\t\r\n＝＋－＠]")
_LINK = re.compile(r"://|www\.|@|^\W*(?:mailto|tel|sms|javascript|data):|[^\s.][.\u3002\uff0e\uff61][^\W\d_]{2}", re.I)
_OPENING, _TURNING = (
    {"LRI", "RLI", "FSI"},
    {"R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"},
)


class UnkeepableText(ValueError):
    """The text holds a character that cannot be kept; the message names it."""


def is_keepable(text: str) -> bool:
    """Whether all characters of the text can be kept as they are."""
    return not find_unkeepable(text)


def find_unkeepable(text: str) -> str:
    """Returns the first character of the text that cannot be kept; empty if there is none."""
    match = _UNKEEPABLE.search(unify_line_ends(text))
    return match[0] if match else ""


def check_text(text: str) -> str:
    """Returns the text with its line ends as LF. Raises UnkeepableText if it holds a character that cannot be kept."""
    if unkeepable := find_unkeepable(text):
        raise UnkeepableText(f"Remove the character U+{ord(unkeepable):04X}: it cannot be kept.")
    return unify_line_ends(text)


def replace_unkeepable(text: str) -> str:
    """Returns the text with its line ends as LF and U+FFFD in place of each character that cannot be kept."""
    return _UNKEEPABLE.sub(REPLACEMENT, unify_line_ends(text))


def unify_line_ends(text: str) -> str:
    """Returns the text with CRLF and CR as LF."""
    return _LINE_ENDS.sub("\n", text) if "\r" in text else text


def isolate(text: str) -> str:
    """Returns the text so that its direction ends where it ends: each line between FSI and PDI (UAX #9, 3.1.2).

    Lines that are written from left to right and hold no direction mark stay as they are.
    """
    if text.isascii():
        return text
    return "".join(part if _LINE_BREAKS.fullmatch(part) else _isolate_line(part) for part in _LINE_BREAKS.split(text))


def isolate_marks(text: str) -> str:
    """Returns the text isolated if it holds direction marks. Other text stays as it is: for data that is read again."""
    return isolate(text) if _DIRECTION_MARKS.search(text) else text


def remove_direction_marks(text: str) -> str:
    """Returns the text without direction marks, for what is compared or read by machines, such as names of files."""
    return _DIRECTION_MARKS.sub("", text)


def on_one_line(text: str) -> str:
    """Returns the text on one line for headers, subjects and titles: white space is one space, nothing unkeepable."""
    return " ".join(replace_unkeepable(_LINE_BREAKS.sub(" ", text)).split())


def escape_formula(cell: str) -> str:
    """Returns the cell of a CSV file, with an apostrophe in front if a spreadsheet would read it as a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def without_links(text: str, instead: str) -> str:
    """Returns the text on one line with `instead` in place of each word that a mail program may turn into a link.

    These are addresses of the web and of e-mail: with a scheme, with «www.» or «@», or with a dot before letters, as
    in a domain. The dots are those that browsers take for one (UTS #46, 4).
    """
    return " ".join(instead if _LINK.search(word) else word for word in on_one_line(text).split(" "))


def shorten(text: str, length: int) -> str:
    """Returns the text with at most so many characters, the last of which is «…» if anything was cut off."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def escape_for_log(text: str) -> str:
    """Returns the text so that it cannot end its line in a log, colour a terminal or turn the line round."""
    return _UNLOGGABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _isolate_line(line: str) -> str:
    if all(
        unicodedata.bidirectional(character) not in _TURNING and not _DIRECTION_MARKS.match(character)
        for character in line
    ):
        return line
    kept, depth = [], 0
    for character in line:
        kind = unicodedata.bidirectional(character)
        if kind == "PDI" and depth == 0:
            continue  # it would end our own isolate
        depth += (kind in _OPENING) - (kind == "PDI")
        kept.append(character)
    return FSI + "".join(kept) + PDI * (depth + 1)

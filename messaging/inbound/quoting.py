"""Finds what a sender wrote: the text without quoted and forwarded mail, as common mail programs mark it."""

import re
from collections.abc import Iterator

QUOTE_STARTS = re.compile(
    r"^\s*(?:[-_]{2,}\s*)?(?:original message|original-nachricht|urspr(?:ü|ue)ngliche nachricht|message d.origine"
    r"|message original|forwarded message|weitergeleitete nachricht|message transf[ée]r[ée]|begin forwarded message"
    r"|anfang der weitergeleiteten nachricht|d[ée]but du message (?:transf[ée]r[ée]|r[ée]exp[ée]di[ée])"
    r"|reply (?:above|below) this line)(?:\s*[-_]{2,})?\s*:?\s*$",
    re.IGNORECASE,
)
FORWARD_STARTS = re.compile(r"forwarded|weitergeleitet|transf[ée]r|r[ée]exp[ée]di", re.IGNORECASE)
WROTE = re.compile(
    r"^\s*(?:on\b.{5,300}\bwrote|am\b.{5,300}\bschrieb\b.{0,200}|.{5,200}\bschrieb am\b.{5,100}"
    r"|le\b.{5,300}\ba [ée]crit|.{0,200}<[^<>\s]{3,200}>\s*(?:wrote|schrieb|a [ée]crit)\b.{0,80})\s*:\s*$",
    re.IGNORECASE,
)
WROTE_BEGINS = re.compile(r"^\s*(?:on|am|le)\b.{5,}", re.IGNORECASE)
FIRST_FIELD = re.compile(r"^\s*\*?(?:from|von|de|gesendet|sent)\s?\*?\s?:\*?\s", re.IGNORECASE)
OTHER_FIELD = re.compile(
    r"^\s*\*?(?:sent|date|to|subject|gesendet|datum|an|betreff|envoy[ée]|date|[àa]|objet|von|cc)\s?\*?\s?:\*?\s",
    re.IGNORECASE,
)
RULE = re.compile(r"^\s*[_-]{20,}\s*$")


def own_words(text: str) -> tuple[str, bool]:
    """Returns (the sender's text without quoted mail and signature, whether a mail is forwarded below it).

    The text stays as it was written, with its white space. One empty line stands for what is left out between.
    Works line by line, in linear time: the regular expressions over the whole text that libraries use could be kept
    busy for hours by a hostile mail.
    """
    lines = [line[:2000] for line in text.split("\n")]
    own_lines: list[str] = []
    is_forward, was_quoted, skipped_to = False, False, 0
    for number, line in enumerate(lines):
        if number < skipped_to:
            continue
        if _quote_starts(lines, number):
            if marked := _first_marked(lines, number):  # the sender may have written below or between the quotations
                skipped_to = marked
                _drop_empty_end(own_lines)
                continue
            heading = "\n".join(lines[number : number + 2])
            is_forward = bool(QUOTE_STARTS.match(line) and FORWARD_STARTS.search(heading))
            _drop_empty_end(own_lines)
            break
        if line.rstrip() == "--":
            _drop_empty_end(own_lines)
            break
        is_quoted = line.lstrip().startswith(">")
        if is_quoted:
            _drop_empty_end(own_lines)
        elif line.strip() or not was_quoted:
            own_lines += ["", line] if was_quoted and own_lines else [line]
        was_quoted = is_quoted or (was_quoted and not line.strip())
    if was_quoted:
        _drop_empty_end(own_lines)
    return "\n".join(own_lines), is_forward


def _drop_empty_end(lines: list[str]) -> None:
    while lines and not lines[-1].strip():
        lines.pop()


def _first_marked(lines: list[str], number: int) -> int:
    """Returns the number of the first line marked with «>» after a line that announces a quotation; 0 if none is."""
    for following in range(number + 1, min(number + 6, len(lines))):
        line = lines[following].strip()
        if line.startswith(">"):
            return following
        if line and not line.endswith(":") and not line.startswith("<"):
            return 0
    return 0


def _quote_starts(lines: list[str], number: int) -> bool:
    line = lines[number]
    following = lines[number + 1 : number + 6]
    if QUOTE_STARTS.match(line) or WROTE.match(line):
        return True
    if WROTE_BEGINS.match(line) and not line.rstrip().endswith((".", "!", "?")):  # broken over two or three lines
        joined = line
        for next_line in following[:2]:
            joined = f"{joined} {next_line}"
            if next_line.rstrip().endswith(":"):
                return bool(WROTE.match(joined[:700]))
    if FIRST_FIELD.match(line) or RULE.match(line):
        block = list(_nearest(following, 4))
        return sum(bool(OTHER_FIELD.match(field) or FIRST_FIELD.match(field)) for field in block) >= 2
    return False


def _nearest(lines: list[str], count: int) -> Iterator[str]:
    yield from [line for line in lines if line.strip()][:count]

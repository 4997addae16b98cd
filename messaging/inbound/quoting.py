"""What a sender wrote, without what is quoted or forwarded below it: as the well-known mail programs do that."""

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
    """(what the sender wrote, whether something is forwarded below it), without quoted mail and signature.

    Line by line, in time that grows with the length: an expression that looks back and forth over the whole text,
    as libraries for this have it, could be held for hours by a mail made to do so.
    """
    lines = [line[:2000] for line in text.split("\n")]
    kept: list[str] = []
    forwarded, skipped_to = False, 0
    for number, line in enumerate(lines):
        if number < skipped_to:
            continue
        if _quote_starts(lines, number):
            if marked := _first_marked(lines, number):  # the answer may stand below, or between
                skipped_to = marked
                continue
            told = "\n".join(lines[number : number + 2])
            forwarded = bool(QUOTE_STARTS.match(line) and FORWARD_STARTS.search(told))
            break
        if line.rstrip() == "--" or (line == "-- "):
            break
        if not line.lstrip().startswith(">"):
            kept.append(line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), forwarded


def _first_marked(lines: list[str], number: int) -> int:
    """The line with which a quotation marked by «>» begins, if one follows the line that announces it; else 0."""
    for behind in range(number + 1, min(number + 6, len(lines))):
        line = lines[behind].strip()
        if line.startswith(">"):
            return behind
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
        for more in following[:2]:
            joined = f"{joined} {more}"
            if more.rstrip().endswith(":"):
                return bool(WROTE.match(joined[:700]))
    if FIRST_FIELD.match(line) or RULE.match(line):
        block = list(_nearest(following, 4))
        return sum(bool(OTHER_FIELD.match(one) or FIRST_FIELD.match(one)) for one in block) >= 2
    return False


def _nearest(lines: list[str], count: int) -> Iterator[str]:
    yield from [one for one in lines if one.strip()][:count]

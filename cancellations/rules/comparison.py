"""What changed between two policy texts, word by word, and between their figures. Pure: no Django, no clock."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "added", "removed"]
HEADING = re.compile(r"^#{1,6}\s")


@dataclass(frozen=True)
class Piece:
    """A run of words, with its spaces, that is in both texts or only in one."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Block:
    """A heading or paragraph, as pieces in reading order."""

    is_heading: bool
    pieces: tuple[Piece, ...]

    @property
    def changed(self) -> bool:
        return any(piece.kind != "same" for piece in self.pieces)


@dataclass(frozen=True)
class Figure:
    name: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def compare_texts(before: str, after: str) -> tuple[Block, ...]:
    """Returns the paragraphs of both texts in reading order. Similar ones are compared word by word."""
    old, new = _paragraphs(before), _paragraphs(after)
    blocks: list[Block] = []
    for first, second in _aligned(old, new):
        source = first if first is not None else second or ""
        blocks.append(Block(bool(HEADING.match(source)), _pieces(first, second)))
    return tuple(blocks)


def compare_figures(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Figure, ...]:
    """Returns each figure of either version. A missing value is empty."""
    names = list(dict.fromkeys([*before, *after]))
    return tuple(Figure(name, before.get(name, ""), after.get(name, "")) for name in names)


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _aligned(old: list[str], new: list[str]) -> list[tuple[str | None, str | None]]:
    """Pairs equal paragraphs, and the paragraphs between them by similarity, in order."""
    pairs: list[tuple[str | None, str | None]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += zip(old[a:b], new[c:d], strict=True)
        else:
            pairs += _by_similarity(old[a:b], new[c:d])
    return pairs


def _by_similarity(old: list[str], new: list[str]) -> list[tuple[str | None, str | None]]:
    pairs: list[tuple[str | None, str | None]] = []
    rest = list(new)
    for paragraph in old:
        match = next((n for n, other in enumerate(rest) if _are_similar(paragraph, other)), None)
        if match is None:
            pairs.append((paragraph, None))
            continue
        pairs += [(None, other) for other in rest[:match]]
        pairs.append((paragraph, rest[match]))
        rest = rest[match + 1 :]
    return pairs + [(None, other) for other in rest]


def _are_similar(first: str, second: str) -> bool:
    return SequenceMatcher(None, first.split(), second.split(), autojunk=False).ratio() > 0.5


def _pieces(before: str | None, after: str | None) -> tuple[Piece, ...]:
    old, new = _words(before), _words(after)
    pieces: list[Piece] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(old[a:b])))
            continue
        if b > a:
            pieces.append(Piece("removed", "".join(old[a:b])))
        if d > c:
            pieces.append(Piece("added", "".join(new[c:d])))
    return tuple(pieces)


def _words(paragraph: str | None) -> list[str]:
    """Words and the spaces between them, without Markdown's heading and emphasis marks."""
    plain = re.sub(r"(\*\*|__|`)", "", HEADING.sub("", paragraph or ""))
    return re.findall(r"\s+|[^\s]+", " ".join(plain.split()))

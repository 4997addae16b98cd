"""Reading the files of a CRM export row by row (docs/import.md). Does not use the database.

A file is read twice: once to check all of it before anything is written, and once to import it. What is wrong with
one row is the row's matter (rows.py); what makes the rows after it unreliable refuses the file.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

MOST_CHARACTERS = 1_000_000  # of a row: a row of the export has some hundred, a file with a missing quote is one row
_UNDECODABLE = re.compile("[\udc80-\udcff]")  # where `surrogateescape` puts bytes that are not UTF-8


class FileRefused(Exception):
    """A file of the export cannot be read to its end. The message says where, and what to correct."""


@dataclass
class Line:
    """A row with the number of its first line, its cells by column, and why it is malformed; empty if it is not."""

    number: int
    row: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    parent_key: str = ""
    malformed: str = ""


def check_file(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> int:
    """Reads the whole file and returns how many rows it has, without the header. Raises FileRefused."""
    with _opened(path) as (header, rows):
        if missing := [name for name in columns if name not in header]:
            raise FileRefused(f"{path} lacks the columns {', '.join(missing)}. The columns are separated by commas.")
        if repeated := [name for name in (*columns, *optional) if Counter(header)[name] > 1]:
            raise FileRefused(f"{path} has the columns {', '.join(repeated)} more than once. Keep one of each.")
        return sum(1 for _ in rows)


def read_file(path: Path) -> Iterator[Line]:
    """Yields the rows of the file. Raises FileRefused if it changed since it was checked."""
    with _opened(path) as (header, rows):
        for number, cells in rows:
            line = Line(number, dict(zip(header, cells, strict=False)))
            if len(cells) != len(header):
                line.malformed = (
                    f"the row has {len(cells)} cells, the header {len(header)}; look for a missing quote or comma"
                )
            yield line


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """The header of the file and its other rows, each with the number of its first line. Empty rows are left out."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as handle, _large_cells():
            rows = _rows(path, handle)
            _, header = next(rows, (1, []))
            if not header:
                raise FileRefused(f"{path} is empty. Its first line needs the column names.")
            if "\x00" in header[0]:
                raise FileRefused(f"{path} is not UTF-8 but probably UTF-16. Export it again as UTF-8.")
            yield header, rows
    except FileNotFoundError:
        raise FileRefused(f"{path} is missing.") from None
    except OSError as error:
        raise FileRefused(f"{path} cannot be read: {error}.") from None


@contextmanager
def _large_cells() -> Iterator[None]:
    """Lets a cell be as long as a row may be: its own column says how long it may be, and rejects only the row."""
    before = csv.field_size_limit(MOST_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _rows(path: Path, handle: TextIO) -> Iterator[tuple[int, list[str]]]:
    text = _Text(handle)
    reader = csv.reader(iter(text.read_line, ""))
    header: list[str] = []
    while True:
        number = text.start_row()
        try:
            cells = next(reader, None)
        except (csv.Error, _TooLong):
            raise FileRefused(
                f"{path}, line {number}: the row is longer than {MOST_CHARACTERS:,} characters. "
                "Look for a missing quote or line end in it."
            ) from None
        if cells is None:
            return
        if text.has_undecodable:
            raise FileRefused(f"{path}, line {number}, {_undecodable(header, cells)}. Export the file again as UTF-8.")
        header = header or cells
        if cells:
            yield number, cells


class _TooLong(ValueError):
    """The row has too many characters."""


class _Text:
    """Reads the lines of a file, and no more than a row may have into memory."""

    def __init__(self, handle: TextIO) -> None:
        self._read: Callable[[int], str] = handle.readline
        self._characters = self._lines = 0
        self.has_undecodable = False

    def start_row(self) -> int:
        """Starts to count the characters of a row; returns the number of its first line."""
        self._characters = 0
        return self._lines + 1

    def read_line(self) -> str:
        """Returns the next line, empty at the end. Raises _TooLong if its row gets too long with it."""
        line = self._read(MOST_CHARACTERS + 1)
        self._lines += 1
        self._characters += len(line)
        if self._characters > MOST_CHARACTERS:
            raise _TooLong
        if not line.isascii() and _UNDECODABLE.search(line):
            self.has_undecodable = True
        return line


def _undecodable(header: Sequence[str], cells: Sequence[str]) -> str:
    """Says which column holds which byte that is not UTF-8."""
    for place, cell in enumerate(cells):
        if match := _UNDECODABLE.search(cell):
            name = header[place] if place < len(header) else str(place + 1)
            return f"column {name}: the byte 0x{ord(match[0]) - 0xDC00:02X} is not UTF-8"
    return "is not UTF-8"

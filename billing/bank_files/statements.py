"""Reading the bank's files: camt.053, camt.054, pain.002, MT940 and CSV, also several of them in a ZIP archive.

A file is read in a process that can be killed, because what a bank's file holds was partly written by strangers.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from moneyed.classes import CurrencyDoesNotExist

from billing.bank_files.bookings import Booking, UnreadableFile, money
from billing.bank_files.iso20022 import read_xml
from billing.bank_files.mt940_files import is_mt940, read_mt940
from messaging.confined import TooCostly, run_confined

__all__ = ["MAX_BYTES", "READ_COLUMNS", "Booking", "UnreadableFile", "read", "read_here"]

READ_COLUMNS = ("reference", "amount", "currency", "paid_on", "bank_reference")
MAX_BYTES = 10_000_000  # also of what an archive holds
MAX_FILES = 100  # in an archive
MAX_BOOKINGS = 20_000
SECONDS, MEGABYTES = 3.0, 300


def read(content: bytes, *, zone: str = "UTC") -> list[Booking]:
    """The bookings and answers of a file, in its order; instants become days in the zone. Raises UnreadableFile."""
    _check_size(len(content))
    try:
        return run_confined(partial(read_here, zone=zone), content, seconds=SECONDS, megabytes=MEGABYTES)
    except TooCostly as error:
        raise UnreadableFile("The file cannot be read: it is too large or nested too deeply. Split it.") from error


def read_here(content: bytes, zone: str = "UTC") -> list[Booking]:
    """Does the work of `read` in this process."""
    bookings = [booking for part in _unpacked(content) for booking in _read(part, ZoneInfo(zone))]
    if len(bookings) > MAX_BOOKINGS:
        raise UnreadableFile(f"The file holds more than {MAX_BOOKINGS:,} transfers. Split it.")
    return bookings


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise UnreadableFile(f"The file is larger than {MAX_BYTES // 1_000_000} MB. Split it.")


def _unpacked(content: bytes) -> Iterator[bytes]:
    """The files of a ZIP archive by their names; what is no archive is one file."""
    if not content.startswith(b"PK\x03\x04"):
        yield content
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = sorted((one for one in archive.infolist() if not one.is_dir()), key=lambda one: one.filename)
            _check_size(sum(one.file_size for one in entries))
            if len(entries) > MAX_FILES:
                raise UnreadableFile(f"The archive holds more than {MAX_FILES} files. Split it.")
            for entry in entries:
                with archive.open(entry) as file:
                    yield file.read(MAX_BYTES)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
        raise UnreadableFile("The ZIP archive cannot be opened. Is it encrypted or damaged?") from error


def _read(content: bytes, zone: ZoneInfo) -> list[Booking]:
    content = content.lstrip(b" \r\n\t")  # an XML declaration may stand on the first line only
    if _is_utf_16(content):
        content = _in_utf_8(content)
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return read_xml(content.removeprefix(b"\xef\xbb\xbf").lstrip(), zone)
    text = _decoded(content)
    return read_mt940(text) if is_mt940(text) else list(_read_csv(text))


def _is_utf_16(content: bytes) -> bool:
    return content.startswith((b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<"))


def _in_utf_8(content: bytes) -> bytes:
    """The same text in UTF-8, without a declaration that says otherwise."""
    order = {b"<\x00": "utf-16-le", b"\x00<": "utf-16-be"}.get(content[:2], "utf-16")
    try:
        text = content.decode(order).lstrip()
    except UnicodeDecodeError as error:
        raise UnreadableFile("The file is damaged: it starts as UTF-16, and goes on otherwise.") from error
    if text.startswith("<?xml"):
        text = text.partition("?>")[2]
    return text.encode()


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = content.decode("cp1252", "replace")
        if is_mt940(text):  # older programs write it so, and our references are ASCII
            return text
        raise UnreadableFile("This is neither XML nor MT940 nor CSV in UTF-8. Save it as UTF-8.") from error


def _read_csv(text: str) -> Iterator[Booking]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := [name for name in READ_COLUMNS if name not in (reader.fieldnames or ())]:
            raise UnreadableFile(f"The column {missing[0]} is missing. The first line needs {', '.join(READ_COLUMNS)}.")
        for number, row in enumerate(reader, 2):
            yield _booking_of_row(number, row)
    except csv.Error as error:
        raise UnreadableFile(f"This is not valid CSV: {error}.") from error


def _booking_of_row(number: int, row: dict[str, Any]) -> Booking:
    cells = {name: (row.get(name) or "").strip() for name in (*READ_COLUMNS, "rejected", "returned")}
    did_not_arrive = cells["rejected"] or cells["returned"]
    try:
        amount = money(cells["amount"], cells["currency"].upper())
        booked_on = date.fromisoformat(cells["paid_on"]) if cells["paid_on"] or not did_not_arrive else None
    except (CurrencyDoesNotExist, ValueError) as error:
        raise UnreadableFile(
            f"Line {number}: write the amount like 12.50, the currency like EUR and the day like 2026-01-31."
        ) from error
    reference, bank_reference = cells["reference"], cells["bank_reference"]
    return Booking(reference, amount, booked_on, bank_reference, rejected=cells["rejected"], returned=cells["returned"])

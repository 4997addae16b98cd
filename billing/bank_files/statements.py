"""Reading the bank's files: statements and notifications (camt.053, camt.054), rejections (pain.002), and CSV.

A file is read in a process that can be killed, because what a bank's file holds was partly written by strangers.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from moneyed import Money
from moneyed.classes import CurrencyDoesNotExist

from messaging.confined import TooCostly, run_confined

READ_COLUMNS = ("reference", "amount", "currency", "paid_on", "bank_reference")
REPORTS = ("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn", "CstmrPmtStsRpt")
MAX_BYTES = 10_000_000
MAX_BOOKINGS = 20_000
MAX_DEPTH = 40  # elements; camt.053 nests about 15
SECONDS, MEGABYTES = 3.0, 300
AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,5})?", re.ASCII)  # ISO 20022: 18 digits, 5 of them decimals


class UnreadableFile(Exception):
    """The file cannot be read. The message says what is wrong with it."""


@dataclass(frozen=True)
class Booking:
    """A booking or a rejection of one transfer; `rejected` is the reason if it did not go through."""

    reference: str
    amount: Money | None
    booked_on: date | None
    bank_reference: str
    rejected: str = ""


def read(content: bytes) -> list[Booking]:
    """The bookings and rejections of a file, in its order. Raises UnreadableFile."""
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"The file is larger than {MAX_BYTES // 1_000_000} MB. Split it.")
    try:
        return run_confined(read_here, content, seconds=SECONDS, megabytes=MEGABYTES)
    except TooCostly as error:
        raise UnreadableFile("The file cannot be read: it is too large or nested too deeply. Split it.") from error


def read_here(content: bytes) -> list[Booking]:
    """Does the work of `read` in this process."""
    bookings = _read(content)
    if len(bookings) > MAX_BOOKINGS:
        raise UnreadableFile(f"The file holds more than {MAX_BOOKINGS:,} transfers. Split it.")
    return bookings


def _read(content: bytes) -> list[Booking]:
    if content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return _read_xml(content)
    return list(_read_csv(content))


def _read_csv(content: bytes) -> Iterator[Booking]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile("This is neither XML nor CSV in UTF-8. Save it as UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := [name for name in READ_COLUMNS if name not in (reader.fieldnames or ())]:
            raise UnreadableFile(f"The column {missing[0]} is missing. The first line needs {', '.join(READ_COLUMNS)}.")
        for number, row in enumerate(reader, 2):
            yield _booking_of_row(number, row)
    except csv.Error as error:
        raise UnreadableFile(f"This is not valid CSV: {error}.") from error


def _booking_of_row(number: int, row: dict[str, Any]) -> Booking:
    cells = {name: (row.get(name) or "").strip() for name in (*READ_COLUMNS, "rejected")}
    try:
        amount = _money(cells["amount"], cells["currency"].upper())
        booked_on = date.fromisoformat(cells["paid_on"]) if cells["paid_on"] or not cells["rejected"] else None
    except (CurrencyDoesNotExist, ValueError) as error:
        raise UnreadableFile(
            f"Line {number}: write the amount like 12.50, the currency like EUR and the day like 2026-01-31."
        ) from error
    return Booking(cells["reference"], amount, booked_on, cells["bank_reference"], cells["rejected"])


def _read_xml(content: bytes) -> list[Booking]:
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise UnreadableFile("This is not valid XML.") from error
    _check_depth(root)
    bookings = [*_entries(root), *_rejections(root)]
    if not bookings and not any(_name(part) in REPORTS for part in root):
        raise UnreadableFile("This XML is not camt.053, camt.054 or pain.002.")
    return bookings


def _check_depth(root: Element) -> None:
    """The time of reading grows with the depth, and a real file is not deep."""
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise UnreadableFile(f"The file cannot be read: its elements are nested more than {MAX_DEPTH} deep.")


def _entries(root: Element) -> Iterator[Booking]:
    """camt.053 and camt.054: debits from our account, and transfers that were returned."""
    for entry in _all(root, "Ntry"):
        status = _text(entry, "Sts", "Cd") or _text(entry, "Sts")
        if status not in ("BOOK", ""):
            continue
        booked_on = _day(_text(entry, "BookgDt", "Dt") or _text(entry, "BookgDt", "DtTm"))
        entry_reference = _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
        entry_side, entry_amount = _text(entry, "CdtDbtInd"), _amount(entry)
        for details in _all(entry, "TxDtls"):
            reference = _text(details, "Refs", "EndToEndId")
            bank_reference = _text(details, "Refs", "AcctSvcrRef") or entry_reference
            returned = next(_all(details, "RtrInf"), None)
            reason = ""
            if returned is not None:
                code = _text(returned, "Rsn", "Cd") or _text(returned, "Rsn", "Prtry")
                reason = f"returned by the bank ({code or 'no reason given'})"
            side = _text(details, "CdtDbtInd") or entry_side
            if reference and (side == "DBIT" or returned is not None):
                yield Booking(reference, _amount(details) or entry_amount, booked_on, bank_reference, reason)


def _rejections(root: Element) -> Iterator[Booking]:
    """pain.002: transfers that the bank rejected."""
    for transaction in _all(root, "TxInfAndSts"):
        reference, status = _text(transaction, "OrgnlEndToEndId"), _text(transaction, "TxSts")
        if reference and status == "RJCT":
            code = _text(transaction, "StsRsnInf", "Rsn", "Cd") or "no reason given"
            more = _text(transaction, "StsRsnInf", "AddtlInf")
            yield Booking(reference, None, None, "", f"rejected by the bank ({code}){f': {more}' if more else ''}")


def _name(element: Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _all(parent: Element, name: str) -> Iterator[Element]:
    return (element for element in parent.iter() if _name(element) == name)


def _text(element: Element, *path: str) -> str:
    for name in path:
        child = next((candidate for candidate in element if _name(candidate) == name), None)
        if child is None:
            return ""
        element = child
    return (element.text or "").strip()


def _amount(parent: Element) -> Money | None:
    for element in parent.iter():
        if _name(element) == "Amt" and element.text and element.get("Ccy"):
            try:
                return _money(element.text.strip(), element.get("Ccy", ""))
            except (ValueError, CurrencyDoesNotExist):
                return None
    return None


def _money(amount: str, currency: str) -> Money:
    """Raises ValueError, CurrencyDoesNotExist."""
    if not AMOUNT.fullmatch(amount):
        raise ValueError("This is not an amount.")
    return Money(Decimal(amount), currency)


def _day(text: str) -> date | None:
    try:
        return datetime.fromisoformat(text).date() if text else None
    except ValueError:
        return None

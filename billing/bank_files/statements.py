"""Reading what the bank says: statements and notices (camt.053, camt.054), rejections (pain.002), and CSV."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from moneyed import Money
from moneyed.classes import CurrencyDoesNotExist

READ_COLUMNS = ("reference", "amount", "currency", "paid_on", "bank_reference")


REPORTS = ("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn", "CstmrPmtStsRpt")


MOST_BYTES = 10_000_000


class UnreadableFile(Exception):
    """The file cannot be understood; the message says what is wrong with it."""


@dataclass(frozen=True)
class Booking:
    """What the bank says of one transfer; `rejected` says why where it did not go through."""

    reference: str
    amount: Money | None
    booked_on: date | None
    bank_reference: str
    rejected: str = ""


def read(content: bytes) -> list[Booking]:
    """What the bank says, in the file's order. Raises UnreadableFile."""
    if len(content) > MOST_BYTES:
        raise UnreadableFile(f"The file is larger than {MOST_BYTES // 1_000_000} MB.")
    if content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return _read_xml(content)
    return list(_read_csv(content))


def _read_csv(content: bytes) -> Iterator[Booking]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile("This is neither XML nor CSV in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := [name for name in READ_COLUMNS if name not in (reader.fieldnames or ())]:
            raise UnreadableFile(f"The first line names the columns {', '.join(READ_COLUMNS)}; missing: {missing[0]}.")
        for number, row in enumerate(reader, 2):
            yield _booking_of_row(number, row)
    except csv.Error as error:
        raise UnreadableFile(f"This is no CSV: {error}.") from error


def _booking_of_row(number: int, row: dict[str, Any]) -> Booking:
    told = {name: (row.get(name) or "").strip() for name in (*READ_COLUMNS, "rejected")}
    try:
        amount = Money(Decimal(told["amount"]), told["currency"].upper())
        booked_on = date.fromisoformat(told["paid_on"]) if told["paid_on"] or not told["rejected"] else None
    except (InvalidOperation, CurrencyDoesNotExist, ValueError) as error:
        raise UnreadableFile(
            f"Line {number}: write the amount like 12.50, the currency like EUR and the day like 2026-01-31."
        ) from error
    return Booking(told["reference"], amount, booked_on, told["bank_reference"], told["rejected"])


def _read_xml(content: bytes) -> list[Booking]:
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise UnreadableFile("This is no XML that can be read.") from error
    found = [*_entries(root), *_rejections(root)]
    if not found and not any(
        _name(part) in ("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn", "CstmrPmtStsRpt") for part in root
    ):
        raise UnreadableFile("This XML is none of camt.053, camt.054 and pain.002.")
    return found


def _entries(root: Element) -> Iterator[Booking]:
    """camt.053 and camt.054: what was booked from our account, and what came back."""
    for entry in _all(root, "Ntry"):
        status = _text(entry, "Sts", "Cd") or _text(entry, "Sts")
        if status not in ("BOOK", ""):
            continue
        booked = _day(_text(entry, "BookgDt", "Dt") or _text(entry, "BookgDt", "DtTm"))
        for details in _all(entry, "TxDtls"):
            reference = _text(details, "Refs", "EndToEndId")
            ours = _text(details, "Refs", "AcctSvcrRef") or _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
            returned = next(_all(details, "RtrInf"), None)
            why = ""
            if returned is not None:
                code = _text(returned, "Rsn", "Cd") or _text(returned, "Rsn", "Prtry")
                why = f"returned by the bank ({code or 'no reason given'})"
            side = _text(details, "CdtDbtInd") or _text(entry, "CdtDbtInd")
            if reference and (side == "DBIT" or returned is not None):
                yield Booking(reference, _amount(details) or _amount(entry), booked, ours, why)


def _rejections(root: Element) -> Iterator[Booking]:
    """pain.002: what the bank did not take."""
    for one in _all(root, "TxInfAndSts"):
        reference, status = _text(one, "OrgnlEndToEndId"), _text(one, "TxSts")
        if reference and status == "RJCT":
            code = _text(one, "StsRsnInf", "Rsn", "Cd") or "no reason given"
            more = _text(one, "StsRsnInf", "AddtlInf")
            yield Booking(reference, None, None, "", f"rejected by the bank ({code}){f': {more}' if more else ''}")


def _name(part: Element) -> str:
    return part.tag.rpartition("}")[2]


def _all(part: Element, name: str) -> Iterator[Element]:
    return (one for one in part.iter() if _name(one) == name)


def _text(part: Element, *path: str) -> str:
    for name in path:
        found = next((one for one in part if _name(one) == name), None)
        if found is None:
            return ""
        part = found
    return (part.text or "").strip()


def _amount(part: Element) -> Money | None:
    for one in part.iter():
        if _name(one) == "Amt" and one.text and one.get("Ccy"):
            try:
                return Money(Decimal(one.text.strip()), one.get("Ccy"))
            except (InvalidOperation, CurrencyDoesNotExist):
                return None
    return None


def _day(told: str) -> date | None:
    try:
        return datetime.fromisoformat(told).date() if told else None
    except ValueError:
        return None

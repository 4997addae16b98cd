"""Reading ISO 20022: statements and notifications (camt.053, camt.054), and answers to an order (pain.002)."""

from collections.abc import Iterator
from datetime import date, datetime
from xml.etree.ElementTree import Element, ParseError
from zoneinfo import ZoneInfo

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from moneyed import Money
from moneyed.classes import CurrencyDoesNotExist

from billing.bank_files.bookings import Booking, UnreadableFile, money, our_reference

REPORTS = ("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn", "CstmrPmtStsRpt")
MAX_DEPTH = 40  # elements; camt.053 nests about 15
NOT_PROVIDED = "NOTPROVIDED"  # what banks write for an end-to-end reference that they do not know
# Bank transaction codes of transfers that came back: the sub-families of ISO 20022's external code set
RETURN_CODES = {"RRTN", "ARET", "RPCR", "RRCT"}
# Answers to the verification of payees (EPC288-23: status of one transfer in pain.002)
PAYEE_CODES = {
    "RCVC": "the name is that of the account holder",
    "RVMC": "the name is nearly that of the account holder",
    "RVNM": "the name is not that of the account holder",
    "RVNA": "the name could not be checked",
}


def read_xml(content: bytes, zone: ZoneInfo) -> list[Booking]:
    """The bookings and answers of a file, in its order; instants become days in the zone. Raises UnreadableFile."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise UnreadableFile("This is not valid XML.") from error
    _check_depth(root)
    bookings = [*_entries(root, zone), *_answers(root)]
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


def _entries(root: Element, zone: ZoneInfo) -> Iterator[Booking]:
    for entry in _all(root, "Ntry"):
        details = list(_all(entry, "TxDtls"))
        status = _text(entry, "Sts", "Cd") or _text(entry, "Sts") or "BOOK"
        if status != "BOOK":
            reference = our_reference(*entry.itertext())
            yield Booking(reference, _amount(entry), None, "", ignored=f"It is not booked yet ({status}).")
        elif not details:
            yield _booking(entry, entry, is_only=True, zone=zone)
        else:
            yield from (_booking(entry, each, is_only=len(details) == 1, zone=zone) for each in details)


def _booking(entry: Element, details: Element, *, is_only: bool, zone: ZoneInfo) -> Booking:
    """What the entry says about the transfer of these details; without details, they are the entry."""
    reference = _reference(entry, details, is_only=is_only)
    amount = _instructed(details) or (_amount(entry) if is_only else None)
    day = _day(_text(entry, "BookgDt", "Dt") or _text(entry, "BookgDt", "DtTm"), zone)
    ours = _text(details, "Refs", "AcctSvcrRef") or _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
    if not reference:
        return Booking("", amount, day, ours, ignored="It names no reference of a transfer.")
    side = _text(details, "CdtDbtInd") or _text(entry, "CdtDbtInd")
    is_reversal = _text(entry, "RvslInd").lower() in ("true", "1")
    return_info = next(_all(details, "RtrInf"), None)
    codes = {_text(part, "BkTxCd", "Domn", "Fmly", "SubFmlyCd") for part in (entry, details)}
    if return_info is not None or side == "CRDT" or codes & RETURN_CODES:
        return Booking(reference, amount, day, ours, returned=f"returned by the bank ({_reason(return_info)})")
    if is_reversal:
        return Booking(reference, amount, day, ours, ignored="It reverses a credit. Look at it by hand.")
    return Booking(reference, amount, day, ours)


def _reference(entry: Element, details: Element, *, is_only: bool) -> str:
    """The reference of the transfer, wherever the bank writes it, or that of the batch that was booked as a whole."""
    end_to_end = _text(details, "Refs", "EndToEndId")
    if our_reference(end_to_end) or (end_to_end and end_to_end != NOT_PROVIDED):
        return our_reference(end_to_end) or end_to_end
    texts = [_text(details, "Refs", "InstrId"), *_texts(details, "Ustrd"), *_texts(details, "Ref")]
    texts += [*_texts(details, "AddtlTxInf"), *_texts(details, "AddtlInf"), _text(entry, "AddtlNtryInf")]
    texts += ["".join(_texts(details, "Ustrd"))]
    if found := our_reference(*texts):
        return found
    if not is_only:
        return ""
    batch = [*_texts(entry, "PmtInfId"), *_texts(entry, "MsgId")]
    return next((text for text in batch if text), "")


def _answers(root: Element) -> Iterator[Booking]:
    """pain.002: what the bank says about a message of ours, its blocks of payments, and each transfer."""
    for group in _all(root, "OrgnlGrpInfAndSts"):
        yield from _answer(group, _text(group, "OrgnlMsgId"), _text(group, "GrpSts"))
    for block in _all(root, "OrgnlPmtInfAndSts"):
        yield from _answer(block, _text(block, "OrgnlPmtInfId"), _text(block, "PmtInfSts"))
    for transfer in _all(root, "TxInfAndSts"):
        end_to_end = _text(transfer, "OrgnlEndToEndId")
        reference = our_reference(end_to_end) or end_to_end
        status = _text(transfer, "TxSts")
        if reference and status in PAYEE_CODES:
            yield Booking(reference, None, None, "", payee=_with(PAYEE_CODES[status], _more(transfer)))
        else:
            yield from _answer(transfer, reference, status)


def _answer(element: Element, reference: str, status: str) -> Iterator[Booking]:
    if not status:
        return
    if status == "RJCT" and reference:
        why = _with(f"rejected by the bank ({_reason(next(_all(element, 'StsRsnInf'), None))})", _more(element))
        yield Booking(reference, None, None, "", rejected=why)
    else:
        yield Booking(reference, None, None, "", ignored=f"The bank answers {status}, which is no booking.")


def _reason(info: Element | None) -> str:
    if info is None:
        return "no reason given"
    return _text(info, "Rsn", "Cd") or _text(info, "Rsn", "Prtry") or "no reason given"


def _more(element: Element) -> str:
    """What the bank adds in words, not that of the transfers inside."""
    own = [child for child in element if _name(child) == "StsRsnInf"]
    return " ".join(text for info in own for text in _texts(info, "AddtlInf"))


def _with(text: str, more: str) -> str:
    return f"{text}: {more}" if more else text


def _name(element: Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _all(parent: Element, name: str) -> Iterator[Element]:
    return (element for element in parent.iter() if _name(element) == name)


def _texts(parent: Element, name: str) -> list[str]:
    return [(element.text or "").strip() for element in _all(parent, name)]


def _child(element: Element, name: str) -> Element | None:
    return next((candidate for candidate in element if _name(candidate) == name), None)


def _text(element: Element, *path: str) -> str:
    for name in path:
        child = _child(element, name)
        if child is None:
            return ""
        element = child
    return (element.text or "").strip()


def _instructed(details: Element) -> Money | None:
    """The amount as it was ordered: before that of the account, which may be in another currency."""
    amounts = _child(details, "AmtDtls")
    for name in ("InstdAmt", "TxAmt"):
        part = _child(amounts, name) if amounts is not None else None
        if part is not None and (amount := _amount(part)) is not None:
            return amount
    return _amount(details)


def _amount(parent: Element) -> Money | None:
    """The amount that stands directly in the element."""
    element = _child(parent, "Amt")
    try:
        return money((element.text or "").strip(), element.get("Ccy", "")) if element is not None else None
    except (ValueError, CurrencyDoesNotExist):
        return None


def _day(text: str, zone: ZoneInfo) -> date | None:
    """The day, or that of the instant in the zone."""
    try:
        instant = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if instant is None:
        return None
    return instant.astimezone(zone).date() if instant.tzinfo else instant.date()

"""Reading MT940, the statement of SWIFT that many banks still give."""

import mt940
from moneyed import Money

from billing.bank_files.bookings import Booking, UnreadableFile, our_reference

MARK = ":61:"  # the tag of an entry, which each statement with a booking has


def is_mt940(text: str) -> bool:
    return ":20:" in text and (MARK in text or ":60" in text)


def read_mt940(text: str) -> list[Booking]:
    """The entries of a statement, in its order. Raises UnreadableFile."""
    try:
        entries = list(mt940.parse(text))
    except (ValueError, KeyError, RuntimeError, ArithmeticError) as error:
        raise UnreadableFile("This is not a valid MT940 statement.") from error
    return [_booking(entry.data) for entry in entries]


def _booking(data: dict[str, object]) -> Booking:
    texts = [str(value) for value in data.values() if isinstance(value, str)]
    reference = our_reference(*texts, "".join("".join(texts).split()))
    amount = data.get("amount")
    ordered = Money(abs(amount.amount), amount.currency) if isinstance(amount, mt940.models.Amount) else None
    day = data.get("entry_date") or data.get("date")
    booked_on = day if isinstance(day, mt940.models.Date) else None
    bank_reference = str(data.get("bank_reference") or "")
    if not reference:
        return Booking("", ordered, booked_on, bank_reference, ignored="It names no reference of a transfer.")
    status = str(data.get("status") or "")  # D and C, with R before it if an entry is reversed
    if status in ("C", "RD"):
        return Booking(reference, ordered, booked_on, bank_reference, returned="returned by the bank (no reason given)")
    if status == "RC":
        why = "It reverses a credit. Look at it by hand."
        return Booking(reference, ordered, booked_on, bank_reference, ignored=why)
    return Booking(reference, ordered, booked_on, bank_reference)

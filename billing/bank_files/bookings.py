"""What a bank's file says about one transfer, whatever its format."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from moneyed import Money

AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,5})?", re.ASCII)  # ISO 20022: 18 digits, 5 of them decimals
# A reference of ours in a text, which the bank may have broken into lines anywhere: RF-7KQ4-M9XT, or with the number
# of its order, or BT-7KQ4-M9XT of a batch.
_LETTERS = r"\s?-\s?" + r"\s?".join(["[2-9A-HJKMNP-TW-Z]"] * 4)
_OURS = re.compile(rf"(?<![A-Z0-9])(?:R\s?F|B\s?T){_LETTERS}{_LETTERS}(?:-\s?\d{{1,3}})?(?![0-9])")


class UnreadableFile(Exception):
    """The file cannot be read. The message says what is wrong with it."""


@dataclass(frozen=True)
class Booking:
    """A booking, a rejection or a return of one transfer, or of a whole batch, which `reference` names.

    `rejected` is the reason if it did not go through; `returned` if it was booked and the money came back. `payee` is
    what the payee's bank says about the name of the account holder. `ignored` says why an entry is none of these.
    """

    reference: str
    amount: Money | None
    booked_on: date | None
    bank_reference: str
    rejected: str = ""
    returned: str = ""
    payee: str = ""
    ignored: str = ""


def our_reference(*texts: str) -> str:
    """The first reference of ours in the texts; empty if there is none."""
    for text in texts:
        if found := _OURS.search(text.upper()):
            return re.sub(r"\s", "", found[0])
    return ""


def money(amount: str, currency: str) -> Money:
    """Raises ValueError, CurrencyDoesNotExist."""
    if not AMOUNT.fullmatch(amount):
        raise ValueError("This is not an amount.")
    return Money(Decimal(amount), currency)

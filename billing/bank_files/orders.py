"""Writing files with bank transfers: ISO 20022 pain.001, or CSV."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from moneyed import Money
from sepaxml import SepaTransfer
from stdnum import iban
from stdnum.exceptions import ValidationError

from messaging.text import escape_formula, on_one_line, remove_direction_marks

SCHEMA = "pain.001.001.09"


COLUMNS = ("reference", "name", "account", "amount", "currency", "purpose")


@dataclass(frozen=True)
class Transfer:
    """One bank transfer: `reference` comes back from the bank as its end-to-end identification."""

    reference: str
    name: str
    account: str
    amount: Money
    purpose: str


def plain_account(typed: str) -> str:
    """The account without spaces. Raises ValueError if it is malformed, or an IBAN with wrong check digits."""
    account = "".join(typed.split()).upper()
    if re.match(r"^[A-Z]{2}\d{2}", account):
        try:
            return str(iban.validate(account))
        except ValidationError as error:
            raise ValueError("The check digits of this IBAN are wrong. Check it for typing errors.") from error
    if not re.match(r"^[A-Z0-9/-]{4,64}$", account):
        raise ValueError("Enter an IBAN, or an account number of letters and digits.")
    return account


def is_iban(account: str) -> bool:
    return bool(iban.is_valid(account))


def as_pain(transfers: Sequence[Transfer], *, batch: str, company: str, account: str, bic: str, on: date) -> bytes:
    """A pain.001 file of SEPA credit transfers, validated against the ISO 20022 schema."""
    config: dict[str, Any] = {"name": company, "IBAN": account, "batch": True, "currency": "EUR"}
    sepa = SepaTransfer({**config, "BIC": bic} if bic else config, schema=SCHEMA, clean=True)
    for transfer in transfers:
        sepa.add_payment(
            {
                "name": on_one_line(remove_direction_marks(transfer.name)),
                "IBAN": transfer.account,
                "amount": int(transfer.amount.amount * 100),
                "execution_date": on,
                "description": transfer.purpose,
                "endtoend_id": transfer.reference,
            }
        )
    text: bytes = sepa.export(validate=True)
    # The bank's answers name the message or its block of payments, so both carry the reference of the batch.
    return re.sub(rb"<(MsgId|PmtInfId)>[^<]*</", rb"<\1>" + batch.encode() + b"</", text)


def as_csv(transfers: Sequence[Transfer]) -> bytes:
    """A CSV file with a line for each transfer, for banks and currencies without pain.001."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for transfer in transfers:
        texts = (transfer.reference, transfer.name, transfer.account)
        reference, name, account = (_cell(text) for text in texts)
        amount, currency = f"{transfer.amount.amount:f}", transfer.amount.currency
        writer.writerow([reference, name, account, amount, currency, _cell(transfer.purpose)])
    return out.getvalue().encode("utf-8-sig")


def _cell(text: str) -> str:
    return escape_formula(on_one_line(remove_direction_marks(text)))

"""Reading the rows of a CRM export column by column (docs/import.md). Does not use the database."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from babel import Locale
from babel.numbers import list_currencies
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from holidays import list_supported_countries
from moneyed import CURRENCIES, Money, get_currency

from messaging.address_syntax import is_sendable
from messaging.currencies import minor_unit_digits
from messaging.text import find_unkeepable, unify_line_ends

ACCOUNT_COLUMNS = (
    "account_number", "username", "name", "email", "country", "time_zone", "language", "currency",
    "customer_since", "status",
)  # fmt: skip
SUBSCRIPTION_COLUMNS = (
    "subscription_ref", "account_number", "plan_code", "plan_name", "quantity", "price", "currency",
    "interval_unit", "interval_count", "started_on", "billing_anchor", "trial_ends_on", "ended_on",
)  # fmt: skip
PAYMENT_COLUMNS = (
    "payment_ref", "subscription_ref", "period_start", "period_end", "amount", "currency", "paid_at", "method",
    "gateway", "gateway_reference", "amount_refunded",
)  # fmt: skip
# A file may leave these columns out. What the portal has stays then, while an empty cell clears it.
OPTIONAL_ACCOUNT_COLUMNS = ("customer_type", "region")
OPTIONAL_SUBSCRIPTION_COLUMNS = ("concluded_on", "minimum_term_ends_on", "start_requested_on", "reminded_on")
OPTIONAL_PAYMENT_COLUMNS = ("dispute", "amount_disputed")
OPTIONAL_DAYS = ("trial_ends_on", "ended_on", *OPTIONAL_SUBSCRIPTION_COLUMNS)
YEARS = range(1900, 2200)  # far from the limits of dates, because billing dates and zones are counted from them
Row = Mapping[str, str]


class RowRejected(ValueError):
    """The row cannot be imported. The message says what to correct."""


def account_values(row: Row) -> dict[str, Any]:
    country = _one_of(row, "country", _countries(), "two-letter country code, such as DE")
    values = {
        "account_number": text(row, "account_number", 40),
        "username": text(row, "username", 150),
        "name": text(row, "name", 200),
        "email": _email(row),
        "country": country,
        "time_zone": _one_of(row, "time_zone", _time_zones(), "time zone name, such as Europe/Berlin"),
        "language": _matching(
            row, "language", r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", "language code, such as de or pt-BR"
        ),
        "currency": _currency(row),
        "customer_since": day(row, "customer_since"),
        "status": _one_of(row, "status", {"active", "closed"}, "status: active or closed"),
    }
    if "customer_type" in row:
        values["customer_type"] = _customer_type(row)
    if "region" in row:
        values["region"] = _region(row, country)
    return values


def _customer_type(row: Row) -> str:
    if (value := optional_text(row, "customer_type", 40)) not in {"consumer", "business", "unknown", ""}:
        raise RowRejected(f"customer_type {value!r} is not a valid type: consumer, business, unknown, or empty")
    return value or "unknown"


def _region(row: Row, country: str) -> str:
    """The region without the country: US-CA and CA are California. Only states of the United States are looked up."""
    typed = optional_text(row, "region", 40)
    value = typed.removeprefix(f"{country}-")
    if country == "US" and value and value not in _states():
        raise RowRejected(f"region {typed!r} is not a state of the United States; write it like CA, or leave it empty")
    if not re.fullmatch("[A-Z0-9]{0,3}", value):
        raise RowRejected(f"region {typed!r} is not a region code (ISO 3166-2), such as CA; or leave it empty")
    return value


def subscription_values(row: Row) -> dict[str, Any]:
    """The values without `account_id`, which the caller looks up.

    `ended_on` comes from the company's system. Whether it may be before the start depends on the portal's own end.
    """
    started_on, ended_on = day(row, "started_on"), _optional_day(row, "ended_on")
    trial_ends_on = _optional_day(row, "trial_ends_on")
    facts = {name: _optional_day(row, name) for name in OPTIONAL_SUBSCRIPTION_COLUMNS if name in row}
    for name, value in (
        ("trial_ends_on", trial_ends_on),
        ("minimum_term_ends_on", facts.get("minimum_term_ends_on")),
    ):
        reject_before_start(name, value, started_on)
    return facts | {
        "reference": text(row, "subscription_ref", 40),
        "plan_code": text(row, "plan_code", 60),
        "plan_name": text(row, "plan_name", 200),
        "quantity": _whole(row, "quantity", 1_000_000),
        "price": _money(row, "price"),
        "interval_unit": _one_of(
            row, "interval_unit", {"day", "week", "month", "year"}, "unit: day, week, month or year"
        ),
        "interval_count": _whole(row, "interval_count", 1000),
        "started_on": started_on,
        "billing_anchor": day(row, "billing_anchor"),
        "trial_ends_on": trial_ends_on,
        "ended_on": ended_on,
    }


def reject_before_start(column: str, day: date | None, started_on: date) -> None:
    """Raises RowRejected for a day before the start."""
    if day is not None and day < started_on:
        raise RowRejected(
            f"{column} {day} is before started_on {started_on}; correct one of the two, or leave {column} empty"
        )


def payment_values(row: Row) -> dict[str, Any]:
    """The values without `subscription_id` and `account_id`, which the caller looks up."""
    start, end = day(row, "period_start"), day(row, "period_end")
    if end <= start:
        raise RowRejected(f"period_end {end} is not after period_start {start}")
    amount, refunded = _money(row, "amount"), _money(row, "amount_refunded")
    if refunded > amount:
        raise RowRejected(f"amount_refunded {refunded.amount} is more than the amount {amount.amount}")
    facts: dict[str, Any] = {"dispute": _dispute(row)} if "dispute" in row else {}
    if "amount_disputed" in row:
        facts["amount_disputed"] = _amount_disputed(row, amount)
    return facts | {
        "reference": text(row, "payment_ref", 40),
        "period_start": start,
        "period_end": end,
        "amount": amount,
        "amount_refunded": refunded.amount,
        "paid_at": _instant(row, "paid_at"),
        "method": optional_text(row, "method", 40),
        "gateway": optional_text(row, "gateway", 40),
        "gateway_reference": optional_text(row, "gateway_reference", 120),
    }


def _dispute(row: Row) -> str:
    states = {"", "open", "lost", "won"}
    if (value := optional_text(row, "dispute", 40)) not in states:
        raise RowRejected(f"dispute {value!r} is not a valid state of a dispute: open, lost, won, or empty")
    return value


def _amount_disputed(row: Row, amount: Money) -> Decimal | None:
    """The disputed part; None for all of it."""
    if not row["amount_disputed"].strip():
        return None
    disputed: Decimal = _money(row, "amount_disputed").amount
    if disputed > amount.amount:
        raise RowRejected(f"amount_disputed {disputed} is more than the amount {amount.amount}")
    return disputed


def optional_text(row: Row, column: str, max_length: int) -> str:
    value = row[column].strip()
    if len(value) > max_length:
        raise RowRejected(f"{column} has {len(value)} characters; the limit is {max_length}")
    if unkeepable := find_unkeepable(value):
        raise RowRejected(f"{column} holds the character U+{ord(unkeepable):04X}, which cannot be kept; remove it")
    return unify_line_ends(value)


def text(row: Row, column: str, max_length: int) -> str:
    if not (value := optional_text(row, column, max_length)):
        raise RowRejected(f"{column} is empty")
    return value


def day(row: Row, column: str) -> date:
    value = text(row, column, 40)
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise ValueError
        parsed = date.fromisoformat(value)
    except ValueError:
        raise RowRejected(f"{column} {value!r} is not a date; write it like 2026-02-28") from None
    _check_year(column, value, parsed.year)
    return parsed


def _check_year(column: str, value: str, year: int) -> None:
    if year not in YEARS:
        raise RowRejected(
            f"{column} {value!r} is not in the years {YEARS.start} to {YEARS.stop - 1}; correct it"
            + (", or leave the cell empty for none" if column in OPTIONAL_DAYS else "")
        )


def _optional_day(row: Row, column: str) -> date | None:
    return day(row, column) if row[column].strip() else None


def _instant(row: Row, column: str) -> datetime:
    value = text(row, column, 40)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise RowRejected(f"{column} {value!r} is not a time; write it like 2026-02-28T14:07:31Z") from None
    _check_year(column, value, instant.year)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)


def _whole(row: Row, column: str, maximum: int) -> int:
    value = text(row, column, 40)
    if not re.fullmatch(r"[0-9]{1,9}", value) or not 1 <= int(value) <= maximum:
        raise RowRejected(f"{column} {value!r} is not a whole number from 1 to {maximum}")
    return int(value)


def _money(row: Row, column: str) -> Money:
    currency, value = get_currency(_currency(row)), text(row, column, 40)
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", value):
        raise RowRejected(f"{column} {value!r} is not an amount of zero or more; write it like 1234.50, with a point")
    digits = minor_unit_digits(currency)
    if len(value.partition(".")[2].rstrip("0")) > digits:
        raise RowRejected(f"{column} {value} has more decimals than {currency.code} has ({digits})")
    return Money(Decimal(value), currency)


def _currency(row: Row) -> str:
    return _one_of(row, "currency", _currencies(), "currency code, such as EUR")


def _email(row: Row) -> str:
    value = text(row, "email", 254)
    try:
        validate_email(value)
    except ValidationError:
        raise RowRejected(f"email {value!r} is not an e-mail address") from None
    if not is_sendable(value):
        raise RowRejected(f"email {value!r} is too long for e-mail: at most 64 characters before the @")
    return value


def _one_of(row: Row, column: str, allowed: Any, what: str) -> str:
    value = text(row, column, 80)
    if value not in allowed:
        raise RowRejected(f"{column} {value!r} is not a valid {what}")
    return value


def _matching(row: Row, column: str, pattern: str, what: str) -> str:
    value = text(row, column, 12)
    if not re.fullmatch(pattern, value):
        raise RowRejected(f"{column} {value!r} is not a {what}")
    return value


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"Factory", "localtime"}  # what they mean depends on the computer


@cache
def _states() -> frozenset[str]:
    """The states, the district and the territories of the United States."""
    return frozenset(list_supported_countries()["US"])


@cache
def _currencies() -> frozenset[str]:
    return frozenset(list_currencies()) & CURRENCIES.keys()


@cache
def _countries() -> frozenset[str]:
    return frozenset(code for code in map(str, Locale("en").territories) if re.fullmatch("[A-Z]{2}", code)) - {
        "EU",
        "UN",
        "ZZ",
    }


Reader = Callable[[Row], dict[str, Any]]

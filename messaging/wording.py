"""Dates, times, amounts and country names as text in the active language."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency
from django.conf import settings
from django.utils import translation
from moneyed import Money

from messaging.currencies import minor_unit_digits


def language_for(tag: str) -> str:
    """Returns the portal's language for a tag (BCP 47) such as «de-AT»; the default language if there is none."""
    base = tag.replace("_", "-").lower().partition("-")[0]
    return next((code for code, _ in settings.LANGUAGES if code.partition("-")[0] == base), settings.LANGUAGE_CODE)


@contextmanager
def use_language(tag: str) -> Iterator[None]:
    """Activates the language of the reader of a mail or receipt, who is not the current visitor."""
    with translation.override(language_for(tag)):
        yield


def active_language() -> str:
    """Returns the active language without a region, such as «de»; mail templates lie in a folder of this name."""
    return (translation.get_language() or settings.LANGUAGE_CODE).partition("-")[0]


def day_words(day: date | None) -> str:
    """Returns, for example, «28 February 2026»; empty for None."""
    return format_date(day, "long", _locale()) if day else ""


def long_day_words(day: date | None) -> str:
    """Returns, for example, «Saturday, 28 February 2026»; empty for None."""
    return format_date(day, "full", _locale()) if day else ""


def instant_words(instant: datetime, zone: str) -> str:
    """Returns, for example, «12 February 2026, 14:07:31 (Europe/Berlin)», the local time of the zone."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{day_words(local.date())}, {local:%H:%M:%S} ({zone.replace('_', ' ')})"


def money_words(money: Money | None) -> str:
    """Returns the amount with its currency and the currency's number of decimals; empty for None."""
    if money is None:
        return ""
    locale, digits = _locale(), minor_unit_digits(money.currency)
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (digits, digits)
    return format_currency(money.amount, money.currency.code, pattern, locale, currency_digits=False)


def country_names(codes: Iterable[str]) -> dict[str, str]:
    """Maps country codes (ISO 3166-1) to names."""
    return {code: _locale().territories.get(code, code) for code in codes}


def _locale() -> Locale:
    tag = translation.get_language() or settings.LANGUAGE_CODE
    try:
        return Locale.parse(translation.to_locale(tag))
    except UnknownLocaleError:  # a pseudo-locale's region, as in tests
        return Locale.parse(tag.partition("-")[0])

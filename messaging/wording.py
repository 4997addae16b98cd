"""Days, instants and sums in the reader's manner: that of the language which is active."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency
from django.conf import settings
from django.utils import translation
from moneyed import Money


def language_for(tag: str) -> str:
    """The portal's language nearest to a language tag (BCP 47) such as «de-AT»; its own language where none is."""
    base = tag.replace("_", "-").lower().partition("-")[0]
    return next((code for code, _ in settings.LANGUAGES if code.partition("-")[0] == base), settings.LANGUAGE_CODE)


@contextmanager
def reading(tag: str) -> Iterator[None]:
    """Speaks the language of somebody who reads later: of a mail, of a receipt."""
    with translation.override(language_for(tag)):
        yield


def active_language() -> str:
    """The active language as a tag without a region, such as «de»: the name of the folder that holds its mails."""
    return (translation.get_language() or settings.LANGUAGE_CODE).partition("-")[0]


def day_words(day: date | None) -> str:
    """Like «28 February 2026»; empty for none."""
    return format_date(day, "long", _locale()) if day else ""


def long_day_words(day: date | None) -> str:
    """Like «Saturday, 28 February 2026»; empty for none."""
    return format_date(day, "full", _locale()) if day else ""


def instant_words(instant: datetime, zone: str) -> str:
    """Like «12 February 2026, 14:07:31 (Europe/Berlin)», told in the named zone."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{day_words(local.date())}, {local:%H:%M:%S} ({zone.replace('_', ' ')})"


def money_words(money: Money | None) -> str:
    """The sum with its currency, in as many decimals as the currency has; empty for none."""
    return format_currency(money.amount, money.currency.code, locale=_locale()) if money is not None else ""


def country_names(codes: Iterable[str]) -> dict[str, str]:
    """The names of countries by their codes (ISO 3166-1)."""
    return {code: _locale().territories.get(code, code) for code in codes}


def _locale() -> Locale:
    tag = translation.get_language() or settings.LANGUAGE_CODE
    try:
        return Locale.parse(translation.to_locale(tag))
    except UnknownLocaleError:  # a region that only pseudo-locales have
        return Locale.parse(tag.partition("-")[0])

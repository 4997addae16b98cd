"""Which law a visitor leaves under: that of the account's country, else of the country given, else the site's."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext

from accounts.models import Account
from accounts.visitors import account_of
from cancellations.rules.jurisdictions import PROFILES, Profile, countries_with_profile, profile_for
from messaging.wording import country_names

COOKIE = f"portal_country{settings.COOKIE_SUFFIX}"
ELSEWHERE = "ZZ"  # ISO 3166-1 leaves it to users: a country whose law makes no difference here


def country_given(http: HttpRequest) -> str:
    """The country that a guest chose on this page or before; empty where none was."""
    given = http.GET.get("country", "") or http.COOKIES.get(COOKIE, "")
    return given if given in countries_with_profile() or given == ELSEWHERE else ""


def countries() -> list[tuple[str, str]]:
    """The countries whose law makes a difference, by their names in the reader's language, and all others as one."""
    named = country_names(countries_with_profile())
    return [(ELSEWHERE, gettext("Another country")), *sorted(named.items(), key=lambda each: each[1])]


def profile_of(http: HttpRequest, posted: str = "") -> Profile:
    """The profile for whoever opens the page; `posted` is that of a form which was begun under it."""
    if (account := account_of(http)) is not None:
        return profile_of_account(account)
    return PROFILES.get(posted) or profile_for(country_given(http), settings.JURISDICTION)


def profile_of_account(account: Account) -> Profile:
    return profile_for(account.country, settings.JURISDICTION)


def remember_country(http: HttpRequest, response: HttpResponseBase) -> None:
    """Keeps a country that was chosen in the address for the pages that follow."""
    if http.GET.get("country") and (given := country_given(http)):
        response.set_cookie(COOKIE, given, max_age=86_400, secure=settings.SECURE, httponly=True, samesite="Lax")

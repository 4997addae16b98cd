"""The jurisdiction of a visitor: by the account's country, else the chosen country, else the site's default."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext

from accounts.models import Account
from accounts.visitors import account_of
from cancellations.rules.jurisdictions import PROFILES, Profile, countries_with_profile, profile_for
from messaging.wording import country_names

COOKIE = settings.COOKIE_NAME.format("country")
ELSEWHERE = "ZZ"  # user-assigned in ISO 3166-1: any country without a profile of its own


def chosen_country(http: HttpRequest) -> str:
    """Returns the country that a guest chose now or earlier; empty if none."""
    country = http.GET.get("country", "") or http.COOKIES.get(COOKIE, "")
    return country if country in countries_with_profile() or country == ELSEWHERE else ""


def countries() -> list[tuple[str, str]]:
    """Returns (code, name) of the countries with a profile, and one entry for all others."""
    names = country_names(countries_with_profile())
    return [(ELSEWHERE, gettext("Another country")), *sorted(names.items(), key=lambda country: country[1])]


def profile_of(http: HttpRequest, posted: str = "") -> Profile:
    """Returns the profile for the visitor; `posted` is the code under which a form was started."""
    if (account := account_of(http)) is not None:
        return profile_of_account(account)
    return PROFILES.get(posted) or profile_for(chosen_country(http), settings.JURISDICTION)


def profile_of_account(account: Account) -> Profile:
    return profile_for(account.country, settings.JURISDICTION, region=account.region)


def remember_country(http: HttpRequest, response: HttpResponseBase) -> None:
    """Stores a country that was chosen in the URL in a cookie, for later pages."""
    if http.GET.get("country") and (country := chosen_country(http)):
        response.set_cookie(COOKIE, country, max_age=86_400, secure=settings.SECURE, httponly=True, samesite="Lax")

"""The jurisdiction of a visitor: by the account's country, else the chosen country, else the site's default."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation.trans_real import parse_accept_lang_header

from accounts.models import Account
from accounts.queries import accounts_of
from accounts.visitors import account_of, user_of
from billing.models import Subscription
from cancellations.queries.outcomes import may_cool_off
from cancellations.queries.policies import NoPolicyInForce, policy_in_force
from cancellations.rules.jurisdictions import COOLING_OFF, PROFILES, countries_with_profile, profile_for
from cancellations.rules.law import Profile
from messaging.wording import country_names

COOKIE = settings.COOKIE_NAME.format("country")
HOME_OF_LANGUAGE = {"de": "DE", "fr": "FR", "nl": "NL", "it": "IT", "es": "ES"}
LONGEST_MOVE = 10  # days by which weekends and holidays may move the last cooling-off day, and time zones
ELSEWHERE = "ZZ"  # user-assigned in ISO 3166-1: any country without a profile of its own


def chosen_country(http: HttpRequest) -> str:
    """Returns the country that a guest chose now or earlier; empty if none."""
    country = http.GET.get("country", "") or http.COOKIES.get(COOKIE, "")
    return country if country in countries_with_profile() or country == ELSEWHERE else ""


def country_of_guest(http: HttpRequest) -> str:
    """Returns the country that a guest chose, or else the one that the language of the browser suggests."""
    return chosen_country(http) or country_of_language(http.headers.get("Accept-Language", ""))


def country_of_language(accepted: str) -> str:
    """Returns the country that the first language of the header suggests; empty if none.

    A region decides, such as in «nl-BE»; without one, the country where the language is at home. English is spoken and
    set everywhere, so it says nothing.
    """
    first = next(iter(parse_accept_lang_header(accepted)), ("", 0))[0]
    language, _, region = first.partition("-")
    if language not in HOME_OF_LANGUAGE:
        return ""
    country = region.upper() or HOME_OF_LANGUAGE[language]
    return country if country in countries_with_profile() else ELSEWHERE


def countries() -> list[tuple[str, str]]:
    """Returns (code, name) of the countries with a profile, and one entry for all others."""
    names = country_names(countries_with_profile())
    return [(ELSEWHERE, gettext("Another country")), *sorted(names.items(), key=lambda country: country[1])]


def profile_of(http: HttpRequest, posted: str = "") -> Profile:
    """Returns the profile for the visitor; `posted` is the code under which a form was started."""
    if (account := account_of(http)) is not None:
        return profile_of_account(account)
    return PROFILES.get(posted) or profile_for(country_of_guest(http), settings.JURISDICTION)


def profile_of_account(account: Account) -> Profile:
    return profile_for(account.country, settings.JURISDICTION, region=account.region)


def offers_withdrawal(http: HttpRequest) -> bool:
    """Whether pages link to the form of the cooling-off right: for guests by the place, for customers by their days."""
    if not profile_of(http).cooling_off:
        return False
    if (user := user_of(http)) is None:
        return True
    now = timezone.now()
    try:
        policy = policy_in_force(now)
    except NoPolicyInForce:
        return False
    started = (now - timedelta(days=max(policy.cooling_off_days, COOLING_OFF.days) + LONGEST_MOVE)).date()
    new = Q(started_on__gte=started) | Q(concluded_on__gte=started)
    contracts = Subscription.objects.filter(new, account__in=accounts_of(user)).select_related("account")
    return any(may_cool_off(contract, now=now, policy=policy) for contract in contracts)


def remember_country(http: HttpRequest, response: HttpResponseBase) -> None:
    """Stores a country that was chosen in the URL in a cookie, for later pages."""
    if http.GET.get("country") and (country := chosen_country(http)):
        response.set_cookie(COOKIE, country, max_age=86_400, secure=settings.SECURE, httponly=True, samesite="Lax")

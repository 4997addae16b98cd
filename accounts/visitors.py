"""The visitor of a page: their account and their language."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import Account, User
from accounts.queries import accounts_of
from messaging.wording import language_for


def user_of(http: HttpRequest) -> User | None:
    """The signed-in visitor; None for a guest, and for a request that was refused before its session was read."""
    user = getattr(http, "user", None)
    return user if isinstance(user, User) else None


def account_of(http: HttpRequest) -> Account | None:
    """The first account that the signed-in visitor holds; queried once a request."""
    if not hasattr(http, "_account_of_visit"):
        user = user_of(http)
        http._account_of_visit = accounts_of(user).first() if user else None  # type: ignore[attr-defined]
    account: Account | None = http._account_of_visit  # type: ignore[attr-defined]
    return account


def language_of(http: HttpRequest) -> str:
    """The language that the visitor chose, else that of their account, else the one that the browser prefers."""
    if (chosen := http.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")) in dict(settings.LANGUAGES):
        return chosen
    if (account := account_of(http)) is not None:
        return language_for(account.language)
    return translation.get_language_from_request(http)


def remember_language(response: HttpResponseBase, language: str) -> None:
    """Saves the chosen language in a cookie for a year."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.SECURE,
        httponly=True,
        samesite="Lax",
    )


def path_on_this_site(request: HttpRequest, url: str, default: str) -> str:
    """Returns the URL of a parameter such as `next` if it is a path on this site, otherwise the default."""
    is_safe = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_safe and url.startswith("/") else default


def address_of(request: HttpRequest) -> str:
    """The client's network address, empty if it is not known. Behind proxies, the one that the outermost of ours saw.

    A port and an IPv6 zone, which some proxies add, are left out.
    """
    written = str(request.META.get("REMOTE_ADDR", ""))
    addresses = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < settings.BEHIND_PROXY <= len(addresses):
        written = addresses[-settings.BEHIND_PROXY].strip() or written
    for candidate in (written.strip("[]"), written.rpartition(":")[0].strip("[]")):
        try:
            address = ip_address(candidate.partition("%")[0])
        except ValueError:
            continue
        return str(getattr(address, "ipv4_mapped", None) or address)
    return ""

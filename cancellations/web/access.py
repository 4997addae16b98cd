"""Who may see a request's page: its account holder when signed in, or a browser that proved the address.

A browser that posted a request as a guest only sees that it was received, until the address is proven; a signed
cookie says which. What a browser has proven is in its session, so that it ends when the visitor signs out. Guests who
have proven nothing have no session.
"""

from typing import Any, Literal

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from accounts.queries import accounts_of
from cancellations.letters.proof import Link
from cancellations.models import CancellationRequest

Level = Literal["posted", "proven"]
COOKIE = settings.COOKIE_NAME.format("requests")
LINK_COOKIE = settings.COOKIE_NAME.format("link")
SALT, LINK_SALT = "cancellations.web.access", "cancellations.web.link"
PROVEN = "proven_requests"
REMEMBERED = 20
LINK_SECONDS = 600


def level_of(http: HttpRequest, request: CancellationRequest) -> Level | None:
    user, account = http.user, request.account_id
    if account and isinstance(user, User) and accounts_of(user).filter(pk=account).exists():
        return "proven"
    if has_proven(http, request.declaration):
        return "proven"
    if request.joined_to and has_proven(http, request.joined_to.declaration):
        return "proven"  # the same sender proved both
    return "posted" if request.declaration in _posted(http) else None


def has_proven(http: HttpRequest, reference: str) -> bool:
    return reference in http.session.get(PROVEN, [])


def remember_posted(http: HttpRequest, response: HttpResponse, reference: str) -> None:
    """Lets this browser see that the request was received."""
    posted = [*(earlier for earlier in _posted(http) if earlier != reference), reference][-REMEMBERED:]
    _set_cookie(response, COOKIE, signing.dumps(posted, salt=SALT, compress=True), settings.PROOF_LINK_DAYS * 86_400)


def remember_proven(http: HttpRequest, reference: str) -> None:
    """Lets this browser see the request's page until the session ends, under a new session key."""
    proven = [*(earlier for earlier in http.session.get(PROVEN, []) if earlier != reference), reference]
    http.session[PROVEN] = proven[-REMEMBERED:]
    http.session.cycle_key()


def remember_opened(response: HttpResponse, link: Link) -> None:
    """Notes that this browser opened the page of a link while it worked: a second press of its button is no second use.

    Without that, somebody who presses twice would read that the link was used.
    """
    _set_cookie(response, LINK_COOKIE, signing.dumps(link, salt=LINK_SALT), LINK_SECONDS)


def has_opened(http: HttpRequest, link: Link) -> bool:
    return _signed(http, LINK_COOKIE, LINK_SALT, LINK_SECONDS) == list(link)


def forget(response: HttpResponse) -> None:
    """Takes away what this browser may see as a guest. The session is ended by whoever signs the visitor out."""
    for cookie in (COOKIE, LINK_COOKIE):
        response.delete_cookie(cookie, samesite="Lax")


def _posted(http: HttpRequest) -> list[str]:
    return _signed(http, COOKIE, SALT, settings.PROOF_LINK_DAYS * 86_400)


def _signed(http: HttpRequest, cookie: str, salt: str, max_age: int) -> list[Any]:
    try:
        value: list[Any] = signing.loads(http.COOKIES.get(cookie, ""), salt=salt, max_age=max_age)
    except signing.BadSignature:
        return []
    return value


def _set_cookie(response: HttpResponse, cookie: str, value: str, max_age: int) -> None:
    response.set_cookie(cookie, value, max_age=max_age, httponly=True, secure=settings.SECURE, samesite="Lax")

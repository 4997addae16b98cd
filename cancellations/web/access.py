"""Who may see a request's page: its account holder when signed in, or a browser that proved the address.

A browser that posted a request as a guest only sees that it was received, until the address is proven. A signed
cookie holds what a browser may see; guests have no session.
"""

from typing import Literal

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from accounts.queries import accounts_of
from cancellations.models import CancellationRequest

Level = Literal["posted", "proven"]
COOKIE = settings.COOKIE_NAME.format("requests")
SALT = "cancellations.web.access"
REMEMBERED = 20


def level_of(http: HttpRequest, request: CancellationRequest) -> Level | None:
    user, account = http.user, request.account_id
    if account and isinstance(user, User) and accounts_of(user).filter(pk=account).exists():
        return "proven"
    levels = _granted(http)
    if request.joined_to and levels.get(request.joined_to.declaration) == "proven":
        return "proven"  # the same sender proved both
    return levels.get(request.declaration)


def grant(http: HttpRequest, response: HttpResponse, reference: str, level: Level) -> None:
    """Lets this browser see the request's page from now on. Never lowers an earlier level."""
    levels = _granted(http)
    if levels.get(reference) != "proven":
        levels[reference] = level
    newest = dict(list(levels.items())[-REMEMBERED:])
    response.set_cookie(
        COOKIE,
        signing.dumps(newest, salt=SALT, compress=True),
        max_age=settings.PROOF_LINK_DAYS * 86_400,
        httponly=True,
        secure=settings.SECURE,
        samesite="Lax",
    )


def _granted(http: HttpRequest) -> dict[str, Level]:
    try:
        levels: dict[str, Level] = signing.loads(
            http.COOKIES.get(COOKIE, ""), salt=SALT, max_age=settings.PROOF_LINK_DAYS * 86_400
        )
    except signing.BadSignature:
        return {}
    return levels

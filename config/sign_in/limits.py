"""Limits on wrong passwords and codes of staff, and the browsers that strangers cannot lock out.

A browser in which somebody has signed in before is known by a cookie, and its attempts count for itself alone (OWASP
Authentication Cheat Sheet, "device cookies"). All others count by network and address together, by network, and, with
room, by address. Whoever is signed in counts by the session.
"""

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponseBase

from accounts.attempts import Counter, Limit, TooManyAttempts, network_of
from accounts.audit import record_action
from accounts.models import User
from accounts.services.notices import warn_of_wrong_codes
from accounts.visitors import address_of
from config.sign_in.sessions import describe
from messaging.addresses import fold_address

log = logging.getLogger(__name__)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PASSWORD, CODE = "password", "code"
BY_NETWORK_AND_ADDRESS = Limit("network and address", 5)
BY_NETWORK = Limit("network", 50)
BY_ADDRESS = {PASSWORD: Limit("address", 100, HOUR), CODE: Limit("address", 20, HOUR)}  # a code has six digits
BY_BROWSER = Limit("browser", 5)
BY_SESSION = Limit("session", 5)
LINKS_TO_ADDRESS, LINKS_OF_NETWORK = Limit("links to address", 3, HOUR), Limit("links of network", 20, HOUR)
CODES_TO_ADDRESS_FROM_NETWORK = Limit("codes to address from network", 5, HOUR)
CODES_TO_ADDRESS = Limit("codes to address", 20, HOUR)
CODES_OF_NETWORK = Limit("codes of network", 300, HOUR)  # a company's people often share one address
MAILS_TO_UNKNOWN = Limit("mails to unknown address", 2, DAY)
RECORDED_OF_ADDRESS, RECORDED_IN_ALL = Limit("recorded of address", 20, HOUR), Limit("recorded", 500, HOUR)

COOKIE = settings.COOKIE_NAME.format("browser")
SALT = "config.sign_in.browser"
COOKIE_SECONDS, MOST_PEOPLE = 180 * 86_400, 5


def counters(request: HttpRequest, email: str, step: str) -> Sequence[Counter]:
    """What a wrong password or code counts against. `step` is PASSWORD or CODE."""
    email = fold_address(email)
    if isinstance(request.user, User) and request.user.email == email:
        return [Counter(BY_SESSION, f"{request.session.session_key}")]
    user = User.objects.filter(email=email, is_staff=True).first()
    if user is not None and (browser := _known_to(request).get(str(user.pk))):
        return [Counter(BY_BROWSER, f"{step} {browser}")]
    network = network_of(address_of(request))
    return [
        Counter(BY_NETWORK_AND_ADDRESS, f"{step} {network} {email}"),
        Counter(BY_NETWORK, network),
        Counter(BY_ADDRESS[step], f"{step} {email}"),
    ]


def may_send_link(request: HttpRequest, email: str, now: datetime) -> bool:
    """Whether another mail with a link to choose a password may go out, so that nobody is flooded."""
    network = network_of(address_of(request))
    return Counter(LINKS_OF_NETWORK, network).take(now) and Counter(LINKS_TO_ADDRESS, email).take(now)


def count_code(request: HttpRequest, email: str, now: datetime) -> None:
    """Counts a mail with a sign-in code of a customer. Raises TooManyAttempts, so that nobody is flooded.

    What one network asks for counts for itself, up to a number at which the address is flooded from many.
    """
    email, network = fold_address(email), network_of(address_of(request))
    for counter in (
        Counter(CODES_OF_NETWORK, network),
        Counter(CODES_TO_ADDRESS_FROM_NETWORK, f"{network} {email}"),
        Counter(CODES_TO_ADDRESS, email),
    ):
        if not counter.take(now):
            raise TooManyAttempts(counter.limit.window_end(now))


def may_tell_unknown(email: str, now: datetime) -> bool:
    """Whether a mail that there is no account may go to the address."""
    return Counter(MAILS_TO_UNKNOWN, fold_address(email)).take(now)


def remember_browser(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Notes in a cookie that this person has signed in here, for half a year. The cookie signs nobody in."""
    known = {key: value for key, value in _known_to(request).items() if key != str(user.pk)}
    known[str(user.pk)] = secrets.token_urlsafe(12)
    value = signing.dumps(dict(list(known.items())[-MOST_PEOPLE:]), salt=SALT)
    response.set_cookie(COOKIE, value, max_age=COOKIE_SECONDS, httponly=True, secure=settings.SECURE, samesite="Lax")


def _known_to(request: HttpRequest) -> dict[str, str]:
    """The people who have signed in in this browser, each with a random value."""
    try:
        known: dict[str, str] = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=COOKIE_SECONDS)
    except signing.BadSignature:
        return {}
    return known


def record_failure(email: str, why: str, now: datetime) -> None:
    """Records a failed attempt in the audit log; only in the logs once there are very many in an hour."""
    email = fold_address(email)
    user = User.objects.filter(email=email, is_staff=True).first()
    if not Counter(RECORDED_OF_ADDRESS, email).take(now) or not Counter(RECORDED_IN_ALL, "").take(now):
        log.warning("Sign-in failed (%s) for %s.", why, describe(user))
        return
    record_action(verb="sign_in_failed", by=user, now=now, about=email, why=why, actor="")


def warn_person(user: User, now: datetime) -> None:
    """Tells the person, once a day, that somebody had the password and then entered many wrong codes."""
    if cache.add(f"wrong-codes:{user.pk}", True, timeout=DAY.total_seconds()):
        warn_of_wrong_codes(of=user, now=now)

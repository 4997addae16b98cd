"""Sessions: begun by a sign-in; of staff also after the first step, and ended when idle or after some hours."""

import logging
import math
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.audit import record_action
from accounts.desk.proof import PROVEN_AT
from accounts.models import User
from accounts.visitors import address_of
from config.sign_in.factors import has_factor

log = logging.getLogger(__name__)
PENDING, SEEN, SECRET, SIGNED_OUT = "staff_pending", "staff_seen_at", "staff_totp_secret", "staff_signed_out"
SIGNED_IN_AT = "signed_in_at"  # seconds since 1970
IS_GUESSABLE = "staff_is_guessable"
IDLE, HOURS = "idle", "hours"  # why a session was ended
SEEN_EVERY = 30  # seconds
PENDING_FOR = timedelta(minutes=10)
BACKEND = "django.contrib.auth.backends.ModelBackend"


# Signing in, step by step; the state is in the session


def begin(request: HttpRequest, user: User, next_url: str) -> HttpResponse:
    """Records that the first step is done, and redirects to the second factor or to its set-up."""
    request.session.cycle_key()
    request.session[PENDING] = {
        "user": user.pk,
        "at": timezone.now().timestamp(),
        "next": next_url,
        "digest": user.get_session_auth_hash(),
    }
    return redirect("admin:second" if has_factor(user) else "admin:set_up")


def pending(request: HttpRequest) -> tuple[User, str] | None:
    """The user who has done the first step and the page to go to.

    None after PENDING_FOR, and after a change of the user's password or access.
    """
    state = request.session.get(PENDING) or {}
    if timezone.now().timestamp() - (state.get("at") or 0) > PENDING_FOR.total_seconds():
        return None
    user = User.objects.filter(pk=state.get("user") or 0, is_staff=True, is_active=True).first()
    if user is None or not constant_time_compare(state.get("digest") or "", user.get_session_auth_hash()):
        return None
    return user, state.get("next") or ""


def complete(request: HttpRequest, user: User, method: str) -> None:
    """Signs the user in. The session ends after STAFF_SESSION_HOURS, or when it is idle."""
    now = timezone.now()
    login(request, user, backend=BACKEND)
    request.session.pop(PENDING, None)
    request.session[PROVEN_AT] = request.session[SEEN] = now.timestamp()
    _keep_for(request, settings.STAFF_SESSION_HOURS * 3600)
    record_action(verb="sign_in", by=user, now=now, about=user.email, why=method)
    if request.session.pop(IS_GUESSABLE, False):
        messages.warning(request, "Your password is easy to guess by today’s rules. Choose another under “Signing in”.")


def record_sign_in(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Records when the session was begun, and logs it. Called by Django's signal for each sign-in.

    That of staff is in the audit log, too.
    """
    request.session[SIGNED_IN_AT] = timezone.now().timestamp()
    log.info("%s signed in%s from %s.", describe(user), _by_method(request), address_of(request) or "unknown")


def describe(user: object) -> str:
    """The person in a log: by key, because a log is no place for addresses."""
    if not isinstance(user, User):
        return "Nobody known"
    return f"{'Staff' if user.is_staff else 'Customer'} {user.pk}"


def _by_method(request: HttpRequest) -> str:
    """How a customer signed in, as django-allauth records it: «code» or «mfa» for a passkey."""
    methods = request.session.get("account_authentication_methods") or [{}]
    return f" by {method}" if (method := methods[-1].get("method")) else ""


def end_customer_session_when_due(request: HttpRequest) -> None:
    """Ends a session of a customer SESSION_COOKIE_AGE after its sign-in, however much it is used."""
    begun_at = request.session.get(SIGNED_IN_AT)
    is_staff = SEEN in request.session
    if begun_at and not is_staff and timezone.now().timestamp() - begun_at > settings.SESSION_COOKIE_AGE:
        logout(request)


def end_staff_session_when_due(request: HttpRequest) -> None:
    """Ends a session of staff after STAFF_IDLE_MINUTES without activity, and STAFF_SESSION_HOURS after its sign-in.

    The middleware calls it for each request of staff. The presence script of an open page is no activity.
    """
    seen_at, now = request.session.get(SEEN), timezone.now().timestamp()
    if seen_at is None or not request.user.is_authenticated:
        return
    begun_at = request.session.get(SIGNED_IN_AT) or request.session.get(PROVEN_AT) or 0
    seconds_left = begun_at + settings.STAFF_SESSION_HOURS * 3600 - now
    if reason := HOURS if seconds_left <= 0 else IDLE if now - seen_at > settings.STAFF_IDLE_MINUTES * 60 else "":
        logout(request)
        request.session[SIGNED_OUT] = reason
    elif now - seen_at > SEEN_EVERY and not request.path.endswith("/looking/"):
        request.session[SEEN] = now
        request.session.setdefault(SIGNED_IN_AT, begun_at)
        _keep_for(request, seconds_left)


def _keep_for(request: HttpRequest, seconds: float) -> None:
    """Keeps the row of the session a little longer than the session, so that the page can say why it has ended."""
    request.session.set_expiry(math.ceil(seconds) + settings.STAFF_IDLE_MINUTES * 60)

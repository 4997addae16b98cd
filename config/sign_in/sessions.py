"""Sessions of staff: the first step done, signed in, and signed out when idle."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts.audit import record_action
from accounts.desk.proof import PROVEN_AT
from accounts.models import User
from config.sign_in.factors import has_factor

PENDING, SEEN, SECRET, GONE = "staff_pending", "staff_seen_at", "staff_totp_secret", "staff_signed_out"


PENDING_FOR = timedelta(minutes=10)


BACKEND = "django.contrib.auth.backends.ModelBackend"


# What the session knows of somebody on the way in


def begin(request: HttpRequest, user: User, following: str) -> HttpResponse:
    """The first step is done: on to the second factor, or to setting one up."""
    request.session.cycle_key()
    request.session[PENDING] = {"user": user.pk, "at": timezone.now().timestamp(), "next": following}
    return redirect("admin:second" if has_factor(user) else "admin:set_up")


def pending(request: HttpRequest) -> tuple[User, str] | None:
    """Who is on the way in, and where to; None after ten minutes."""
    told = request.session.get(PENDING) or {}
    if timezone.now().timestamp() - (told.get("at") or 0) > PENDING_FOR.total_seconds():
        return None
    user = User.objects.filter(pk=told.get("user") or 0, is_staff=True, is_active=True).first()
    return (user, told.get("next") or "") if user else None


def complete(request: HttpRequest, user: User, how: str) -> None:
    """The session is the person's; it ends after some hours, or sooner when nothing is done in it."""
    now = timezone.now()
    login(request, user, backend=BACKEND)
    request.session.pop(PENDING, None)
    request.session[PROVEN_AT] = request.session[SEEN] = now.timestamp()
    request.session.set_expiry(settings.STAFF_SESSION_HOURS * 3600)
    record_action(verb="sign_in", by=user, now=now, about=user.email, why=how)


def signed_out_when_idle(request: HttpRequest) -> None:
    """Ends a session in which nothing was done for a while; asked by the middleware at each page for staff."""
    now = timezone.now().timestamp()
    seen = request.session.get(SEEN)
    if seen is None or not request.user.is_authenticated:
        return
    if now - seen > settings.STAFF_IDLE_MINUTES * 60:
        logout(request)
        request.session[GONE] = True
    elif now - seen > 30 and not request.path.endswith("/looking/"):  # a page that only lies open does nothing
        request.session[SEEN] = now

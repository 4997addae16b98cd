"""Sessions of staff: after the first step, signed in, and signed out when idle."""

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

PENDING, SEEN, SECRET, SIGNED_OUT = "staff_pending", "staff_seen_at", "staff_totp_secret", "staff_signed_out"


PENDING_FOR = timedelta(minutes=10)


BACKEND = "django.contrib.auth.backends.ModelBackend"


# Signing in, step by step; the state is in the session


def begin(request: HttpRequest, user: User, next_url: str) -> HttpResponse:
    """Records that the first step is done, and redirects to the second factor or to its set-up."""
    request.session.cycle_key()
    request.session[PENDING] = {"user": user.pk, "at": timezone.now().timestamp(), "next": next_url}
    return redirect("admin:second" if has_factor(user) else "admin:set_up")


def pending(request: HttpRequest) -> tuple[User, str] | None:
    """The user who has done the first step and the page to go to; None after PENDING_FOR."""
    state = request.session.get(PENDING) or {}
    if timezone.now().timestamp() - (state.get("at") or 0) > PENDING_FOR.total_seconds():
        return None
    user = User.objects.filter(pk=state.get("user") or 0, is_staff=True, is_active=True).first()
    return (user, state.get("next") or "") if user else None


def complete(request: HttpRequest, user: User, method: str) -> None:
    """Signs the user in. The session ends after STAFF_SESSION_HOURS, or when it is idle."""
    now = timezone.now()
    login(request, user, backend=BACKEND)
    request.session.pop(PENDING, None)
    request.session[PROVEN_AT] = request.session[SEEN] = now.timestamp()
    request.session.set_expiry(settings.STAFF_SESSION_HOURS * 3600)
    record_action(verb="sign_in", by=user, now=now, about=user.email, why=method)


def sign_out_when_idle(request: HttpRequest) -> None:
    """Ends a session that was idle for STAFF_IDLE_MINUTES. The middleware calls it for each request of staff."""
    now = timezone.now().timestamp()
    seen_at = request.session.get(SEEN)
    if seen_at is None or not request.user.is_authenticated:
        return
    if now - seen_at > settings.STAFF_IDLE_MINUTES * 60:
        logout(request)
        request.session[SIGNED_OUT] = True
    elif now - seen_at > 30 and not request.path.endswith(
        "/looking/"
    ):  # the presence script of an open page is no activity
        request.session[SEEN] = now

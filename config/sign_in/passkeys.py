"""Passkeys for customers (W3C Web Authentication): an optional alternative to the code by e-mail.

django-allauth handles the ceremonies; the pages and the permissions are ours. Staff use their passkeys elsewhere
(config/sign_in/staff_factors.py).
"""

import functools
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from allauth.account.models import Login
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth, flows
from allauth.mfa.webauthn.views import AddWebAuthnView, LoginWebAuthnView
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from accounts.services.customers import customer_who_may_sign_in
from accounts.services.sessions import end_other_sessions, end_session, sessions_of
from accounts.visitors import address_of
from config.sign_in.sessions import SIGNED_IN_AT
from messaging.services.outbox import queue_message

log = logging.getLogger(__name__)
View = TypeVar("View", bound=Callable[..., HttpResponse])
MAX_PASSKEYS = 10
RECENT = timedelta(minutes=10)
MALFORMED = (KeyError, TypeError, ValueError, AttributeError)  # what the library raises for a malformed credential


def requires_recent_sign_in(view: View) -> View:
    """Asks for a new sign-in before the view runs, if the last one is older than RECENT.

    Whoever finds a browser in which somebody is signed in cannot add a passkey, to come back with it.
    """

    @functools.wraps(view)
    def checked(http: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        signed_in_at = http.session.get(SIGNED_IN_AT) or 0
        if timezone.now().timestamp() - signed_in_at < RECENT.total_seconds():
            return view(http, *args, **kwargs)
        logout(http)
        messages.info(http, _("Please sign in again before you change your passkeys."))
        return redirect(f"{reverse('account_request_login_code')}?{urlencode({'next': reverse('mfa_index')})}")

    return checked  # type: ignore[return-value]


def passkeys_of(user: User) -> QuerySet[Authenticator]:
    rows: QuerySet[Authenticator] = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN)
    return rows.order_by("created_at")


@never_cache
@require_safe
@login_required
def passkeys(http: HttpRequest) -> HttpResponse:
    """The page with the customer's passkeys and sessions."""
    assert isinstance(http.user, User)
    if http.user.is_staff:
        return redirect("admin:index")
    rows = [(row.pk, row.wrap().name, row.created_at, row.last_used_at) for row in passkeys_of(http.user)]
    sessions = sessions_of(http.user, current=http.session.session_key)
    context = {"passkeys": rows, "may_add": len(rows) < MAX_PASSKEYS, "sessions": sessions}
    return render(http, "account/passkeys.html", context)


@method_decorator([never_cache, login_required, requires_recent_sign_in], name="dispatch")
class Add(AddWebAuthnView):
    """Adds a discoverable passkey with user verification, which is enough to sign in."""

    template_name = "account/passkey_add.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        if not isinstance(user, User) or user.is_staff or passkeys_of(user).count() >= MAX_PASSKEYS:
            return redirect("mfa_index")
        return super().dispatch(request, *args, **kwargs)

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().post(*args, **kwargs)
        except MALFORMED:
            return self.form_invalid(None)

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        form.fields["name"].max_length = 100
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["options"] = auth.begin_registration(self.request.user, True)
        return {**context, **kwargs}

    def form_valid(self, form: Any) -> HttpResponse:
        name = form.cleaned_data["name"][:100]
        flows.add_authenticator(self.request, name=name, credential=form.cleaned_data["credential"])
        _notify(self.request, "passkey_added", name)
        end_other_sessions(self.request)
        messages.success(self.request, _("From now on you can sign in with this passkey."))
        return redirect("mfa_index")

    def form_invalid(self, form: Any) -> HttpResponse:
        messages.warning(self.request, _("That did not work. Nothing was changed; please try again."))
        return redirect("mfa_add_webauthn")


@never_cache
@require_http_methods(["POST"])
@login_required
@requires_recent_sign_in
def remove(http: HttpRequest, key: int) -> HttpResponse:
    """Removes one of the customer's own passkeys."""
    assert isinstance(http.user, User)
    passkey = get_object_or_404(passkeys_of(http.user), pk=key)
    name = passkey.wrap().name
    passkey.delete()
    _notify(http, "passkey_removed", name)
    end_other_sessions(http)
    messages.success(http, _("The passkey was removed. You can still sign in with a code by e-mail."))
    return redirect("mfa_index")


@never_cache
@require_http_methods(["POST"])
@login_required
def end_sessions(http: HttpRequest) -> HttpResponse:
    """Ends one of the customer's own sessions (`session` in the form), or all others."""
    assert isinstance(http.user, User)
    key = http.POST.get("session", "")
    if not key:
        end_other_sessions(http)
        messages.success(http, _("You are signed out everywhere else."))
    elif key.isdecimal() and end_session(of=http.user, key=int(key[:18])):
        messages.success(http, _("You are signed out there."))
    return redirect("mfa_index")


class SignIn(LoginWebAuthnView):
    """Signs in with a passkey. Open to those who may sign in by a code: no staff, nobody with only revoked accounts."""

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().post(*args, **kwargs)
        except MALFORMED:
            return self.form_invalid(None)

    def form_valid(self, form: Any) -> HttpResponse:
        authenticator = form.cleaned_data["credential"]
        if customer_who_may_sign_in(email=authenticator.user.email) is None:
            return self.form_invalid(form)
        login = Login(user=authenticator.user, redirect_url=reverse("subscriptions"))
        response: HttpResponse = flows.perform_passwordless_login(self.request, authenticator, login)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        log.warning("A passkey was refused at the sign-in from %s.", address_of(self.request) or "unknown")
        messages.warning(self.request, _("We do not recognise this passkey. Sign in with a code instead."))
        return redirect("account_request_login_code")


def _notify(http: HttpRequest, kind: str, name: str) -> None:
    """Sends a mail, so that the customer learns of a passkey that somebody else added or removed."""
    assert isinstance(http.user, User)
    queue_message(kind=kind, recipient=http.user.email, context={"name": name}, now=timezone.now())

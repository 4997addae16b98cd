"""Passkeys for customers: optional, beside the code by e-mail, which always works (W3C Web Authentication).

The ceremonies are django-allauth's; the pages, and who may, are ours. Staff have no passkey here.
"""

from typing import Any

from allauth.account.models import Login
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth, flows
from allauth.mfa.webauthn.views import AddWebAuthnView, LoginWebAuthnView
from django.contrib import messages
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
from accounts.services import customer_who_may_sign_in
from messaging.services.outbox import queue_message

MOST = 10
MALFORMED = (KeyError, TypeError, ValueError, AttributeError)  # what the library raises for what is no credential


def passkeys_of(user: User) -> QuerySet[Authenticator]:
    found: QuerySet[Authenticator] = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN)
    return found.order_by("created_at")


@never_cache
@require_safe
@login_required
def passkeys(http: HttpRequest) -> HttpResponse:
    """The customer's passkeys."""
    assert isinstance(http.user, User)
    if http.user.is_staff:
        return redirect("admin:index")
    found = [(one.pk, one.wrap().name, one.created_at, one.last_used_at) for one in passkeys_of(http.user)]
    return render(http, "account/passkeys.html", {"passkeys": found, "may_add": len(found) < MOST})


@method_decorator([never_cache, login_required], name="dispatch")
class Add(AddWebAuthnView):
    """A passkey that the device keeps and that a person unlocks, so that it signs in alone."""

    template_name = "account/passkey_add.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        if not isinstance(user, User) or user.is_staff or passkeys_of(user).count() >= MOST:
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
        _tell(self.request, "passkey_added", name)
        messages.success(self.request, _("From now on you can sign in with this passkey."))
        return redirect("mfa_index")

    def form_invalid(self, form: Any) -> HttpResponse:
        messages.warning(self.request, _("That did not work. Nothing was changed; please try again."))
        return redirect("mfa_add_webauthn")


@never_cache
@require_http_methods(["POST"])
@login_required
def remove(http: HttpRequest, key: int) -> HttpResponse:
    """Takes one of the customer's own passkeys away."""
    assert isinstance(http.user, User)
    found = get_object_or_404(passkeys_of(http.user), pk=key)
    name = found.wrap().name
    found.delete()
    _tell(http, "passkey_removed", name)
    messages.success(http, _("The passkey was removed. The code by e-mail works as before."))
    return redirect("mfa_index")


class SignIn(LoginWebAuthnView):
    """Signs in by a passkey whoever may sign in by a code: no staff, and nobody whose accounts were revoked."""

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
        messages.warning(self.request, _("This passkey is not known here. Sign in by a code instead."))
        return redirect("account_request_login_code")


def _tell(http: HttpRequest, kind: str, name: str) -> None:
    """By mail, so that a passkey that somebody else made or took away does not stay unseen."""
    assert isinstance(http.user, User)
    queue_message(kind=kind, recipient=http.user.email, context={"name": name}, now=timezone.now())

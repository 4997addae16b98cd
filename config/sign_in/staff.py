"""The sign-in pages of staff: a password or the company's identity provider, then a second factor."""

import json
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth as webauthn
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from accounts.desk.proof import PROVEN_AT
from accounts.models import User
from accounts.services.sessions import renew_session_key
from config.sign_in.factors import LOCKED, Kinds, has_factor, record_failure, too_many_failures, verify_code
from config.sign_in.sessions import SIGNED_OUT, begin, complete, pending
from messaging.forms import KeepableTextMixin

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, ValidationError)


class SignInForm(KeepableTextMixin, forms.Form):
    username = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
        error_messages={"required": "Enter your e-mail address.", "invalid": "Enter an address like name@example.com."},
    )
    password = forms.CharField(
        max_length=500,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": "Enter your password."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


class CodeForm(KeepableTextMixin, forms.Form):
    code = forms.CharField(
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
        error_messages={"required": "Enter the code."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


# Pages


def sign_in_page(request: HttpRequest, template: str, status: int = 200, **context: Any) -> HttpResponse:
    from django.contrib import admin

    return render(
        request, f"desk/signin/{template}.html", {**admin.site.each_context(request), **context}, status=status
    )


def next_page(request: HttpRequest, url: str) -> str:
    """The URL if it is on this site, otherwise the first page of the staff interface."""
    is_safe = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_safe else reverse("admin:index")


@sensitive_post_parameters("password")
@never_cache
@csrf_protect
def sign_in(request: HttpRequest) -> HttpResponse:
    """The first step. The answer is the same whether the address or the password is wrong."""
    from django.contrib import admin

    next_url = next_page(request, request.POST.get("next") or request.GET.get("next", ""))
    if admin.site.has_permission(request):
        return redirect(next_url)
    form, now = SignInForm(request.POST if request.method == "POST" else None), timezone.now()
    if form.is_valid():
        email = form.cleaned_data["username"].lower()
        if too_many_failures(email, now):
            form.add_error(None, LOCKED)
        else:
            user = authenticate(request, username=email, password=form.cleaned_data["password"])
            if isinstance(user, User) and user.is_staff:
                return begin(request, user, next_url)
            record_failure(email, "password")
            form.add_error(None, "The address or the password is wrong. Passwords are case-sensitive.")
    context = {
        "form": form,
        "next": next_url,
        "signed_out": request.session.pop(SIGNED_OUT, ""),
        "idle_minutes": settings.STAFF_IDLE_MINUTES,
        "session_hours": settings.STAFF_SESSION_HOURS,
        "title": "Sign in",
    }
    context["oidc"] = settings.OIDC_NAME if settings.OIDC_CLIENT_ID else ""
    return sign_in_page(request, "password", 422 if form.is_bound else 200, **context)


@never_cache
@csrf_protect
def second(request: HttpRequest) -> HttpResponse:
    """The second step of signing in."""
    state = pending(request)
    if state is None:
        return redirect("admin:login")
    user, next_url = state
    if not has_factor(user):
        return redirect("admin:set_up")
    return _ask_for_factor(request, user, next_url, "Second step", "sign_in")


@never_cache
@csrf_protect
def confirm(request: HttpRequest) -> HttpResponse:
    """Asks for the second factor again, before moving money or terminating an account."""
    assert isinstance(request.user, User)
    next_url = next_page(request, request.POST.get("next") or request.GET.get("next", ""))
    return _ask_for_factor(request, request.user, next_url, "Confirm that it is you", "confirm")


def _ask_for_factor(request: HttpRequest, user: User, next_url: str, title: str, purpose: str) -> HttpResponse:
    form, now = CodeForm(request.POST if request.method == "POST" else None), timezone.now()
    if form.is_valid():
        if too_many_failures(user.email, now):
            form.add_error(None, LOCKED)
        elif method := verify_code(user, form.cleaned_data["code"]):
            return _accept(request, user, next_url, method)
        else:
            record_failure(user.email, "second factor")
            form.add_error("code", "This code is wrong or was already used. Wait for the next one.")
    kinds = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    context = {"form": form, "next": next_url, "title": title, "purpose": purpose}
    context |= {"has_app": Kinds.TOTP in kinds, "has_passkey": Kinds.WEBAUTHN in kinds}
    return sign_in_page(request, "second", 422 if form.is_bound else 200, **context)


def _accept(request: HttpRequest, user: User, next_url: str, method: str) -> HttpResponse:
    if request.user.is_authenticated and request.user.pk == user.pk:
        renew_session_key(request)
        request.session[PROVEN_AT] = timezone.now().timestamp()
    else:
        complete(request, user, method)
    return redirect(next_page(request, next_url))


@never_cache
@csrf_protect
def second_by_passkey(request: HttpRequest) -> HttpResponse:
    """GET returns the options for the browser, POST verifies the passkey's answer."""
    state = pending(request)
    if state is None and not request.user.is_authenticated:
        return redirect("admin:login")
    is_signed_in = isinstance(request.user, User) and request.user.is_staff
    user, next_url = (request.user, request.POST.get("next", "")) if is_signed_in else state or (None, "")
    if not isinstance(user, User):
        raise PermissionDenied
    if request.method != "POST":
        return JsonResponse({"request_options": webauthn.begin_authentication(user)})
    if too_many_failures(user.email, timezone.now()):
        messages.error(request, LOCKED)
        return redirect("admin:second")
    try:
        authenticator = webauthn.complete_authentication(user, json.loads(request.POST.get("credential", "")))
    except MALFORMED:
        record_failure(user.email, "passkey")
        messages.error(request, "This passkey was not accepted. Try again, or use a code.")
        url = f"{reverse('admin:confirm')}?{urlencode({'next': next_url})}" if is_signed_in else reverse("admin:second")
        return redirect(url)
    authenticator.record_usage()
    return _accept(request, user, next_url, "passkey")

"""The sign-in pages of staff: a password or the company's identity provider, then a second factor."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
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
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from accounts.attempts import Attempt, TooManyAttempts, limited
from accounts.desk.proof import PROVEN_AT
from accounts.models import User
from accounts.services.sessions import renew_session_key
from accounts.visitors import path_on_this_site
from config.sign_in.factors import Kinds, has_factor, verify_code
from config.sign_in.limits import CODE, PASSWORD, counters, record_failure, remember_browser, warn_person
from config.sign_in.password_rules import MOST_CHARACTERS, is_weak
from config.sign_in.sessions import IS_GUESSABLE, SIGNED_OUT, begin, complete, pending
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
        max_length=MOST_CHARACTERS,
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


def form_page(
    request: HttpRequest, template: str, form: forms.Form, refusal: TooManyAttempts | None, **context: Any
) -> HttpResponse:
    """A page with a form: 422 with what is wrong, 429 with the time at which to try again."""
    if refusal:
        form.add_error(None, wait_until(refusal))
    status = 429 if refusal else 422 if form.is_bound else 200
    response = sign_in_page(request, template, status, form=form, **context)
    if refusal:
        response.headers["Retry-After"] = str(max(1, math.ceil((refusal.until - timezone.now()).total_seconds())))
    return response


def wait_until(refusal: TooManyAttempts) -> str:
    return f"Too many wrong attempts. Try again at {timezone.localtime(refusal.until):%H:%M}."


def next_page(request: HttpRequest, url: str) -> str:
    """The URL if it is a path on this site, otherwise the first page of the staff interface."""
    return path_on_this_site(request, url, reverse("admin:index"))


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
    refusal: TooManyAttempts | None = None
    if form.is_valid():
        email = form.cleaned_data["username"]
        try:
            with limited(*counters(request, email, PASSWORD), now=now) as attempt:
                user = authenticate(request, username=email, password=form.cleaned_data["password"])
                if isinstance(user, User) and user.is_staff:
                    request.session[IS_GUESSABLE] = is_weak(form.cleaned_data["password"], user)
                    return begin(request, user, next_url)
                attempt.has_failed = True
            record_failure(email, "password", now)
            form.add_error(None, "The address or the password is wrong. Passwords are case-sensitive.")
        except TooManyAttempts as error:
            refusal = error
    context = {
        "next": next_url,
        "signed_out": request.session.pop(SIGNED_OUT, ""),
        "idle_minutes": settings.STAFF_IDLE_MINUTES,
        "session_hours": settings.STAFF_SESSION_HOURS,
        "title": "Sign in",
    }
    context["oidc"] = settings.OIDC_NAME if settings.OIDC_CLIENT_ID else ""
    return form_page(request, "password", form, refusal, **context)


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
    refusal: TooManyAttempts | None = None
    if form.is_valid():
        try:
            with _limited_codes(request, user, now) as attempt:
                if method := verify_code(user, form.cleaned_data["code"]):
                    return _accept(request, user, next_url, method)
                attempt.has_failed = True
            record_failure(user.email, "second factor", now)
            form.add_error("code", "This code is wrong or was already used. Wait for the next one.")
        except TooManyAttempts as error:
            refusal = error
    kinds = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    context: dict[str, Any] = {"next": next_url, "title": title, "purpose": purpose}
    context |= {"has_app": Kinds.TOTP in kinds, "has_passkey": Kinds.WEBAUTHN in kinds}
    return form_page(request, "second", form, refusal, **context)


@contextmanager
def _limited_codes(request: HttpRequest, user: User, now: datetime) -> Iterator[Attempt]:
    """Limits wrong codes and passkeys. Tells the person if somebody who has the password reaches the limit."""
    try:
        with limited(*counters(request, user.email, CODE), now=now) as attempt:
            yield attempt
    except TooManyAttempts:
        if not request.user.is_authenticated:
            warn_person(user, now)
        raise


def _accept(request: HttpRequest, user: User, next_url: str, method: str) -> HttpResponse:
    if request.user.is_authenticated and request.user.pk == user.pk:
        renew_session_key(request)
        request.session[PROVEN_AT] = timezone.now().timestamp()
        return redirect(next_page(request, next_url))
    complete(request, user, method)
    response = redirect(next_page(request, next_url))
    remember_browser(request, response, user)
    return response


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
    now = timezone.now()
    page = f"{reverse('admin:confirm')}?{urlencode({'next': next_url})}" if is_signed_in else reverse("admin:second")
    try:
        with _limited_codes(request, user, now) as attempt:
            authenticator = _verified_passkey(request, user)
            attempt.has_failed = authenticator is None
    except TooManyAttempts as error:
        messages.error(request, wait_until(error))
        return redirect(page)
    if authenticator is None:
        record_failure(user.email, "passkey", now)
        messages.error(request, "This passkey was not accepted. Try again, or use a code.")
        return redirect(page)
    authenticator.record_usage()
    return _accept(request, user, next_url, "passkey")


def _verified_passkey(request: HttpRequest, user: User) -> Authenticator | None:
    try:
        passkey: Authenticator = webauthn.complete_authentication(user, json.loads(request.POST.get("credential", "")))
    except MALFORMED:
        return None
    return passkey

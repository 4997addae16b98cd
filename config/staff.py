"""How staff sign in: a password or the company's identity provider, and always a second factor.

The second factor is a code of an authenticator app (TOTP, RFC 6238), a passkey (W3C Web Authentication) or a
recovery code; django-allauth keeps and checks them. Who has none yet sets one up before anything else.
"""

import json
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.adapter import get_adapter as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code
from allauth.mfa.utils import decrypt
from allauth.mfa.webauthn.internal import auth as webauthn
from cryptography.fernet import InvalidToken, MultiFernet
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate, login, logout
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from unfold.sites import UnfoldAdminSite

from accounts.audit import note_deed
from accounts.desk.proof import PROVEN_AT, is_proven
from accounts.models import Deed, User
from config.dashboard import as_csv
from messaging.sealing import box

PENDING, SEEN, SECRET, GONE = "staff_pending", "staff_seen_at", "staff_totp_secret", "staff_signed_out"
PENDING_FOR = timedelta(minutes=10)
MOST_FAILURES, WITHIN = 5, timedelta(minutes=15)
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, ValidationError)
BACKEND = "django.contrib.auth.backends.ModelBackend"
Kinds = Authenticator.Type


class Sealed(DefaultMFAAdapter):
    """Secrets of second factors are kept encrypted: a copy of the database alone signs nobody in."""

    @cached_property
    def _box(self) -> MultiFernet:
        return box("second factors")

    def encrypt(self, text: str) -> str:
        return self._box.encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return self._box.decrypt(encrypted_text.encode()).decode()


class SignInForm(forms.Form):
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


class CodeForm(forms.Form):
    code = forms.CharField(
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
        error_messages={"required": "Enter the code."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


class PortalAdminSite(UnfoldAdminSite):
    """The staff interface: open to active staff whose session has a second factor."""

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(super().has_permission(request)) and is_proven(request)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("second/", second, name="second"),
            path("second/passkey/", second_by_passkey, name="second_passkey"),
            path("second/set-up/", set_up, name="set_up"),
            path("second/set-up/passkey/", set_up_passkey, name="set_up_passkey"),
            path("dashboard.csv", self.admin_view(as_csv), name="dashboard_csv"),
            path("confirm/", self.admin_view(confirm), name="confirm"),
            path("security/", self.admin_view(security), name="security"),
            path("security/<int:key>/remove/", self.admin_view(remove_factor), name="remove_factor"),
            path("security/codes/", self.admin_view(recovery_codes), name="recovery_codes"),
        ]
        return [*own, *super().get_urls()]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return sign_in(request)


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
    note_deed(verb="sign_in", by=user, now=now, about=user.email, why=how)


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


# Factors


def has_factor(user: User) -> bool:
    return Authenticator.objects.filter(user=user, type__in=(Kinds.TOTP, Kinds.WEBAUTHN)).exists()


def code_is_right(user: User, code: str) -> str:
    """How the code proves the person: «authenticator app» or «recovery code»; empty where it does not.

    A code counts once, whichever process is asked.
    """
    typed = "".join(code.split()).replace("-", "")
    with transaction.atomic():
        for found in Authenticator.objects.select_for_update().filter(user=user).order_by("pk"):
            try:
                if found.type == Kinds.TOTP and validate_totp_code(decrypt(found.data["secret"]), typed):
                    used, now = found.data.get("used", []), timezone.now()
                    if typed in used:
                        return ""
                    found.data["used"], found.last_used_at = [typed, *used][:5], now
                    found.save(update_fields=["data", "last_used_at"])
                    return "authenticator app"
                if found.type == Kinds.RECOVERY_CODES and RecoveryCodes(found).validate_code(typed):
                    return "recovery code"
            except InvalidToken:  # sealed with a key that is gone: as if it were not there
                continue
    return ""


def too_many_failures(email: str, now: datetime) -> bool:
    failed = Deed.objects.filter(verb="sign_in_failed", about=email.lower()[:254], at__gt=now - WITHIN)
    return failed[:MOST_FAILURES].count() == MOST_FAILURES


def note_failure(email: str, why: str) -> None:
    known = User.objects.filter(email=email.lower(), is_staff=True).first()
    note_deed(verb="sign_in_failed", by=known, now=timezone.now(), about=email.lower(), why=why, actor="")


LOCKED = "Too many attempts. Wait a quarter of an hour, then try again."


# Pages


def _page(request: HttpRequest, template: str, status: int = 200, **context: Any) -> HttpResponse:
    from django.contrib import admin

    return render(
        request, f"desk/signin/{template}.html", {**admin.site.each_context(request), **context}, status=status
    )


def _following(request: HttpRequest, told: str) -> str:
    fitting = url_has_allowed_host_and_scheme(told, {request.get_host()}, require_https=request.is_secure())
    return told if fitting else reverse("admin:index")


@sensitive_post_parameters("password")
@never_cache
@csrf_protect
def sign_in(request: HttpRequest) -> HttpResponse:
    """E-mail address and password; says the same whether the address or the password is wrong."""
    from django.contrib import admin

    following = _following(request, request.POST.get("next") or request.GET.get("next", ""))
    if admin.site.has_permission(request):
        return redirect(following)
    form, now = SignInForm(request.POST if request.method == "POST" else None), timezone.now()
    if form.is_valid():
        email = form.cleaned_data["username"].lower()
        if too_many_failures(email, now):
            form.add_error(None, LOCKED)
        else:
            user = authenticate(request, username=email, password=form.cleaned_data["password"])
            if isinstance(user, User) and user.is_staff:
                return begin(request, user, following)
            note_failure(email, "password")
            form.add_error(None, "This address and password do not belong together. Capital letters count.")
    idle = request.session.pop(GONE, False)
    context = {"form": form, "next": following, "idle": settings.STAFF_IDLE_MINUTES if idle else 0, "title": "Sign in"}
    context["oidc"] = settings.OIDC_NAME if settings.OIDC_CLIENT_ID else ""
    return _page(request, "password", 422 if form.is_bound else 200, **context)


@never_cache
@csrf_protect
def second(request: HttpRequest) -> HttpResponse:
    """The second factor of somebody who gave the right password."""
    known = pending(request)
    if known is None:
        return redirect("admin:login")
    user, following = known
    if not has_factor(user):
        return redirect("admin:set_up")
    return _ask_for_factor(request, user, following, "Second step", "sign_in")


@never_cache
@csrf_protect
def confirm(request: HttpRequest) -> HttpResponse:
    """The second factor once more, before something that moves money or ends an account."""
    assert isinstance(request.user, User)
    following = _following(request, request.POST.get("next") or request.GET.get("next", ""))
    return _ask_for_factor(request, request.user, following, "Prove once more that it is you", "confirm")


def _ask_for_factor(request: HttpRequest, user: User, following: str, title: str, why: str) -> HttpResponse:
    form, now = CodeForm(request.POST if request.method == "POST" else None), timezone.now()
    if form.is_valid():
        if too_many_failures(user.email, now):
            form.add_error(None, LOCKED)
        elif how := code_is_right(user, form.cleaned_data["code"]):
            return _proven(request, user, following, how)
        else:
            note_failure(user.email, "second factor")
            form.add_error("code", "This code is not right, or it was used already. Wait for the next one.")
    kinds = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    context = {"form": form, "next": following, "title": title, "why": why}
    context |= {"has_app": Kinds.TOTP in kinds, "has_passkey": Kinds.WEBAUTHN in kinds}
    return _page(request, "second", 422 if form.is_bound else 200, **context)


def _proven(request: HttpRequest, user: User, following: str, how: str) -> HttpResponse:
    if request.user.is_authenticated and request.user.pk == user.pk:
        request.session[PROVEN_AT] = timezone.now().timestamp()
    else:
        complete(request, user, how)
    return redirect(_following(request, following))


@never_cache
@csrf_protect
def second_by_passkey(request: HttpRequest) -> HttpResponse:
    """GET: what the browser asks the key; POST: the key's answer."""
    known = pending(request)
    if known is None and not request.user.is_authenticated:
        return redirect("admin:login")
    signed_in = isinstance(request.user, User) and request.user.is_staff
    user, following = (request.user, request.POST.get("next", "")) if signed_in else known or (None, "")
    if not isinstance(user, User):
        raise PermissionDenied
    if request.method != "POST":
        return JsonResponse({"request_options": webauthn.begin_authentication(user)})
    if too_many_failures(user.email, timezone.now()):
        messages.error(request, LOCKED)
        return redirect("admin:second")
    try:
        found = webauthn.complete_authentication(user, json.loads(request.POST.get("credential", "")))
    except MALFORMED:
        note_failure(user.email, "passkey")
        messages.error(request, "This passkey was not accepted. Try again, or use a code.")
        back = f"{reverse('admin:confirm')}?{urlencode({'next': following})}" if signed_in else reverse("admin:second")
        return redirect(back)
    found.record_usage()
    return _proven(request, user, following, "passkey")


@never_cache
@csrf_protect
def set_up(request: HttpRequest) -> HttpResponse:
    """The authenticator app of somebody who has no second factor yet, or adds one."""
    user, following = _who_sets_up(request)
    secret = request.session.setdefault(SECRET, generate_totp_secret())
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        if validate_totp_code(secret, "".join(form.cleaned_data["code"].split())):
            with transaction.atomic():
                Authenticator.objects.filter(user=user, type=Kinds.TOTP).delete()
                TOTP.activate(user, secret)
            del request.session[SECRET]
            return _set_up_done(request, user, following, "authenticator app")
        form.add_error("code", "This code does not fit. Is the clock of the device right? Enter the one shown now.")
    address = mfa().build_totp_url(user, secret)
    context = {"form": form, "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))}
    context |= {"picture": mark_safe(mfa().build_totp_svg(address)), "signed_in": request.user.is_authenticated}
    return _page(request, "set_up", 422 if form.is_bound else 200, title="Set up your second step", **context)


@never_cache
@csrf_protect
def set_up_passkey(request: HttpRequest) -> HttpResponse:
    user, following = _who_sets_up(request)
    if request.method == "POST":
        try:
            credential = json.loads(request.POST.get("credential", ""))
            webauthn.complete_registration(credential)
            webauthn.WebAuthn.add(user, request.POST.get("name", "").strip()[:100] or "Passkey", credential)
        except MALFORMED:
            messages.error(request, "That did not work. Nothing was changed; please try again.")
            return redirect("admin:set_up_passkey")
        return _set_up_done(request, user, following, "passkey")
    options = webauthn.begin_registration(user, False)
    return _page(request, "set_up_passkey", title="Add a passkey", options=options)


def _who_sets_up(request: HttpRequest) -> tuple[User, str]:
    """Somebody on the way in without a factor, or somebody signed in with one, proven."""
    known = pending(request)
    if isinstance(request.user, User) and request.user.is_staff and is_proven(request):
        return request.user, reverse("admin:security")
    if known is None or has_factor(known[0]):
        raise PermissionDenied
    return known


def _set_up_done(request: HttpRequest, user: User, following: str, what: str) -> HttpResponse:
    note_deed(verb="second_factor_added", by=user, now=timezone.now(), about=user.email, why=what)
    RecoveryCodes.activate(user)
    if not request.user.is_authenticated:
        complete(request, user, what)
    request.session["show_codes"] = True
    request.session["after_codes"] = following
    return redirect("admin:recovery_codes")


@never_cache
@csrf_protect
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Shown once after a factor was set up; anew on demand, and then the old ones count no more."""
    assert isinstance(request.user, User)
    if request.method == "POST":
        Authenticator.objects.filter(user=request.user, type=Kinds.RECOVERY_CODES).delete()
        RecoveryCodes.activate(request.user)
        note_deed(verb="recovery_codes_renewed", by=request.user, now=timezone.now(), about=request.user.email)
        request.session["show_codes"] = True
        return redirect("admin:recovery_codes")
    if not request.session.pop("show_codes", False):
        return redirect("admin:security")
    codes = RecoveryCodes.activate(request.user).get_unused_codes()
    following = _following(request, request.session.pop("after_codes", ""))
    return _page(request, "codes", title="Recovery codes", codes=codes, next=following)


def security(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    factors = Authenticator.objects.filter(user=request.user).exclude(type=Kinds.RECOVERY_CODES).order_by("created_at")
    codes = Authenticator.objects.filter(user=request.user, type=Kinds.RECOVERY_CODES).first()
    left = len(RecoveryCodes(codes).get_unused_codes()) if codes else 0
    return _page(request, "security", title="Signing in", factors=factors, codes_left=left)


@csrf_protect
def remove_factor(request: HttpRequest, key: int) -> HttpResponse:
    """Takes one of one's own factors away, but never the last."""
    assert isinstance(request.user, User)
    factors = Authenticator.objects.filter(user=request.user, type__in=(Kinds.TOTP, Kinds.WEBAUTHN))
    found = factors.filter(pk=key).first()
    if request.method != "POST" or found is None:
        raise Http404
    if factors.count() == 1:
        messages.error(request, "This is your only second factor. Add another one first.")
    else:
        found.delete()
        now = timezone.now()
        note_deed(verb="second_factor_removed", by=request.user, now=now, about=request.user.email, why=found.type)
        messages.success(request, "It is removed.")
    return redirect("admin:security")

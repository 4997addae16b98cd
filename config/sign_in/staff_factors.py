"""The pages where staff set up, renew and remove their second factors."""

import functools
import json
from collections.abc import Callable
from contextlib import suppress

from allauth.mfa.adapter import get_adapter as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code
from allauth.mfa.utils import decrypt, encrypt
from allauth.mfa.webauthn.internal import auth as webauthn
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from accounts.desk.proof import is_proven, requires_recent_proof
from accounts.models import User
from accounts.services.sessions import end_other_sessions, end_session, keep_session, sessions_of
from config.sign_in.factors import Kinds, has_factor, record_change
from config.sign_in.limits import remember_browser
from config.sign_in.recovery_codes import codes_left, make_codes
from config.sign_in.sessions import SECRET, complete, pending
from config.sign_in.staff import MALFORMED, CodeForm, next_page, sign_in_page
from messaging.sealing import InvalidToken
from messaging.text import on_one_line

METHODS = {"app_added": "authenticator app", "passkey_added": "passkey"}


def for_who_may_set_up(view: Callable[[HttpRequest, User, str], HttpResponse]) -> Callable[..., HttpResponse]:
    """Gives the view the user and the next page: after the first step without a factor yet, or with a recent proof."""

    @functools.wraps(view)
    @never_cache
    @csrf_protect
    def checked(request: HttpRequest) -> HttpResponse:
        if isinstance(request.user, User) and request.user.is_staff and is_proven(request):
            return proven(request, request.user, reverse("admin:security"))
        state = pending(request)
        if state is None or has_factor(state[0]):
            raise PermissionDenied
        return view(request, *state)

    proven = requires_recent_proof(view)
    return checked


@for_who_may_set_up
def set_up(request: HttpRequest, user: User, next_url: str) -> HttpResponse:
    """Sets up an authenticator app, as the first second factor or another one. It replaces the one before."""
    secret = _secret_being_set_up(request)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        if validate_totp_code(secret, "".join(form.cleaned_data["code"].split())):
            del request.session[SECRET]
            with transaction.atomic():
                replaced, _ = Authenticator.objects.filter(user=user, type=Kinds.TOTP).delete()
                TOTP.activate(user, secret)
                return _finish_set_up(request, user, next_url, "app_replaced" if replaced else "app_added")
        form.add_error(
            "code", "This code is wrong. Check the clock of your device, then enter the code that it shows now."
        )
    url = mfa().build_totp_url(user, secret)
    context = {"form": form, "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))}
    picture = mark_safe(mfa().build_totp_svg(url))  # noqa: S308 - allauth draws it
    context |= {"picture": picture, "signed_in": request.user.is_authenticated}
    return sign_in_page(request, "set_up", 422 if form.is_bound else 200, title="Set up your second step", **context)


@for_who_may_set_up
@transaction.atomic
def set_up_passkey(request: HttpRequest, user: User, next_url: str) -> HttpResponse:
    """Adds a passkey as a second factor."""
    if request.method == "POST":
        name = on_one_line(request.POST.get("name", ""))[:100] or "Passkey"
        try:
            credential = json.loads(request.POST.get("credential", ""))
            webauthn.complete_registration(credential)
            webauthn.WebAuthn.add(user, name, credential)
        except MALFORMED:
            messages.error(request, "That did not work. Nothing was changed; please try again.")
            return redirect("admin:set_up_passkey")
        return _finish_set_up(request, user, next_url, "passkey_added", name)
    options = webauthn.begin_registration(user, False)
    return sign_in_page(request, "set_up_passkey", title="Add a passkey", options=options)


def _secret_being_set_up(request: HttpRequest) -> str:
    """The secret of the app that is being set up. It waits in the session, encrypted like those in use."""
    with suppress(KeyError, InvalidToken):  # none yet, or SECRET_KEY has changed
        return str(decrypt(request.session[SECRET]))
    secret = generate_totp_secret()
    request.session[SECRET] = encrypt(secret)
    return str(secret)


def _finish_set_up(request: HttpRequest, user: User, next_url: str, change: str, name: str = "") -> HttpResponse:
    is_first = not request.user.is_authenticated
    record_change(of=user, verb="second_factor_added", change=change, detail=name)
    if is_first:
        complete(request, user, METHODS[change])
    else:
        keep_session(request)
    response = _after_set_up(request, user, next_url)
    remember_browser(request, response, user)
    return response


def _after_set_up(request: HttpRequest, user: User, next_url: str) -> HttpResponse:
    """The next page, or the new recovery codes first."""
    if Authenticator.objects.filter(user=user, type=Kinds.RECOVERY_CODES).exists():
        return redirect(next_page(request, next_url))
    _show_next(request, make_codes(user))
    request.session["after_codes"] = next_url
    return redirect("admin:recovery_codes")


@never_cache
@csrf_protect
@requires_recent_proof
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Shows the recovery codes once after they were made. POST replaces them by new ones."""
    assert isinstance(request.user, User)
    if request.method == "POST":
        with transaction.atomic():
            codes = make_codes(request.user)
            record_change(of=request.user, verb="recovery_codes_renewed", change="codes_renewed")
        keep_session(request)
        _show_next(request, codes)
        return redirect("admin:recovery_codes")
    if not (sealed := request.session.pop("new_codes", "")):
        return redirect("admin:security")
    codes = decrypt(sealed).split()
    next_url = next_page(request, request.session.pop("after_codes", ""))
    return sign_in_page(request, "codes", title="Recovery codes", codes=codes, next=next_url)


def _show_next(request: HttpRequest, codes: list[str]) -> None:
    """Keeps the codes, encrypted, for the one page that shows them."""
    request.session["new_codes"] = encrypt(" ".join(codes))


def security(request: HttpRequest) -> HttpResponse:
    """One's own second factors, recovery codes, password and sessions."""
    assert isinstance(request.user, User)
    factors = Authenticator.objects.filter(user=request.user).exclude(type=Kinds.RECOVERY_CODES).order_by("created_at")
    sessions = sessions_of(request.user, current=request.session.session_key)
    context = {"factors": factors, "codes_left": codes_left(request.user), "sessions": sessions}
    return sign_in_page(request, "security", title="Signing in", **context)


@csrf_protect
@requires_recent_proof
def remove_factor(request: HttpRequest, key: int) -> HttpResponse:
    """Removes one of the user's own factors, but never the last one."""
    assert isinstance(request.user, User)
    factors = Authenticator.objects.filter(user=request.user, type__in=(Kinds.TOTP, Kinds.WEBAUTHN))
    factor = factors.filter(pk=key).first()
    if factor is None:
        raise Http404
    if request.method != "POST":  # back from the page that asked for the second factor
        return redirect("admin:security")
    if factors.count() == 1:
        messages.error(request, "This is your only second factor. Add another one first.")
        return redirect("admin:security")
    change, name = ("app_removed", "") if factor.type == Kinds.TOTP else ("passkey_removed", factor.wrap().name)
    with transaction.atomic():
        factor.delete()
        record_change(of=request.user, verb="second_factor_removed", change=change, detail=name)
    keep_session(request)
    messages.success(request, "The second factor was removed. Your other sessions have ended.")
    return redirect("admin:security")


@csrf_protect
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Ends one of the user's own sessions (`session` in the form), or all others."""
    assert isinstance(request.user, User)
    if request.method == "POST":
        key = request.POST.get("session", "")
        if not key:
            end_other_sessions(request)
            messages.success(request, "Your other sessions have ended.")
        elif key.isdecimal() and end_session(of=request.user, key=int(key[:18])):
            messages.success(request, "The session has ended.")
    return redirect("admin:security")

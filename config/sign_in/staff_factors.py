"""The pages where staff set up, renew and remove their second factors."""

import json

from allauth.mfa.adapter import get_adapter as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code
from allauth.mfa.webauthn.internal import auth as webauthn
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from accounts.audit import record_action
from accounts.desk.proof import is_proven
from accounts.models import User
from config.sign_in.factors import Kinds, has_factor
from config.sign_in.sessions import SECRET, complete, pending
from config.sign_in.staff import MALFORMED, CodeForm, next_page, sign_in_page
from messaging.text import on_one_line


@never_cache
@csrf_protect
def set_up(request: HttpRequest) -> HttpResponse:
    """Sets up an authenticator app, as the first second factor or another one."""
    user, next_url = _user_setting_up(request)
    secret = request.session.setdefault(SECRET, generate_totp_secret())
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        if validate_totp_code(secret, "".join(form.cleaned_data["code"].split())):
            with transaction.atomic():
                Authenticator.objects.filter(user=user, type=Kinds.TOTP).delete()
                TOTP.activate(user, secret)
            del request.session[SECRET]
            return _finish_set_up(request, user, next_url, "authenticator app")
        form.add_error(
            "code", "This code is wrong. Check the clock of your device, then enter the code that it shows now."
        )
    url = mfa().build_totp_url(user, secret)
    context = {"form": form, "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))}
    context |= {"picture": mark_safe(mfa().build_totp_svg(url)), "signed_in": request.user.is_authenticated}
    return sign_in_page(request, "set_up", 422 if form.is_bound else 200, title="Set up your second step", **context)


@never_cache
@csrf_protect
def set_up_passkey(request: HttpRequest) -> HttpResponse:
    user, next_url = _user_setting_up(request)
    if request.method == "POST":
        try:
            credential = json.loads(request.POST.get("credential", ""))
            webauthn.complete_registration(credential)
            webauthn.WebAuthn.add(user, on_one_line(request.POST.get("name", ""))[:100] or "Passkey", credential)
        except MALFORMED:
            messages.error(request, "That did not work. Nothing was changed; please try again.")
            return redirect("admin:set_up_passkey")
        return _finish_set_up(request, user, next_url, "passkey")
    options = webauthn.begin_registration(user, False)
    return sign_in_page(request, "set_up_passkey", title="Add a passkey", options=options)


def _user_setting_up(request: HttpRequest) -> tuple[User, str]:
    """The user and the next page: after the first step without a factor yet, or signed in with one."""
    state = pending(request)
    if isinstance(request.user, User) and request.user.is_staff and is_proven(request):
        return request.user, reverse("admin:security")
    if state is None or has_factor(state[0]):
        raise PermissionDenied
    return state


def _finish_set_up(request: HttpRequest, user: User, next_url: str, method: str) -> HttpResponse:
    record_action(verb="second_factor_added", by=user, now=timezone.now(), about=user.email, why=method)
    RecoveryCodes.activate(user)
    if not request.user.is_authenticated:
        complete(request, user, method)
    request.session["show_codes"] = True
    request.session["after_codes"] = next_url
    return redirect("admin:recovery_codes")


@never_cache
@csrf_protect
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Shows the recovery codes once after a factor was set up. POST replaces them by new ones."""
    assert isinstance(request.user, User)
    if request.method == "POST":
        Authenticator.objects.filter(user=request.user, type=Kinds.RECOVERY_CODES).delete()
        RecoveryCodes.activate(request.user)
        record_action(verb="recovery_codes_renewed", by=request.user, now=timezone.now(), about=request.user.email)
        request.session["show_codes"] = True
        return redirect("admin:recovery_codes")
    if not request.session.pop("show_codes", False):
        return redirect("admin:security")
    codes = RecoveryCodes.activate(request.user).get_unused_codes()
    next_url = next_page(request, request.session.pop("after_codes", ""))
    return sign_in_page(request, "codes", title="Recovery codes", codes=codes, next=next_url)


def security(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    factors = Authenticator.objects.filter(user=request.user).exclude(type=Kinds.RECOVERY_CODES).order_by("created_at")
    codes = Authenticator.objects.filter(user=request.user, type=Kinds.RECOVERY_CODES).first()
    remaining = len(RecoveryCodes(codes).get_unused_codes()) if codes else 0
    return sign_in_page(request, "security", title="Signing in", factors=factors, codes_left=remaining)


@csrf_protect
def remove_factor(request: HttpRequest, key: int) -> HttpResponse:
    """Removes one of the user's own factors, but never the last one."""
    assert isinstance(request.user, User)
    factors = Authenticator.objects.filter(user=request.user, type__in=(Kinds.TOTP, Kinds.WEBAUTHN))
    factor = factors.filter(pk=key).first()
    if request.method != "POST" or factor is None:
        raise Http404
    if factors.count() == 1:
        messages.error(request, "This is your only second factor. Add another one first.")
    else:
        factor.delete()
        now = timezone.now()
        record_action(verb="second_factor_removed", by=request.user, now=now, about=request.user.email, why=factor.type)
        messages.success(request, "The second factor was removed.")
    return redirect("admin:security")

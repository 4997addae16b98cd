"""Staff who sign in with the company's identity provider (OpenID Connect Core 1.0).

It says who somebody is; who may enter, and with which role, is decided here: by the people that an administrator
made. The portal's second factor follows, unless the provider says that it asked for one and is trusted with that.
"""

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts.audit import record_action
from accounts.models import User
from config.sign_in.sessions import begin, complete

STRONG = frozenset({"mfa", "otp", "hwk", "fpt", "face", "pop", "sc"})  # RFC 8176


class StaffOnly(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False  # an administrator makes people

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        raise ImmediateHttpResponse(_enter(request, sociallogin))

    def on_authentication_error(self, request: HttpRequest, provider: Any, **kwargs: Any) -> None:
        raise ImmediateHttpResponse(_refused(request, "", "the provider did not answer as expected"))


def _enter(request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
    told = sociallogin.account.extra_data
    claims = {**told.get("userinfo", {}), **told.get("id_token", {})} or told
    email = str(claims.get("email", "")).strip().lower()
    known = SocialAccount.objects.filter(provider=sociallogin.account.provider, uid=sociallogin.account.uid)
    bound = known.select_related("user").first()
    user = bound.user if bound else None
    if user is None and claims.get("email_verified") is True:
        user = User.objects.filter(email=email).first()
    if user is None or not (user.is_staff and user.is_active):
        return _refused(request, email, "nobody of this address works here")
    if bound is None:
        if SocialAccount.objects.filter(provider=sociallogin.account.provider, user=user).exists():
            return _refused(request, email, "the address belongs to another identity")
        SocialAccount.objects.create(
            user=user, provider=sociallogin.account.provider, uid=sociallogin.account.uid, extra_data={}
        )
    following = str(sociallogin.state.get("next") or "")
    if settings.OIDC_TRUST_SECOND_FACTOR and STRONG & {str(one) for one in claims.get("amr") or ()}:
        complete(request, user, "identity provider, with its second factor")
        return redirect(following or "admin:index")
    return begin(request, user, following)


def _refused(request: HttpRequest, email: str, why: str) -> HttpResponse:
    record_action(
        verb="sign_in_failed", by=None, now=timezone.now(), about=email, why=f"identity provider: {why}", actor=""
    )
    messages.error(request, "You could not be signed in that way. Ask an administrator whether you are known here.")
    return redirect("admin:login")

"""Signing in of staff with the company's identity provider (OpenID Connect Core 1.0).

The provider identifies the person. Access and roles come from the users that an administrator created here. The
portal asks for its second factor, unless the provider reports one and is trusted (OIDC_TRUST_SECOND_FACTOR).
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
from config.sign_in.limits import remember_browser
from config.sign_in.sessions import begin, complete
from messaging.addresses import fold_address

STRONG = frozenset({"mfa", "otp", "hwk", "fpt", "face", "pop", "sc"})  # RFC 8176


class StaffOnly(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False  # an administrator creates staff

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        raise ImmediateHttpResponse(_sign_in(request, sociallogin))

    def on_authentication_error(self, request: HttpRequest, provider: Any, **kwargs: Any) -> None:
        raise ImmediateHttpResponse(_refuse(request, "", "the provider did not answer as expected"))


def _sign_in(request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
    data = sociallogin.account.extra_data
    claims = {**data.get("userinfo", {}), **data.get("id_token", {})} or data
    email = fold_address(str(claims.get("email", "")))
    identities = SocialAccount.objects.filter(provider=sociallogin.account.provider, uid=sociallogin.account.uid)
    identity = identities.select_related("user").first()
    user = identity.user if identity else None
    if user is None and claims.get("email_verified") is True:
        user = User.objects.filter(email=email).first()
    if user is None or not (user.is_staff and user.is_active):
        return _refuse(request, email, "no active staff with this address")
    if identity is None:
        if SocialAccount.objects.filter(provider=sociallogin.account.provider, user=user).exists():
            return _refuse(request, email, "the address belongs to another identity")
        SocialAccount.objects.create(
            user=user, provider=sociallogin.account.provider, uid=sociallogin.account.uid, extra_data={}
        )
    next_url = str(sociallogin.state.get("next") or "")
    if settings.OIDC_TRUST_SECOND_FACTOR and STRONG & {str(method) for method in claims.get("amr") or ()}:
        complete(request, user, "identity provider, with its second factor")
        response = redirect(next_url or "admin:index")
        remember_browser(request, response, user)
        return response
    return begin(request, user, next_url)


def _refuse(request: HttpRequest, email: str, why: str) -> HttpResponse:
    record_action(
        verb="sign_in_failed", by=None, now=timezone.now(), about=email, why=f"identity provider: {why}", actor=""
    )
    messages.error(request, "You could not be signed in that way. Ask an administrator whether you have access.")
    return redirect("admin:login")

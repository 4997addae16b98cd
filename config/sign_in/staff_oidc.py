"""Signing in of staff with the company's identity provider (OpenID Connect Core 1.0).

The provider identifies the person. Access and roles come from the users that an administrator created here. The
portal asks for its second factor, unless the provider reports one and is trusted (OIDC_TRUST_SECOND_FACTOR).
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.base import AuthError
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect import views
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from requests import RequestException

from accounts.models import User
from accounts.visitors import path_on_this_site
from config.sign_in.limits import record_failure, remember_browser
from config.sign_in.sessions import begin, complete
from messaging.addresses import fold_address

log = logging.getLogger(__name__)
STRONG = frozenset({"mfa", "otp", "hwk", "fpt", "face", "pop", "sc"})  # RFC 8176
# What requests and django-allauth raise for a provider that is down, or whose answers lack something
UNREACHABLE = (RequestException,)
UNREADABLE = (OAuth2Error, KeyError, TypeError, ValueError, AttributeError)


class Refusal(Exception):
    """The provider's answer signs nobody in. Says why, for the audit log and for the person."""

    def __init__(self, why: str, message: str, email: str = "") -> None:
        super().__init__(why)
        self.why, self.message, self.email = why, message, email


# Pages


def go_to_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Sends the browser to the provider."""
    return _answered(views.login, request, provider_id)


def come_back(request: HttpRequest, provider_id: str) -> HttpResponse:
    """The address to which the provider sends the browser back."""
    return _answered(views.callback, request, provider_id)


def _answered(view: Callable[..., HttpResponse], request: HttpRequest, provider_id: str) -> HttpResponse:
    """The view's answer. If the provider fails, the sign-in page says so and keeps the other ways open."""
    try:
        return view(request, provider_id)
    except UNREACHABLE as error:
        return _refuse(request, _unreachable(error))
    except UNREADABLE as error:
        return _refuse(request, _unreadable(error))


class StaffOnly(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False  # an administrator creates staff

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        try:
            response = _sign_in(request, sociallogin)
        except Refusal as refusal:
            response = _refuse(request, refusal)
        raise ImmediateHttpResponse(response)

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: str = "", exception: Exception | None = None, **kwargs: Any
    ) -> None:
        if error == AuthError.CANCELLED:
            refusal = Refusal("cancelled by the person", "You left the sign-in page of the company’s account.")
        elif isinstance(exception, UNREACHABLE):
            refusal = _unreachable(exception)
        else:
            refusal = _unreadable(exception)
        raise ImmediateHttpResponse(_refuse(request, refusal))


# Whom an answer signs in


def _sign_in(request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
    claims = _claims(sociallogin.account.extra_data)
    user = _person(sociallogin.account.provider, claims)
    next_url = str(sociallogin.state.get("next") or "")
    if settings.OIDC_TRUST_SECOND_FACTOR and STRONG & {str(method) for method in claims.get("amr") or ()}:
        complete(request, user, "identity provider, with its second factor")
        response = redirect(path_on_this_site(request, next_url, reverse("admin:index")))
        remember_browser(request, response, user)
        return response
    return begin(request, user, next_url)


def _claims(answers: Mapping[str, Any]) -> dict[str, Any]:
    """What both answers say, the ID token first. Raises Refusal if they are about two people (section 5.3.2)."""
    id_token, userinfo = answers.get("id_token") or {}, answers.get("userinfo") or {}
    if not id_token.get("sub"):
        raise _unreadable("no ID token with «sub»")
    if "userinfo" in answers and userinfo.get("sub") != id_token["sub"]:
        raise _unreadable("the ID token and the user info are about two people («sub»)")
    return {**userinfo, **id_token}


def _person(provider: str, claims: Mapping[str, Any]) -> User:
    """The person with this identity, or at first with this address. Raises Refusal."""
    email = fold_address(str(claims.get("email") or ""))
    identities = SocialAccount.objects.filter(provider=provider)
    identity = identities.filter(uid=str(claims["sub"])).select_related("user").first()
    if identity is not None:
        return _with_access(identity.user, email)
    user = _with_access(_by_address(claims, email), email)
    if identities.filter(user=user).exists():
        raise Refusal(
            "the address belongs to another identity",
            f"{email} signed in before with another account of the company. Ask an administrator.",
            email,
        )
    SocialAccount.objects.create(user=user, provider=provider, uid=str(claims["sub"]), extra_data={})
    return user


def _by_address(claims: Mapping[str, Any], email: str) -> User | None:
    """The user with the address. Raises Refusal if the provider does not vouch for it with «email_verified».

    Without that, anybody could have typed the address there. Some providers send a text instead of a boolean.
    """
    if not email:
        raise Refusal(
            "no «email» in the answer", "The company’s account did not say what your address is. Ask an administrator."
        )
    is_missing = claims.get("email_verified") is None
    is_trusted = is_missing and settings.OIDC_TRUST_EMAIL
    if str(claims.get("email_verified")).lower() != "true" and not is_trusted:
        raise Refusal(
            "no «email_verified» in the answer" if is_missing else "the provider has not verified the address",
            f"The company’s account does not say that it verified {email}. Ask an administrator.",
            email,
        )
    return User.objects.filter(email=email).first()


def _with_access(user: User | None, email: str) -> User:
    if user is None or not (user.is_staff and user.is_active):
        raise Refusal(
            "no active staff with this address",
            "You have no access to the staff pages, or no longer. Ask an administrator.",
            email,
        )
    return user


# Refusals


def _unreachable(error: object) -> Refusal:
    log.warning("The identity provider cannot be reached: %s", error)
    message = f"{settings.OIDC_NAME} cannot be reached. Try again in a few minutes, or sign in with your password."
    return Refusal("it cannot be reached", message[0].upper() + message[1:])


def _unreadable(error: object) -> Refusal:
    is_exception = isinstance(error, Exception)
    log.warning("The answer of the identity provider cannot be used: %s", error, exc_info=is_exception)
    message = (
        f"The answer of {settings.OIDC_NAME} cannot be used. Sign in with your password, and tell an administrator."
    )
    return Refusal(error if isinstance(error, str) else "it did not answer as expected", message)


def _refuse(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    record_failure(refusal.email, f"identity provider: {refusal.why}", timezone.now())
    messages.error(request, refusal.message)
    next_url = request.GET.get("next", "")
    return redirect(reverse("admin:login") + (f"?{urlencode({'next': next_url})}" if next_url else ""))

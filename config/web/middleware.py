from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from pghistory.middleware import HistoryMiddleware

from accounts.visitors import address_of, language_of
from cancellations.queries.policies import NoPolicyInForce
from config.sign_in.sessions import sign_out_when_idle
from config.web.errors import not_allowed, not_open_yet
from messaging.models import PROVING_LINK

# The staff interface is django-unfold's, whose scripts (Alpine.js) evaluate the attributes of its own pages.
STAFF_POLICY = {
    "default-src": [NONE],
    "script-src": [SELF, UNSAFE_EVAL, UNSAFE_INLINE],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}


FOR_STAFF = ("/admin/", "/api/")
PROVIDER = "/mail-provider/"


class Language:
    """Customers' pages speak the visitor's language, the staff interface the portal's own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        for_staff = request.path.startswith(FOR_STAFF)
        language = settings.LANGUAGE_CODE if for_staff else language_of(request)
        with translation.override(language):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response


class History(HistoryMiddleware):
    """Beside each change: who was signed in, on which page, and for staff from which network address."""

    def get_context(self, request: HttpRequest) -> dict[str, Any]:
        told: dict[str, Any] = super().get_context(request)
        told["url"] = PROVING_LINK.sub("/requests/proof/…/", request.path)[:250]
        if request.path.startswith(FOR_STAFF):
            told["address"] = address_of(request)
        return told


class StaffSession:
    """Signs staff out when nothing was done for a while."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(FOR_STAFF):
            sign_out_when_idle(request)
        return self.get_response(request)


class SmallForms:
    """What a page's form may send, where Django's own limit has to let a whole mail of the provider through."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        told = request.META.get("CONTENT_LENGTH") or "0"
        form = (request.content_type or "").startswith("multipart/")  # its files have limits of their own
        length = int(told) if told.isdecimal() else 0
        if length > settings.FORM_MOST_BYTES and not form and not request.path.startswith(PROVIDER):
            raise RequestDataTooBig("The form is larger than a form may be.")
        return self.get_response(request)


class NoPolicyYet:
    """A fresh installation has no policy, and can promise nothing: it says so instead of failing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return not_open_yet(request) if isinstance(exception, NoPolicyInForce) else None


class PageForBareAnswers:
    """Django answers a method that a page does not know with nothing at all; a person gets a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == 405 and not response.streaming and not response.content:
            return not_allowed(request, response.headers.get("Allow", ""))
        return response


def content_security_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> CSPMiddleware:
    """The strict policy of the settings everywhere, and one that the staff interface can run under there."""

    def with_staff_policy(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path.startswith("/admin/"):
            response._csp_replace = STAFF_POLICY  # type: ignore[attr-defined]  # read by django-csp
        return response

    return CSPMiddleware(with_staff_policy)

"""Error pages: what happened, what to do, and for server errors a reference that is also in the log."""

import logging
import math
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template import loader
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.attempts import TooManyAttempts
from billing.rules.references import new_reference
from config.web.style import style_url

log = logging.getLogger(__name__)
API = "/api/"  # its errors are JSON (docs/api.md)


def bad_request(http: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig | TooManyFilesSent | TooManyFieldsSent):
        what = _("The page sent more than we can take. Go back, shorten it or leave files out, and try again.")
        return _page(http, 413, _("That was too much at once"), what)
    what = _("The page sent something that we cannot read. Go back, check it, and try again.")
    return _page(http, 400, _("We could not read that"), what)


def not_allowed(http: HttpRequest, allowed: str) -> HttpResponse:
    """405: a method that the page does not support, such as GET for the address of a form."""
    what = _("This address cannot be opened in this way. Go back, and use the buttons on the page.")
    response = _page(http, 405, _("That is not how this page works"), what)
    response.headers["Allow"] = allowed
    return response


def forbidden(http: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(
        http, 403, _("You do not have access to this page"), _("Sign in with an account that has access, or go back.")
    )


def stale_form(http: HttpRequest, reason: str = "") -> HttpResponse:
    """The CSRF check failed: usually the page was open for too long, or cookies are off."""
    what = _("The page was open for too long, or your browser blocks cookies. Nothing was sent. Open the page again.")
    return _page(http, 403, _("That page was too old"), what)


def not_found(http: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(http, 404, _("There is no such page"), _("Check the address, or go to the start page."))


def not_open_yet(http: HttpRequest, exception: Exception) -> HttpResponse:
    what = _("No cancellation policy is published here yet. If you want to cancel, write to us: that counts, too.")
    return _page(http, 503, _("This portal is not open yet"), what)


def too_many_requests(http: HttpRequest) -> HttpResponse:
    """A limit of django-allauth, which counts by the minute, was reached."""
    return _too_many(http, 60)


def too_many_attempts(http: HttpRequest, exception: TooManyAttempts) -> HttpResponse:
    """A limit of ours was reached (accounts/attempts.py)."""
    return _too_many(http, math.ceil((exception.until - timezone.now()).total_seconds()))


def _too_many(http: HttpRequest, seconds: int) -> HttpResponse:
    """429; the page and `Retry-After` (RFC 9110, 10.2.3) say when to try again."""
    seconds = max(1, seconds)
    if http.path.startswith(API):
        response: HttpResponse = JsonResponse({"detail": f"Too many requests. Wait {seconds} seconds."}, status=429)
    else:
        response = render(http, "429.html", {"minutes": math.ceil(seconds / 60)}, status=429)
    response.headers["Retry-After"] = str(seconds)
    return response


def busy(http: HttpRequest, exception: Exception) -> HttpResponse:
    """Too many passwords are checked at once (config/sign_in/hashing.py)."""
    what = _("Many people sign in at this moment. Go back and try again in a few seconds.")
    response = _page(http, 503, _("Please try again in a moment"), what)
    response.headers["Retry-After"] = "5"
    return response


def server_error(http: HttpRequest) -> HttpResponse:
    reference = new_reference("ER")
    log.error("Error page %s shown for %s", reference, http.path)
    if http.path.startswith(API):
        return JsonResponse({"detail": f"Something broke on our side ({reference})."}, status=500)
    context = {
        "heading": _("Something broke on our side"),
        "what": _("We have been told. What you sent may not have arrived: please try again in a moment."),
        "error_reference": reference,
        "brand": settings.BRAND_NAME,
        "style_url": style_url(),
        "language": get_language() or settings.LANGUAGE_CODE,
        "support_email": settings.SUPPORT_EMAIL,
    }
    # Without the request, because the context processors may be what failed.
    return HttpResponse(loader.render_to_string("error.html", context), status=500)


def _page(http: HttpRequest, status: int, heading: str, what: str) -> HttpResponse:
    if http.path.startswith(API):
        return JsonResponse({"detail": f"{heading}. {what}"}, status=status)
    context: dict[str, Any] = {"heading": heading, "what": what}
    return render(http, "error.html", context, status=status)

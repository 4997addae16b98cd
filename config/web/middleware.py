import logging
from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse, QueryDict
from django.utils import translation
from django.utils.cache import patch_vary_headers
from pghistory.middleware import HistoryMiddleware

from accounts.attempts import TooManyAttempts
from accounts.services.sessions import record_session
from accounts.visitors import address_of, language_of
from cancellations.queries.policies import NoPolicyInForce
from config.sign_in.hashing import HashingBusy
from config.sign_in.sessions import describe, end_customer_session_when_due, end_staff_session_when_due
from config.web.errors import API, busy, not_allowed, not_open_yet, too_many_attempts
from messaging.links import hide_proving_links
from messaging.text import is_keepable, replace_unkeepable

FOR_STAFF = ("/admin/", "/api/")
PROVIDER = "/mail-provider/"
REFUSED = frozenset({401, 403, 429})
log = logging.getLogger(__name__)
BARE = (b"", b"Method not allowed")  # what Django and django-ninja answer


class Language:
    """Activates the visitor's language on customers' pages, and LANGUAGE_CODE in the staff interface."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_for_staff = request.path.startswith(FOR_STAFF)
        language = settings.LANGUAGE_CODE if is_for_staff else language_of(request)
        with translation.override(language):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response


class History(HistoryMiddleware):
    """Adds to each change in the history: the user, the page, and for staff the network address."""

    def get_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request)
        context["url"] = hide_proving_links(request.path)[:250]
        if request.path.startswith(FOR_STAFF):
            context["address"] = address_of(request)
        return context


class Refusals:
    """Logs each refusal: a missing permission, a form from elsewhere, too many attempts."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code in REFUSED:
            who, address = describe(request.user), address_of(request) or "unknown"
            log.warning("%s: %s %s for %s from %s.", response.status_code, request.method, request.path, who, address)
        return response


class Sessions:
    """Ends sessions when they are due, and records where each session was last used."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(FOR_STAFF):
            end_staff_session_when_due(request)
        else:
            end_customer_session_when_due(request)
        record_session(request)
        return self.get_response(request)


class SmallForms:
    """Limits the size of forms to FORM_MOST_BYTES. Django's own limit has to allow whole mails from the provider."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        header = request.META.get("CONTENT_LENGTH") or "0"
        has_files = (request.content_type or "").startswith("multipart/")  # config/web/uploads.py limits these
        length = int(header) if header.isdecimal() else 0
        if length > settings.FORM_MOST_BYTES and not has_files and not request.path.startswith(PROVIDER):
            raise RequestDataTooBig("The form is too large.")
        return self.get_response(request)


class KeepableText:
    """Lets no text in that the database cannot hold (messaging/text.py). Forms check what they are sent themselves.

    A path with such a character is not found. In query strings U+FFFD takes its place; cookies with one are ignored.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_keepable(request.path):
            raise Http404
        if any(not is_keepable(text) for name, values in request.GET.lists() for text in (name, *values)):
            query = QueryDict(mutable=True)
            for name, values in request.GET.lists():
                query.setlist(replace_unkeepable(name), [replace_unkeepable(value) for value in values])
            query._mutable = False
            request.GET = query  # type: ignore[assignment]
        request.COOKIES = {name: value for name, value in request.COOKIES.items() if is_keepable(name + value)}
        return self.get_response(request)


class HttpsOnly:
    """Refuses calls of machines that arrive without TLS, and the method TRACE.

    A redirect to HTTPS would hide from whoever wrote the machine that it sends its secrets in the clear.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "TRACE":
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if settings.SECURE and not request.is_secure() and request.path.startswith((API, PROVIDER)):
            return JsonResponse(
                {"detail": f"Use {settings.SITE_URL}: this address answers over HTTPS only."}, status=403
            )
        return self.get_response(request)


class PageForException:
    """Shows a page for what any view may raise.

    No policy version is in force, as after installation; many passwords are being checked; a limit is reached.
    """

    PAGES: ClassVar[dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]]] = {
        NoPolicyInForce: not_open_yet,
        HashingBusy: busy,
        TooManyAttempts: too_many_attempts,
    }

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        page = self.PAGES.get(type(exception))
        return page(request, exception) if page else None


class PageForBareAnswers:
    """Shows an error page for a method that a page does not support: such as GET for a form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == 405 and not response.streaming and response.content in BARE:
            return not_allowed(request, response.headers.get("Allow", ""))
        return response

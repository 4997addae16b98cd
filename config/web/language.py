"""The language switch."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.visitors import remember_language


@never_cache
@require_safe
def choose(http: HttpRequest) -> HttpResponse:
    """Saves the language in a cookie and redirects back. Changes nothing else, so a link is enough."""
    next_url, language = http.GET.get("next", ""), http.GET.get("language", "")
    is_safe = url_has_allowed_host_and_scheme(next_url, {http.get_host()}, require_https=http.is_secure())
    response = redirect(next_url if is_safe else "entry")
    if language in dict(settings.LANGUAGES):
        remember_language(response, language)
    return response

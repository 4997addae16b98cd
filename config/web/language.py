"""The language switch."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.visitors import path_on_this_site, remember_language


@never_cache
@require_safe
def choose(http: HttpRequest) -> HttpResponse:
    """Saves the language in a cookie and redirects back. Changes nothing else, so a link is enough."""
    language = http.GET.get("language", "")
    response = redirect(path_on_this_site(http, http.GET.get("next", ""), reverse("entry")))
    if language in dict(settings.LANGUAGES):
        remember_language(response, language)
    return response

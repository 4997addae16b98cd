"""The switch of languages."""

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
    """Remembers the language in the browser and leads back. It changes nothing else, and so needs no form."""
    back, language = http.GET.get("next", ""), http.GET.get("language", "")
    safe = url_has_allowed_host_and_scheme(back, {http.get_host()}, require_https=http.is_secure())
    response = redirect(back if safe else "entry")
    if language in dict(settings.LANGUAGES):
        remember_language(response, language)
    return response

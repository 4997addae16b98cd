"""Signing out: of customers, and of guests who have proven a request."""

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.visitors import path_on_this_site
from cancellations.web import access


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_out(http: HttpRequest) -> HttpResponse:
    """Asks first, then ends the session, and takes all that the visitor may see from this browser."""
    if http.method != "POST":
        return redirect("entry") if http.session.is_empty() else render(http, "account/logout.html")
    logout(http)
    response = redirect(path_on_this_site(http, http.POST.get("next", ""), reverse("entry")))
    access.forget(response)
    return clear_browser(response)


def clear_browser(response: HttpResponse) -> HttpResponse:
    """Tells the browser to throw away pages and data that it kept (W3C, "Clear Site Data")."""
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response

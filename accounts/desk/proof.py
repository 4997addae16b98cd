"""Proof of identity: staff confirm their second factor again before they move money or terminate an account."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

PROVEN_AT = "second_factor_at"  # in the session, seconds since 1970
KEPT_FORM = "kept_form"
MAX_KEPT_LENGTH = 20_000


def is_proven(request: HttpRequest) -> bool:
    """Whether the session was opened with a second factor."""
    return isinstance(request.session.get(PROVEN_AT), int | float)


def is_proven_recently(request: HttpRequest, now: datetime) -> bool:
    """Whether the second factor was given within the last STAFF_REAUTH_MINUTES."""
    at = request.session.get(PROVEN_AT) or 0
    return now - timedelta(minutes=settings.STAFF_REAUTH_MINUTES) < datetime.fromtimestamp(at, tz=now.tzinfo)


def ask_for_proof(request: HttpRequest) -> HttpResponse:
    """Redirects to the page that asks for the second factor and then back; keeps the posted form in the session."""
    if request.method == "POST":
        data = request.POST.copy()
        data.pop("csrfmiddlewaretoken", None)
        if len(encoded := data.urlencode()) <= MAX_KEPT_LENGTH:
            request.session[KEPT_FORM] = {"path": request.path, "data": encoded}
    return redirect(f"{reverse('admin:confirm')}?{urlencode({'next': request.get_full_path()})}")


def restored_input(request: HttpRequest) -> dict[str, Any]:
    """The form that this page posted before the second factor was asked for. Removes it from the session."""
    kept = request.session.get(KEPT_FORM) or {}
    if kept.get("path") != request.path:
        return {}
    del request.session[KEPT_FORM]
    data = QueryDict(kept["data"])
    return {name: values if len(values) > 1 else values[0] for name, values in data.lists() if values}

"""That whoever acts has proven lately who it is: asked again before money and terminations."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

PROVEN_AT = "second_factor_at"  # in the session, seconds since 1970
KEPT = "kept_form"
MOST_KEPT = 20_000


def is_proven(request: HttpRequest) -> bool:
    """Whether the session was opened with a second factor."""
    return isinstance(request.session.get(PROVEN_AT), int | float)


def is_proven_recently(request: HttpRequest, now: datetime) -> bool:
    at = request.session.get(PROVEN_AT) or 0
    return now - timedelta(minutes=settings.STAFF_REAUTH_MINUTES) < datetime.fromtimestamp(at, tz=now.tzinfo)


def ask_for_proof(request: HttpRequest) -> HttpResponse:
    """To the page that asks for the second factor, and back; what was typed waits in the session."""
    if request.method == "POST":
        data = request.POST.copy()
        data.pop("csrfmiddlewaretoken", None)
        if len(kept := data.urlencode()) <= MOST_KEPT:
            request.session[KEPT] = {"path": request.path, "data": kept}
    return redirect(f"{reverse('admin:confirm')}?{urlencode({'next': request.get_full_path()})}")


def restored_input(request: HttpRequest) -> dict[str, Any]:
    """What was typed on this page before the second factor was asked for again; once."""
    kept = request.session.get(KEPT) or {}
    if kept.get("path") != request.path:
        return {}
    del request.session[KEPT]
    data = QueryDict(kept["data"])
    return {name: values if len(values) > 1 else values[0] for name, values in data.lists() if values}

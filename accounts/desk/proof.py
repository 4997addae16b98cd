"""Proof of identity: staff confirm their second factor again before they move money or change who may sign in."""

import functools
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

View = TypeVar("View", bound=Callable[..., HttpResponse])
PROVEN_AT = "second_factor_at"  # in the session, seconds since 1970
KEPT_FORM = "kept_form"
MAX_KEPT_LENGTH = 20_000
SECRET_FIELDS = re.compile("password|code|credential|secret|csrf")


def is_proven(request: HttpRequest) -> bool:
    """Whether the session was opened with a second factor."""
    return isinstance(request.session.get(PROVEN_AT), int | float)


def is_proven_recently(request: HttpRequest, now: datetime) -> bool:
    """Whether the second factor was given within the last STAFF_REAUTH_MINUTES."""
    at = request.session.get(PROVEN_AT) or 0
    return now - timedelta(minutes=settings.STAFF_REAUTH_MINUTES) < datetime.fromtimestamp(at, tz=now.tzinfo)


def requires_recent_proof(view: View) -> View:
    """Asks for the second factor again before the view runs, unless it was given within STAFF_REAUTH_MINUTES.

    For every page that changes who may sign in and how: factors, recovery codes, passwords, people and their roles,
    secrets. Also for money, terminations and erasure.
    """

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> HttpResponse:
        request = next(argument for argument in args if isinstance(argument, HttpRequest))
        if not is_proven_recently(request, timezone.now()):
            return ask_for_proof(request)
        return view(*args, **kwargs)

    return checked  # type: ignore[return-value]


def ask_for_proof(request: HttpRequest) -> HttpResponse:
    """Redirects to the page that asks for the second factor and then back.

    Keeps the posted form in the session, without passwords and codes.
    """
    if request.method == "POST":
        data = request.POST.copy()
        for name in [name for name in data if SECRET_FIELDS.search(name)]:
            del data[name]
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

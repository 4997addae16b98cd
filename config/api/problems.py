"""Every error of the API as JSON in one shape: `detail`, and the messages of each field in `errors`."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import ValidationError

from config.api.schemas import Problem

INVALID_FIELDS = "Some fields are not valid."
READING: dict[int, type[Problem]] = dict.fromkeys((401, 403, 404, 422), Problem)
CHANGING: dict[int, type[Problem]] = dict.fromkeys((400, 401, 403, 404, 409, 422), Problem)


def answer_problems(api: NinjaAPI) -> None:
    """Lets the API answer missing permissions, and fields of the wrong type, as `Problem` says."""

    @api.exception_handler(PermissionDenied)
    def forbidden(request: HttpRequest, error: Any) -> HttpResponse:
        detail = str(error) or "Your role does not have this permission."
        return api.create_response(request, {"detail": detail, "errors": {}}, status=403)

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: Any) -> HttpResponse:
        return api.create_response(request, problem_of(error.errors), status=422)


def problem_of(problems: list[dict[str, Any]]) -> dict[str, Any]:
    """The problem for errors of pydantic, whose `loc` is `("query", "state")` or `("body", "data", "words")`."""
    errors: dict[str, list[str]] = {}
    for problem in problems:
        source, *names = (str(name) for name in problem["loc"])
        if source == "body":
            names = names[1:]
        if not names:
            return {"detail": "The body has to be a JSON object with the fields of the action.", "errors": {}}
        messages = errors.setdefault(names[0], [])
        if problem["msg"] not in messages:
            messages.append(problem["msg"])
    return {"detail": INVALID_FIELDS, "errors": errors}

"""The API for the tools of staff: the requests, refunds and verbs of the desk, with the same forms and permissions.

JSON over the session of the staff interface (with a second factor, and a CSRF token for changes). The OpenAPI
document is at /api/v1/openapi.json.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import NinjaAPI, Schema
from ninja.security.session import SessionAuth
from pydantic import create_model

from accounts.desk import Verb, VerbAdmin
from accounts.desk.paging import keys_of, page
from accounts.desk.proof import is_proven, is_proven_recently
from accounts.models import User
from billing.models import Refund
from cancellations.models import CancellationRequest
from cancellations.wording.explanation import sentences

PAGE_SIZE = 50
# The collection and the key of each model in URLs
COLLECTIONS = {
    "cancellations.cancellationrequest": ("requests", "reference"),
    "billing.refund": ("refunds", "reference"),
    "cancellations.termination": ("terminations", "reference"),
    "cancellations.policyversion": ("policy-versions", "number"),
    "cancellations.hold": ("holds", "pk"),
    "cancellations.conversation": ("conversations", "reference"),
    "messaging.webhookendpoint": ("webhook-endpoints", "pk"),
    "messaging.webhookdelivery": ("webhook-deliveries", "pk"),
}


class Staff(SessionAuth):
    """Authenticates staff who are signed in to the staff interface with a second factor."""

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        user = request.user
        return user if isinstance(user, User) and user.is_staff and user.is_active and is_proven(request) else None


class Problem(Schema):
    """Why the request failed; `errors` holds the messages of invalid fields."""

    detail: str
    errors: dict[str, list[str]] = {}


class Done(Schema):
    reference: str
    state: str
    seen: int


class RequestOut(Schema):
    reference: str
    declaration: str
    state: str
    kind: str
    channel: str
    received_at: datetime
    account_number: str
    subscription: str
    on_time: bool | None
    deadline_on: date | None
    effective_on: date | None
    due_at: datetime | None
    assigned_to: str
    explanation: list[str]
    refund: str


class RequestsOut(Schema):
    """`next` is the value of `after` for the next page; empty on the last one."""

    items: list[RequestOut]
    next: str


class RefundOut(Schema):
    reference: str
    about: str
    state: str
    basis: str
    amount: str
    currency: str
    decision_due_on: date
    payment_due_on: date | None
    paid_on: date | None
    credit_note: str


api = NinjaAPI(title="Cancellation portal", version="1", docs_url=None, auth=Staff(), urls_namespace="api-v1")


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: Any) -> HttpResponse:
    return api.create_response(
        request, {"detail": str(error) or "Your role does not have this permission."}, status=403
    )


def _require(request: HttpRequest, permission: str) -> User:
    user = request.user
    if not isinstance(user, User) or not user.has_perm(permission):
        raise PermissionDenied(f"This requires the permission {permission}.")
    return user


def _requests() -> QuerySet[CancellationRequest]:
    return CancellationRequest.objects.select_related("account", "subscription", "assigned_to", "refund")


def _serialized(row: CancellationRequest) -> dict[str, Any]:
    names = ("reference", "declaration", "state", "kind", "channel", "received_at", "on_time", "deadline_on")
    fields = {name: getattr(row, name) for name in (*names, "effective_on", "due_at")}
    return fields | {
        "account_number": row.account.account_number if row.account else row.account_number_given,
        "subscription": row.subscription.reference if row.subscription else "",
        "assigned_to": str(row.assigned_to or ""),
        "explanation": sentences(row.explanation),
        "refund": row.refund.reference if row.refund else "",
    }


@api.get("/requests", response=RequestsOut)
def list_requests(request: HttpRequest, state: str = "", after: str = "") -> dict[str, Any]:
    """Requests in the order of the queue: those due first come first."""
    _require(request, "cancellations.view_cancellationrequest")
    rows = _requests().filter(state=state) if state else _requests()
    keys = keys_of(CancellationRequest, [F("due_at").asc(nulls_last=True), "-received_at", "-id"])
    current = page(rows, keys, size=PAGE_SIZE, after=after)
    return {"items": [_serialized(row) for row in current.rows], "next": current.next}


@api.get("/requests/{reference}", response={200: RequestOut, 404: Problem})
def show_request(request: HttpRequest, reference: str) -> dict[str, Any]:
    _require(request, "cancellations.view_cancellationrequest")
    return _serialized(get_object_or_404(_requests(), reference=reference))


@api.get("/refunds/{reference}", response={200: RefundOut, 404: Problem})
def show_refund(request: HttpRequest, reference: str) -> dict[str, Any]:
    _require(request, "billing.view_refund")
    row = get_object_or_404(Refund, reference=reference)
    fields = {name: getattr(row, name) for name in RefundOut.model_fields if name not in ("amount", "currency")}
    amount = f"{row.amount.amount:f}" if row.amount else ""
    return fields | {"amount": amount, "currency": row.amount.currency.code if row.amount else ""}


def _verb_operation(site: VerbAdmin, verb: Verb, key_name: str) -> Callable[..., Any]:
    model: Any = site.model
    fields = dict.fromkeys(verb.form.base_fields, (str | int | bool | list[str] | None, None))
    name = f"{model.__name__}{verb.name.title().replace('-', '')}"
    body: Any = create_model(name, **fields, seen=(int | None, None))  # type: ignore[call-overload]

    def act(request: HttpRequest, key: str, data: body) -> Any:
        user = _require(request, verb.permission)
        if verb.sensitive and not is_proven_recently(request, timezone.now()):
            return 403, {"detail": "Confirm that it is you, at /admin/confirm/."}
        try:
            row = site.get_queryset(request).get(**{key_name: key})
        except (model.DoesNotExist, ValueError):
            return 404, {"detail": "There is no row with this key."}
        values = {name: value for name, value in data.model_dump(exclude={"seen"}).items() if value is not None}
        form = verb.form(values, row=row, user=user)
        if not verb.is_open_to(user, row):
            return 409, {"detail": f"{row} is {row.get_state_display()}: this is not possible now."}
        if not form.is_valid():
            return 422, {"detail": "Some fields are not valid.", "errors": form.errors}
        try:
            if not site.perform(verb, row, user, form.cleaned_data, data.seen):
                return 409, {"detail": " ".join(site.what_changed(row, data.seen))}
        except site.illegal as error:
            return 409, {"detail": str(error)}
        except site.refusals as error:
            return 422, {"detail": str(error)}
        fresh = model.objects.get(pk=row.pk)
        return 200, {"reference": str(fresh), "state": fresh.state, "seen": site.seen(fresh)}

    act.__doc__ = f"{verb.label}. {verb.consequence}"
    act.__name__ = name
    return act


def add_verbs() -> None:
    """Adds each verb of the desk that takes no file as an operation."""
    responses = {200: Done, 403: Problem, 404: Problem, 409: Problem, 422: Problem}
    for model, site in admin.site._registry.items():
        collection = COLLECTIONS.get(model._meta.label_lower)
        if collection is None or not isinstance(site, VerbAdmin):
            continue
        for verb in site.verbs:
            fields = verb.form.base_fields.values()
            if any(field.widget.needs_multipart_form for field in fields):
                continue
            operation = _verb_operation(site, verb, collection[1])
            api.post(f"/{collection[0]}/{{key}}/{verb.name}", response=responses, tags=[collection[0]])(operation)


add_verbs()

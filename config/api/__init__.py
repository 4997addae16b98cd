"""The API for the tools of staff: the requests, refunds and verbs of the desk, with the same forms and permissions.

JSON over the session of the staff interface (with a second factor, and a CSRF token for changes). The OpenAPI
document is at /api/v1/openapi.json.
"""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import NinjaAPI, Status
from ninja.errors import ValidationError
from ninja.security.session import SessionAuth
from pydantic import Field

from accounts.desk import Verb, VerbAdmin
from accounts.desk.paging import is_cursor, keys_of, page
from accounts.desk.proof import is_proven, is_proven_recently
from accounts.models import User
from billing.models import Refund
from cancellations.models import CancellationRequest
from cancellations.models.states import RequestState
from cancellations.wording.explanation import sentences
from config.api.bodies import body_of
from config.api.problems import CHANGING, INVALID_FIELDS, READING, answer_problems
from config.api.schemas import Done, RefundOut, RequestOut, RequestsOut
from messaging.currencies import decimal_text

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
    """Authenticates staff who are signed in to the staff interface with a second factor, and have a permission.

    The permission comes first: without it, nothing of the request is read.
    """

    def __init__(self, permission: str) -> None:
        self.permission = permission
        super().__init__()

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        user = request.user
        if not (isinstance(user, User) and user.is_staff and user.is_active and is_proven(request)):
            return None
        if not user.has_perm(self.permission):
            raise PermissionDenied(f"This requires the permission {self.permission}.")
        return user


api = NinjaAPI(title="Cancellation portal", version="1", docs_url=None, urls_namespace="api-v1")
answer_problems(api)
view_requests, view_refunds = Staff("cancellations.view_cancellationrequest"), Staff("billing.view_refund")


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


@api.get("/requests", response={200: RequestsOut, **READING}, auth=view_requests)
def list_requests(request: HttpRequest, state: RequestState | None = None, after: str = "") -> dict[str, Any]:
    """Requests in the order of the queue: those due first come first."""
    rows = _requests().filter(state=state) if state else _requests()
    keys = keys_of(CancellationRequest, [F("due_at").asc(nulls_last=True), "-received_at", "-id"])
    if after and not is_cursor(after, keys, CancellationRequest):
        raise ValidationError([{"loc": ("query", "after"), "msg": "This is not the value of `next` of an answer."}])
    current = page(rows, keys, size=PAGE_SIZE, after=after)
    return {"items": [_serialized(row) for row in current.rows], "next": current.next}


@api.get("/requests/{reference}", response={200: RequestOut, **READING}, auth=view_requests)
def show_request(request: HttpRequest, reference: str) -> dict[str, Any]:
    return _serialized(get_object_or_404(_requests(), reference=reference))


@api.get("/refunds/{reference}", response={200: RefundOut, **READING}, auth=view_refunds)
def show_refund(request: HttpRequest, reference: str) -> dict[str, Any]:
    row = get_object_or_404(Refund, reference=reference)
    fields = {name: getattr(row, name) for name in RefundOut.model_fields if name not in ("amount", "currency")}
    amount = decimal_text(row.amount) if row.amount else ""
    return fields | {"amount": amount, "currency": row.amount.currency.code if row.amount else ""}


def _verb_operation(site: VerbAdmin, verb: Verb, key_name: str) -> Callable[..., Any]:
    model: Any = site.model
    name = f"{model.__name__}{verb.name.title().replace('-', '')}"
    body: Any = body_of(verb.form, name)
    key_type: Any = _key_type(model, key_name)

    def act(request: HttpRequest, key: key_type, data: body) -> Any:
        user = request.user
        assert isinstance(user, User)
        if verb.sensitive and not is_proven_recently(request, timezone.now()):
            return Status(403, {"detail": "Confirm that it is you, at /admin/confirm/."})
        row = site.get_queryset(request).filter(**{key_name: key}).first()
        if row is None:
            return Status(404, {"detail": "There is no row with this key."})
        values = {field: value for field, value in data.model_dump(exclude={"seen"}).items() if value is not None}
        form = verb.form(values, row=row, user=user)
        if not verb.is_open_to(user, row):
            return Status(409, {"detail": f"{row} is {row.get_state_display()}: this is not possible now."})
        if not form.is_valid():
            return Status(422, {"detail": INVALID_FIELDS, "errors": _messages(form)})
        try:
            if not site.perform(verb, row, user, form.cleaned_data, data.seen):
                return Status(409, {"detail": " ".join(site.what_changed(row, data.seen))})
        except site.illegal as error:
            return Status(409, {"detail": str(error)})
        except site.refusals as error:
            return Status(422, {"detail": str(error)})
        fresh = model.objects.get(pk=row.pk)
        return {"reference": str(fresh), "state": fresh.state, "seen": site.seen(fresh)}

    act.__doc__ = f"{verb.label}. {verb.consequence}"
    act.__name__ = name
    return act


def _key_type(model: type[models.Model], key_name: str) -> Any:
    field = model._meta.pk if key_name == "pk" else model._meta.get_field(key_name)
    if isinstance(field, models.UUIDField):
        return UUID
    if isinstance(field, models.IntegerField):
        most = 2**63 if isinstance(field, models.BigIntegerField | models.BigAutoField) else 2**31
        return Annotated[int, Field(ge=0, lt=most)]
    return str


def _messages(form: Any) -> dict[str, list[str]]:
    """The messages of each field; those about the whole form stand under `__all__`."""
    return {field: [str(message) for message in messages] for field, messages in form.errors.items()}


def add_verbs() -> None:
    """Adds each verb of the desk that takes no file as an operation."""
    for model, site in admin.site._registry.items():
        collection = COLLECTIONS.get(model._meta.label_lower)
        if collection is None or not isinstance(site, VerbAdmin):
            continue
        for verb in site.verbs:
            fields = verb.form.base_fields.values()
            if any(field.widget.needs_multipart_form for field in fields):
                continue
            operation = _verb_operation(site, verb, collection[1])
            path = f"/{collection[0]}/{{key}}/{verb.name}"
            responses = {200: Done, **CHANGING}
            api.post(path, response=responses, tags=[collection[0]], auth=Staff(verb.permission))(operation)


add_verbs()

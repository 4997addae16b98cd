"""Webhooks after Standard Webhooks (standardwebhooks.com): stored with the change, retried until delivered."""

import json
import logging
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from standardwebhooks import Webhook
from urllib3.exceptions import HTTPError

from messaging.due import UNLIMITED, Run, Work
from messaging.models import (
    DeliveryState,
    EndpointState,
    EventType,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from messaging.outbound.targets import Refused, Response, post, refuse_unless_callable
from messaging.sealing import InvalidToken, SealedRows, box
from messaging.text import replace_unkeepable
from messaging.waking import wake

log = logging.getLogger(__name__)
VERSION = "1"
USE = "webhook secrets"
LEASE = timedelta(minutes=1)
SLOW_SECONDS = 1.0  # an endpoint that takes longer is called once at a time, for half of the time
RETRY_AFTER = tuple(timedelta(seconds=s) for s in (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
GIVEN_UP_AFTER = timedelta(days=3)
OLD_SECRET_FOR = timedelta(hours=24)


class EndpointRefused(Exception):
    """The endpoint's data is not valid."""


def emit(*, type: EventType, subject: str, data: Mapping[str, Any], now: datetime) -> None:
    """Stores an event and its deliveries to subscribed endpoints, in the caller's transaction.

    `subject` identifies what the event is about. An endpoint receives the events of one subject in the order in
    which they were stored; dependent changes are stored in order because they lock the same rows.
    """
    endpoints = list(WebhookEndpoint.objects.filter(event_types__contains=[type]).order_by("pk"))
    if not endpoints:
        return
    with transaction.atomic():
        payload = {
            "type": type.value,
            "version": VERSION,
            "timestamp": _timestamp(now),
            "subject": subject,
            "data": data,
        }
        event = WebhookEvent.objects.create(type=type, subject=subject, occurred_at=now, payload=payload)
        for endpoint in endpoints:
            WebhookDelivery.objects.create(endpoint=endpoint, event=event, subject=subject, due_at=now)
    wake("messaging.call")


def call_due(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Sends due deliveries; returns how many succeeded. Several workers can run at once."""
    delivered, run = 0, Run(now, seconds=seconds)
    for delivery in CALLS.results(run):
        with CALLS.setting_aside(delivery.pk, run):
            delivered += _call(delivery, run)
    return delivered


def signed_request(delivery: WebhookDelivery, now: datetime) -> tuple[bytes, dict[str, str]]:
    """Returns body and headers. The body is the same at each attempt; each valid secret adds a signature."""
    body = json.dumps(delivery.event.payload, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    key = str(delivery.event.pk)
    signatures = [Webhook(secret).sign(key, now.astimezone(UTC), body) for secret in secrets_of(delivery.endpoint, now)]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "cancellation-portal/1",
        "webhook-id": key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return body.encode(), headers


def secrets_of(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """Returns the valid secrets, newest first. Raises InvalidToken if SECRET_KEY is not the one that encrypted them."""
    sealed = [endpoint.secret_sealed]
    if endpoint.old_secret_sealed and endpoint.old_secret_until and endpoint.old_secret_until > now:
        sealed.append(endpoint.old_secret_sealed)
    return [box(USE).decrypt(secret.encode()).decode() for secret in sealed]


def _sealed_secrets(endpoint: WebhookEndpoint) -> list[str]:
    return list(filter(None, (endpoint.secret_sealed, endpoint.old_secret_sealed)))


def _replace_sealed_secrets(endpoint: WebhookEndpoint, sealed: list[str]) -> None:
    endpoint.secret_sealed, endpoint.old_secret_sealed = (*sealed, "")[:2]


SEALED_SECRETS = SealedRows(
    name="webhook secrets",
    use=USE,
    model=WebhookEndpoint,
    fields=("secret_sealed", "old_secret_sealed"),
    secrets_in=_sealed_secrets,
    replace=_replace_sealed_secrets,
)


@transaction.atomic
def add_endpoint(*, name: str, url: str, event_types: Sequence[str], now: datetime) -> WebhookEndpoint:
    """Creates an endpoint with a new secret. Raises EndpointRefused."""
    _check(url, event_types)
    endpoint = WebhookEndpoint(name=name.strip(), url=url, event_types=list(event_types), created_at=now)
    endpoint.secret_sealed = _new_secret()
    endpoint.save(force_insert=True)
    return endpoint


@transaction.atomic
def change_endpoint(*, endpoint: WebhookEndpoint, name: str, url: str, event_types: Sequence[str]) -> None:
    """Changes name, address and events. Waiting deliveries go to the new address. Raises EndpointRefused."""
    _check(url, event_types)
    row = _locked(endpoint)
    row.name, row.url, row.event_types = name.strip(), url, list(event_types)
    row.save(update_fields=["name", "url", "event_types"])


@transaction.atomic
def rotate_secret(*, endpoint: WebhookEndpoint, now: datetime) -> None:
    """Creates a new secret; for a day the old one signs as well. Raises EndpointRefused during that day."""
    row = _locked(endpoint)
    if row.old_secret_until is not None and row.old_secret_until > now:
        raise EndpointRefused("The secret was changed within the last day, and the old one still signs. Wait a day.")
    row.old_secret_sealed, row.old_secret_until = row.secret_sealed, now + OLD_SECRET_FOR
    row.secret_sealed = _new_secret()
    row.save(update_fields=["old_secret_sealed", "old_secret_until", "secret_sealed"])


@transaction.atomic
def disable(*, endpoint: WebhookEndpoint, why: str) -> bool:
    """Stops sending until the endpoint is enabled again; new events wait. False if it was disabled already."""
    row = _locked(endpoint)
    if row.state == EndpointState.DISABLED:
        return False
    row.state, row.disabled_why = EndpointState.DISABLED, why[:250]
    row.save(update_fields=["state", "disabled_why"])
    return True


@transaction.atomic
def enable(*, endpoint: WebhookEndpoint, now: datetime) -> bool:
    """Starts sending again, with the waiting deliveries first, in order. False if it was enabled already."""
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint, state=DeliveryState.PENDING).order_by("pk")
    keys = list(waiting.select_for_update().values_list("pk", flat=True))  # before the endpoint, as the worker does
    row = _locked(endpoint)
    if row.state == EndpointState.ACTIVE:
        return False
    row.state, row.disabled_why, row.failing_since, row.warned_at = EndpointState.ACTIVE, "", None, None
    row.save(update_fields=["state", "disabled_why", "failing_since", "warned_at"])
    WebhookDelivery.objects.filter(pk__in=keys).update(due_at=now, attempts=0, first_tried_at=None)
    wake("messaging.call")
    return True


@transaction.atomic
def send_again(*, delivery: WebhookDelivery, now: datetime) -> bool:
    """Queues a delivery again, under the same id. False if it is queued already."""
    row = WebhookDelivery.objects.select_for_update().get(pk=delivery.pk)
    if row.state == DeliveryState.PENDING:
        return False
    row.state, row.due_at, row.attempts, row.first_tried_at = DeliveryState.PENDING, now, 0, None
    row.save(update_fields=["state", "due_at", "attempts", "first_tried_at"])
    wake("messaging.call")
    return True


def failing_endpoints() -> QuerySet[WebhookEndpoint]:
    """Returns active endpoints whose last delivery failed."""
    return WebhookEndpoint.objects.filter(state=EndpointState.ACTIVE, failing_since__isnull=False)


def record_warning(*, endpoint: WebhookEndpoint, now: datetime) -> None:
    """Records that staff were warned about the failing endpoint."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(warned_at=now)


def _check(url: str, event_types: Sequence[str]) -> None:
    if not event_types or any(name not in EventType.values for name in event_types):
        raise EndpointRefused("Choose at least one event.")
    try:
        refuse_unless_callable(url)
    except Refused as error:
        raise EndpointRefused(str(error)) from error


def _new_secret() -> str:
    secret = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
    return box(USE).encrypt(secret.encode()).decode()


def _locked(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    return WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)


def _due_deliveries(now: datetime) -> QuerySet[WebhookDelivery]:
    """Returns due deliveries that have no earlier one of their subject waiting."""
    earlier = WebhookDelivery.objects.filter(
        endpoint=OuterRef("endpoint"), subject=OuterRef("subject"), state=DeliveryState.PENDING, pk__lt=OuterRef("pk")
    )
    due = WebhookDelivery.objects.filter(state=DeliveryState.PENDING, due_at__lte=now).exclude(Exists(earlier))
    rests = Q(endpoint__next_call_at__gt=now)
    return due.filter(~rests, endpoint__state=EndpointState.ACTIVE).order_by("due_at", "pk")


def _lease(keys: list[int], now: datetime) -> list[WebhookDelivery]:
    rows = WebhookDelivery.objects.filter(pk__in=keys)
    rows.update(first_tried_at=Coalesce("first_tried_at", now), due_at=now + LEASE)
    deliveries = list(rows.select_related("endpoint", "event"))
    slow = [delivery.endpoint_id for delivery in deliveries if delivery.endpoint.next_call_at is not None]
    WebhookEndpoint.objects.filter(pk__in=slow).update(next_call_at=now + LEASE)
    return deliveries


def _call(delivery: WebhookDelivery, run: Run) -> bool:
    response: Response | None = None
    began = time.monotonic()
    try:
        body, headers = signed_request(delivery, run.now)
        response = post(delivery.endpoint.url, body, headers)
        error = "" if 200 <= response.status < 300 else _error_text(response)
    except Refused as refused:
        error = str(refused)
    except InvalidToken:
        error = "Its secret cannot be decrypted: SECRET_KEY_FALLBACKS lacks the earlier key."
    except (OSError, HTTPError, ValueError) as failure:
        error = f"{type(failure).__name__}: {failure}"
    now = run.now
    _let_rest(delivery.endpoint, time.monotonic() - began, now)
    with transaction.atomic():
        row = WebhookDelivery.objects.select_for_update().get(pk=delivery.pk)
        if row.state != DeliveryState.PENDING:
            return False
        row.attempts, row.last_tried_at = row.attempts + 1, now
        row.last_status, row.last_error = response.status if response else None, replace_unkeepable(error)[:500]
        if error:
            _record_failure(row, response, now)
        else:
            row.state, row.delivered_at = DeliveryState.DELIVERED, now
            WebhookEndpoint.objects.filter(pk=row.endpoint_id, failing_since__isnull=False).update(
                failing_since=None, warned_at=None
            )
        row.save()
    if response is not None and response.status == 410:  # «Gone»: the standard says never to call again
        disable(endpoint=delivery.endpoint, why="It answered 410: it does not want any more webhooks.")
    return not error


def _let_rest(endpoint: WebhookEndpoint, seconds: float, now: datetime) -> None:
    """Lets a slow endpoint rest for as long as it took, so that it holds up neither mail nor other endpoints."""
    next_call_at = now + timedelta(seconds=seconds) if seconds > SLOW_SECONDS else None
    if next_call_at != endpoint.next_call_at:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(next_call_at=next_call_at)


def _record_failure(row: WebhookDelivery, response: Response | None, now: datetime) -> None:
    log.warning("Webhook %s: %s", row, row.last_error)
    endpoint = WebhookEndpoint.objects.filter(pk=row.endpoint_id, failing_since__isnull=True)
    endpoint.update(failing_since=row.first_tried_at or now)
    wait = RETRY_AFTER[min(row.attempts, len(RETRY_AFTER)) - 1]
    ends = (row.first_tried_at or now) + GIVEN_UP_AFTER
    row.due_at = min(now + max(wait, timedelta(seconds=response.retry_after if response else 0)), ends)
    if now >= ends:
        row.state = DeliveryState.GIVEN_UP


def _error_text(response: Response) -> str:
    if 300 <= response.status < 400:
        return f"It answered {response.status}: webhooks do not follow redirects. Enter the address that it leads to."
    return f"It answered {response.status}. {response.text}"


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


CALLS = Work(
    name="webhooks.call",
    task="messaging.call",
    label="send a webhook",
    due=_due_deliveries,
    process=_lease,
    batch=1,  # a receiver may take as long as the lease
)

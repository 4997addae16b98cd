"""Managing webhook endpoints, with permissions and audit entries. Messaging implements them and knows no users."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts.audit import record_action
from accounts.models import User
from accounts.permissions import permitted
from accounts.services.notices import notify_staff
from cancellations.services.common import RequestRefused, refusing
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.services import webhooks

MANAGES = "change_webhookendpoint"  # they are told of each change: whoever has a secret can forge events
ADD, CHANGE = "messaging.add_webhookendpoint", f"messaging.{MANAGES}"
SAME_NAME = "Another endpoint has this name. Choose a different one."
NAME_IS_UNIQUE = "messaging_webhookendpoint_name_key"


@permitted(ADD)
def add(*, name: str, url: str, event_types: Sequence[str], by: User, now: datetime) -> WebhookEndpoint:
    """Adds an endpoint with a secret of its own. Raises RequestRefused."""
    try:
        with refusing(NAME_IS_UNIQUE, SAME_NAME):
            endpoint = webhooks.add_endpoint(name=name, url=url, event_types=event_types, now=now)
            record_action(verb="webhook_add", by=by, now=now, about=endpoint.name, why=_summary(url, event_types))
            notify_staff(MANAGES, change="webhook_added", detail=endpoint.name, now=now, by=by)
    except webhooks.EndpointRefused as error:
        raise RequestRefused(str(error)) from error
    return endpoint


@permitted(CHANGE)
def change(
    *, endpoint: WebhookEndpoint, name: str, url: str, event_types: Sequence[str], by: User, now: datetime
) -> None:
    """Changes name, address or events. Waiting deliveries go to the new address. Raises RequestRefused."""
    about = endpoint.name
    try:
        with refusing(NAME_IS_UNIQUE, SAME_NAME):
            webhooks.change_endpoint(endpoint=endpoint, name=name, url=url, event_types=event_types)
            record_action(
                verb="webhook_change", by=by, now=now, about=about, why=f"{name}: {_summary(url, event_types)}"
            )
            notify_staff(MANAGES, change="webhook_changed", detail=name, now=now, by=by)
    except webhooks.EndpointRefused as error:
        raise RequestRefused(str(error)) from error


@permitted(CHANGE)
@transaction.atomic
def rotate(*, endpoint: WebhookEndpoint, by: User, now: datetime) -> None:
    """Replaces the secret. For a day, both secrets sign. Raises RequestRefused."""
    try:
        webhooks.rotate_secret(endpoint=endpoint, now=now)
    except webhooks.EndpointRefused as error:
        raise RequestRefused(str(error)) from error
    record_action(verb="webhook_rotate", by=by, now=now, about=endpoint.name)
    notify_staff(MANAGES, change="webhook_secret", detail=endpoint.name, now=now, by=by)


@permitted(CHANGE)
@transaction.atomic
def disable(*, endpoint: WebhookEndpoint, why: str, by: User, now: datetime) -> None:
    """Stops deliveries until the endpoint is enabled. Raises RequestRefused if `why` is empty."""
    if not why.strip():
        raise RequestRefused("Say why. Other staff read it.")
    webhooks.disable(endpoint=endpoint, why=why.strip())
    record_action(verb="webhook_disable", by=by, now=now, about=endpoint.name, why=why)


@permitted(CHANGE)
@transaction.atomic
def enable(*, endpoint: WebhookEndpoint, by: User, now: datetime) -> None:
    """Enables the endpoint. Waiting deliveries are sent in order."""
    webhooks.enable(endpoint=endpoint, now=now)
    record_action(verb="webhook_enable", by=by, now=now, about=endpoint.name)


@permitted("messaging.send_webhook_again")
@transaction.atomic
def send_again(*, delivery: WebhookDelivery, by: User, now: datetime) -> None:
    """Sends a delivery again under the same id, after it was delivered or given up."""
    webhooks.send_again(delivery=delivery, now=now)
    record_action(verb="webhook_again", by=by, now=now, about=str(delivery.event_id))


def _summary(url: str, event_types: Sequence[str]) -> str:
    return f"{url} receives {', '.join(event_types)}"

"""Health checks: /healthz says that the process is alive, /readyz that the web server can answer people, and
/readyz/workers that work is done.

A load balancer asks the second: without Redis or workers every form still works, so a web server stays in.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Min, QuerySet
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from billing.models import Refund
from billing.models.states import RefundState
from cancellations.queries.requests import due_requests
from messaging.inbound.mailboxes import source_of
from messaging.models import (
    DeliveryState,
    EndpointState,
    IncomingMessage,
    Mailbox,
    MessageState,
    OutgoingMessage,
    ReadState,
    WebhookDelivery,
)
from messaging.services.heartbeat import SILENT_AFTER, last_run

OVERDUE_AFTER = timedelta(minutes=15)


@never_cache
def alive(http: HttpRequest) -> JsonResponse:
    return JsonResponse({"alive": True})


@never_cache
def ready(http: HttpRequest) -> JsonResponse:
    """Whether this web server can answer people: the database answers. Says also what else is wrong."""
    checks = _checks(timezone.now())
    return JsonResponse(checks, status=200 if checks["database"] else 503)


@never_cache
def workers_ready(http: HttpRequest) -> JsonResponse:
    """Whether work is done: workers are seen, and nothing is overdue by OVERDUE_AFTER."""
    checks = _checks(timezone.now())
    return JsonResponse(checks, status=503 if checks["wrong"] else 200)


def _checks(now: datetime) -> dict[str, Any]:
    checks: dict[str, Any] = {"database": _database(), "broker": _broker()}
    if checks["database"]:
        ended = last_run()
        overdue = {work: seconds for work, seconds in overdue_seconds(now) if seconds > 0}
        checks |= {
            "workers": ended is not None and now - ended < SILENT_AFTER,
            "workers_keep_up": max(overdue.values(), default=0) < OVERDUE_AFTER.total_seconds(),
            "oldest_overdue_seconds": round(max(overdue.values(), default=0)),
            "mailboxes_are_read": not _unread(now),
        }
    checks["wrong"] = list(_wrong(checks))
    return checks


def _wrong(checks: dict[str, Any]) -> Iterator[str]:
    sentences = {
        "database": "The database does not answer.",
        "broker": "The broker does not answer: work starts with the next tick of beat only once it is back.",
        "workers": f"No worker has ended a task for {SILENT_AFTER.seconds // 60} minutes. Are worker and beat running?",
        "workers_keep_up": "Work is overdue. Look at the log of the workers, and at “Set aside”.",
        "mailboxes_are_read": "A mailbox cannot be read. Look at “Mailboxes”.",
    }
    return (sentence for name, sentence in sentences.items() if checks.get(name) is False)


def overdue_seconds(now: datetime) -> Iterator[tuple[str, float]]:
    """Yields each kind of work with the seconds for which its oldest row has been due; 0 if none is."""
    messages = OutgoingMessage.objects.filter(state=MessageState.PENDING)
    mails = IncomingMessage.objects.filter(state=ReadState.WAITING)
    refunds = Refund.objects.filter(state=RefundState.SENDING)
    calls = WebhookDelivery.objects.filter(state=DeliveryState.PENDING, endpoint__state=EndpointState.ACTIVE)
    for work, rows, field in (
        ("requests", due_requests(now), "due_at"),
        ("messages", messages, "due_at"),
        ("mails", mails, "due_at"),
        ("refunds", refunds, "attempt_due_at"),
        ("webhooks", calls, "due_at"),
    ):
        yield work, _seconds(rows, field, now)


def _seconds(rows: QuerySet[Any], field: str, now: datetime) -> float:
    oldest: datetime | None = rows.order_by().aggregate(oldest=Min(field))["oldest"]
    return max((now - oldest).total_seconds(), 0.0) if oldest else 0.0


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _broker() -> bool:
    try:
        with current_app.connection_for_read() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except Exception:  # any error of the broker's client means that it is not available
        return False
    return True


def _unread(now: datetime) -> bool:
    """Whether a configured mailbox has been failing for longer than OVERDUE_AFTER."""
    names = [source_of(url).name for url in settings.INBOUND_MAILBOXES]
    return Mailbox.objects.filter(name__in=names, failing_since__lt=now - OVERDUE_AFTER).exists()

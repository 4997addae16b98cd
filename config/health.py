"""Health checks: /healthz says that the process is alive, /readyz that it can do its work."""

from datetime import timedelta

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from billing.models import Refund
from billing.models.states import RefundState
from cancellations.queries.requests import due_requests
from messaging.inbound.mailboxes import source_of
from messaging.models import IncomingMessage, Mailbox, MessageState, OutgoingMessage, ReadState

OVERDUE_AFTER = timedelta(minutes=15)


@never_cache
def alive(http: HttpRequest) -> JsonResponse:
    return JsonResponse({"alive": True})


@never_cache
def ready(http: HttpRequest) -> JsonResponse:
    """Checks the database, the broker, and that no work and no mailbox is overdue by OVERDUE_AFTER."""
    checks = {"database": _database(), "broker": _broker()}
    if checks["database"]:
        checks["workers_keep_up"] = not _overdue()
        checks["mailboxes_are_read"] = not _unread()
    return JsonResponse(checks, status=200 if all(checks.values()) else 503)


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


def _unread() -> bool:
    """Whether a configured mailbox has been failing for longer than OVERDUE_AFTER."""
    names = [source_of(url).name for url in settings.INBOUND_MAILBOXES]
    since = timezone.now() - OVERDUE_AFTER
    return Mailbox.objects.filter(name__in=names, failing_since__lt=since).exists()


def _overdue() -> bool:
    since = timezone.now() - OVERDUE_AFTER
    outgoing = OutgoingMessage.objects.filter(state=MessageState.PENDING, due_at__lt=since)
    incoming = IncomingMessage.objects.filter(state=ReadState.WAITING, due_at__lt=since)
    refunds = Refund.objects.filter(state=RefundState.SENDING, attempt_due_at__lt=since)
    return outgoing.exists() or incoming.exists() or due_requests(since).exists() or refunds.exists()

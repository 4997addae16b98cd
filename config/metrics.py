"""/metrics for Prometheus: what waits and what is overdue, read from the database, and the web servers' latencies.

What the database knows is the same in every process. Latencies are counted in each process; under gunicorn they are
shared in files (PROMETHEUS_MULTIPROC_DIR), so that any process answers for all of its server.
"""

import hmac
import os
import time
from collections.abc import Callable, Iterator

from django.conf import settings
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from billing.models import Refund
from billing.models.states import UNDECIDED, RefundState
from cancellations.models import CancellationRequest
from cancellations.models.states import OPEN
from config.health import overdue_seconds
from messaging.models import Mailbox, MessageState, OutgoingMessage, SetAside, TaskRun

UNPAID = (*UNDECIDED, RefundState.APPROVED, RefundState.SENDING, RefundState.FAILED)
IS_SHARED = "PROMETHEUS_MULTIPROC_DIR" in os.environ  # as the client decided when it was imported
OF_PROCESS = CollectorRegistry()
LATENCY = Histogram(
    "portal_http_seconds",
    "Time of an answer by view",
    ["view", "method", "status"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=OF_PROCESS,
)


class Latencies:
    """Middleware that measures each answer, by the name of its view and not by its path."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, http: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(http)
        match = http.resolver_match
        method = http.method if http.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
        view = match.view_name if match else "none"
        LATENCY.labels(view, method, f"{response.status_code // 100}xx").observe(time.perf_counter() - began)
        return response


@never_cache
def metrics(http: HttpRequest) -> HttpResponse:
    """Answers who sends METRICS_TOKEN as a bearer token, and in a local run everybody."""
    if not _may_read(http):
        raise Http404
    registry = CollectorRegistry()
    if IS_SHARED:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text = generate_latest(registry)
    else:
        text = generate_latest(OF_PROCESS)
    of_database = CollectorRegistry()
    of_database.register(DatabaseCollector())
    return HttpResponse(text + generate_latest(of_database), content_type=CONTENT_TYPE_LATEST)


def _may_read(http: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = http.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode())
    return bool(settings.LOCAL_RUN)


class DatabaseCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        yield _by("portal_requests", "Open cancellation requests", "state", _open_requests())
        yield _by("portal_refunds", "Refunds that are not paid yet", "state", _unpaid_refunds())
        now = timezone.now()
        overdue = dict(overdue_seconds(now))
        yield _by("portal_overdue_seconds", "How long the oldest due row has waited", "work", overdue)
        pending = OutgoingMessage.objects.filter(state=MessageState.PENDING)
        priorities = dict(pending.values_list("priority").annotate(Count("pk")).order_by())
        yield _by("portal_messages_pending", "E-mails that wait to be sent", "priority", priorities)
        charged = Refund.objects.filter(charged_after_end=True, due_on__isnull=False).count()
        yield GaugeMetricFamily("portal_charged_after_end", "Open reviews of charges after an end", charged)
        set_aside = dict(SetAside.objects.values_list("work").annotate(Count("pk")).order_by())
        yield _by("portal_set_aside", "Rows that could not be processed and wait for staff", "work", set_aside)
        failing = Mailbox.objects.filter(failing_since__isnull=False).count()
        yield GaugeMetricFamily("portal_mailboxes_failing", "Mailboxes that cannot be read", failing)
        runs = list(TaskRun.objects.all())
        ages = {run.task: (now - run.ended_at).total_seconds() for run in runs}
        yield _by("portal_task_age_seconds", "Time since the last run of a task ended", "task", ages)
        for name, words, values in (
            ("portal_task_runs", "Runs of a task", {run.task: run.runs for run in runs}),
            ("portal_task_failures", "Runs of a task that raised an error", {run.task: run.failures for run in runs}),
            ("portal_task_seconds", "Time spent in a task", {run.task: run.total_seconds for run in runs}),
        ):
            family = CounterMetricFamily(name, words, labels=["task"])
            for label, value in values.items():
                family.add_metric([label], value)
            yield family


def _open_requests() -> dict[str, float]:
    counts = dict.fromkeys(map(str, OPEN), 0)
    rows = CancellationRequest.objects.filter(state__in=OPEN).values_list("state").annotate(Count("pk")).order_by()
    return {**counts, **dict(rows)}


def _unpaid_refunds() -> dict[str, float]:
    counts = dict.fromkeys(map(str, UNPAID), 0)
    rows = Refund.objects.filter(state__in=UNPAID).values_list("state").annotate(Count("pk")).order_by()
    return {**counts, **dict(rows)}


def _by(name: str, words: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family

"""/metrics and the workers' heartbeat: what an operator sees from outside."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from celery.signals import task_postrun, task_prerun
from django.core.management import CommandError, call_command
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from messaging.models import TaskRun
from messaging.services.heartbeat import last_run, record_run
from tests import cast

pytestmark = pytest.mark.django_db


def read(client, **headers):
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


@pytest.fixture
def token(settings):
    settings.METRICS_TOKEN = "a-long-token"
    return {"Authorization": "Bearer a-long-token"}


def test_only_who_has_the_token_reads_it(client, settings, token):
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 404
    assert client.get("/metrics", headers=token).status_code == 200
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics").status_code == 200  # in a local run
    settings.LOCAL_RUN = False
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_says_what_waits_and_what_is_overdue(client, token):
    cast.in_review(), cast.unverified(cast.account())
    cast.refund_requested()
    values = read(client, **token)
    assert values["portal_requests", "in_review"] == values["portal_requests", "unverified"] == 1
    assert values["portal_requests", "scheduled"] == 0
    assert values["portal_refunds", "requested"] == 1
    assert values["portal_overdue_seconds", "messages"] > 0
    assert values["portal_messages_pending", "0"] == 2


def test_measures_pages_by_view_and_not_by_path(client, token):
    cast.policy()
    for reference in ("CR-AAAA-AAAA", "CR-BBBB-BBBB"):
        client.get(f"/requests/{reference}/")
    client.get("/nowhere/")
    values = read(client, **token)
    counts = [set(labels) for name, *labels in values if name == "portal_http_seconds_count"]
    assert {"request_status", "GET", "4xx"} in counts
    assert {"none", "GET", "4xx"} in counts
    assert not any("CR-" in label for labels in counts for label in labels)


def test_the_runs_of_tasks_are_the_heartbeat(client, token):
    now = timezone.now()
    record_run(task="messaging.deliver", seconds=0.5, has_failed=False, now=now - timedelta(minutes=1))
    record_run(task="messaging.deliver", seconds=1.5, has_failed=True, now=now)
    record_run(task="messaging.deliver", seconds=1.0, has_failed=False, now=now - timedelta(minutes=9))
    values = read(client, **token)
    assert values["portal_task_runs_total", "messaging.deliver"] == 3
    assert values["portal_task_failures_total", "messaging.deliver"] == 1
    assert values["portal_task_seconds_total", "messaging.deliver"] == 3
    assert values["portal_task_age_seconds", "messaging.deliver"] < 30
    assert last_run() == now


def test_a_worker_records_each_run():
    class Task:
        name = "some.task"

    task_prerun.send(None, task_id="1")
    task_postrun.send(None, task_id="1", task=Task(), state="FAILURE")
    assert (TaskRun.objects.get().task, TaskRun.objects.get().failures) == ("some.task", 1)


class TestReady:
    def test_a_web_server_is_ready_without_workers_and_broker(self, client, settings):
        cast.policy()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["workers"]) == (200, False)
        assert "worker and beat" in answer.json()["wrong"][0]
        assert client.get("/readyz/workers").status_code == 503

    def test_workers_that_work_are_ready(self, client):
        cast.policy()
        record_run(task="messaging.deliver", seconds=0.1, has_failed=False, now=timezone.now())
        answer = client.get("/readyz/workers")
        assert (answer.status_code, answer.json()["wrong"]) == (200, [])

    def test_what_is_overdue_is_said_in_seconds(self, client):
        record_run(task="messaging.deliver", seconds=0.1, has_failed=False, now=timezone.now())
        cast.scheduled()
        answer = client.get("/readyz/workers")
        assert answer.status_code == 503
        assert answer.json()["oldest_overdue_seconds"] > 900
        assert answer.json()["wrong"] == ["Work is overdue. Look at the log of the workers, and at “Set aside”."]


def test_each_alert_is_about_a_metric_that_exists(client, token):
    record_run(task="messaging.deliver", seconds=0.1, has_failed=False, now=timezone.now())
    cast.policy()
    client.get("/")
    text = client.get("/metrics", headers=token).content.decode()
    wanted = set(re.findall(r"\bportal_\w+", Path("docs/monitoring/alerts.yml").read_text()))
    assert len(wanted) > 6
    assert {name for name in wanted if name not in text} == set()


def test_bench_names_the_benchmarks():
    with pytest.raises(CommandError, match="confirm, desk"):
        call_command("bench", "nothing")

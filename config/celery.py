"""Celery: a timer that wakes workers. It holds no state; the rows of the database are the queue.

Beat sends tasks at intervals, workers claim due rows. A lost or repeated task changes nothing, so results are
ignored, nothing is scheduled with an ETA, and Redis can be emptied at any time.
"""

import logging
import os
import time
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun

log = logging.getLogger(__name__)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "read the mailboxes": {"task": "messaging.fetch", "schedule": 20.0, "options": {"expires": 20}},
    "read incoming mail": {"task": "mail.read", "schedule": 20.0, "options": {"expires": 20}},
    "handle mail that failed": {"task": "mail.failed", "schedule": 60.0, "options": {"expires": 60}},
    "call the webhooks": {"task": "messaging.call", "schedule": 10.0, "options": {"expires": 10}},
    "deliver the outbox": {"task": "messaging.deliver", "schedule": 10.0, "options": {"expires": 10}},
    "call the gateways": {"task": "billing.send", "schedule": 30.0, "options": {"expires": 30}},
    "announce policy versions": {"task": "cancellations.announce", "schedule": 30.0, "options": {"expires": 30}},
    "apply retention periods": {"task": "cancellations.retain", "schedule": 600.0, "options": {"expires": 600}},
    "send proof links that waited": {"task": "cancellations.prove", "schedule": 60.0, "options": {"expires": 60}},
    "check files for viruses": {"task": "cancellations.scan", "schedule": 60.0, "options": {"expires": 60}},
    "run bulk jobs": {"task": "cancellations.bulk", "schedule": 15.0, "options": {"expires": 15}},
    "remind of renewals": {"task": "cancellations.renewals", "schedule": 600.0, "options": {"expires": 600}},
    "remind staff": {"task": "cancellations.remind", "schedule": 300.0, "options": {"expires": 300}},
    "seal the audit": {"task": "accounts.seal_audit", "schedule": 20.0, "options": {"expires": 20}},
    "tidy": {"task": "accounts.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
    "enforce due requests": {"task": "cancellations.enforce", "schedule": 30.0, "options": {"expires": 30}},
}

_began: dict[str, float] = {}


@task_prerun.connect
def _note_begin(task_id: str = "", **_: Any) -> None:
    _began[task_id] = time.monotonic()


@task_postrun.connect
def _record_run(task_id: str = "", task: Any = None, state: str = "", **_: Any) -> None:
    """Records the heartbeat of the workers. A task must not fail because of it."""
    from django.utils import timezone

    from messaging.services.heartbeat import record_run

    seconds = time.monotonic() - _began.pop(task_id, time.monotonic())
    try:
        record_run(task=task.name, seconds=seconds, has_failed=state != "SUCCESS", now=timezone.now())
    except Exception as error:  # such as a database that is gone
        log.warning("The run of %s was not recorded: %s", task.name, error)

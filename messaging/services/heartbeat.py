"""The workers' heartbeat: each run of a task is recorded, so that others see whether anybody works."""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max

from messaging.models import TaskRun

SILENT_AFTER = timedelta(minutes=3)  # beat ticks every ten seconds, and a slice of work lasts five


def record_run(*, task: str, seconds: float, has_failed: bool, now: datetime) -> None:
    """Records a run of a task, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO messaging_taskrun AS t (task, ended_at, seconds, runs, failures, total_seconds)
            VALUES (%(task)s, %(now)s, %(seconds)s, 1, %(failed)s, %(seconds)s)
            ON CONFLICT (task) DO UPDATE SET ended_at = greatest(t.ended_at, excluded.ended_at),
                seconds = excluded.seconds, runs = t.runs + 1, failures = t.failures + excluded.failures,
                total_seconds = t.total_seconds + excluded.seconds
            """,
            {"task": task, "now": now, "seconds": seconds, "failed": int(has_failed)},
        )


def last_run() -> datetime | None:
    """When a worker last ended a task; None if none ever did."""
    ended: datetime | None = TaskRun.objects.aggregate(last=Max("ended_at"))["last"]
    return ended

"""What the workers did last, kind by kind: their heartbeat."""

from django.db import models


class TaskRun(models.Model):
    """A Celery task, with its last run and the sums of all. Written by each worker after each run."""

    task = models.CharField(max_length=80, primary_key=True)
    ended_at = models.DateTimeField(help_text="End of the last run")
    seconds = models.FloatField(help_text="Duration of the last run")
    runs = models.BigIntegerField(default=1)
    failures = models.BigIntegerField(default=0)
    total_seconds = models.FloatField(default=0)

    class Meta:
        ordering = ["task"]

    def __str__(self) -> str:
        return self.task

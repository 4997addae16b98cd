"""Bulk jobs: one verb on many requests, with the result of each."""

from django.db import models
from django.db.models import Q

from accounts.models import User
from cancellations.models.requests import CancellationRequest


class BulkVerb(models.TextChoices):
    SCHEDULE = "schedule", "schedule"
    ASSIGN = "assign", "assign"
    ASK_AGAIN = "ask_again", "ask for proof again"


class BulkState(models.TextChoices):
    PENDING = "pending", "waiting"
    DONE = "done", "done"
    REFUSED = "refused", "refused"


class BulkJob(models.Model):
    """A verb for many requests. Workers process its rows one by one."""

    verb = models.CharField(max_length=10, choices=BulkVerb.choices)
    words = models.TextField("message to the customers", blank=True)
    to = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    ordered_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    ordered_at = models.DateTimeField()
    total = models.PositiveIntegerField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-ordered_at", "-id"]
        indexes = [models.Index(fields=["id"], condition=Q(finished_at__isnull=True), name="bulk_open")]

    def __str__(self) -> str:
        return f"{self.get_verb_display()} {self.total} requests"


class BulkRow(models.Model):
    """One request of a job, and its result."""

    job = models.ForeignKey(BulkJob, models.CASCADE, related_name="rows")
    request = models.ForeignKey(CancellationRequest, models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=BulkState.choices, default=BulkState.PENDING)
    said = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["job", "request"], name="bulk_row_once")]
        indexes = [models.Index(fields=["job", "id"], condition=Q(state="pending"), name="bulk_pending")]

    def __str__(self) -> str:
        return f"{self.request}: {self.get_state_display()}"

"""Announcements of new policy versions to account holders."""

from django.db import models
from django.db.models import Q

from accounts.models import User
from cancellations.models.policy import PolicyVersion


class Announcement(models.Model):
    """The progress of an announcement. The row is the queue: after a crash, the batch is due again."""

    policy_version = models.OneToOneField(PolicyVersion, models.PROTECT, related_name="announcement")
    started_at = models.DateTimeField()
    started_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    total = models.PositiveIntegerField(help_text="Account holders to notify, counted at the start")
    told = models.PositiveIntegerField(default=0)
    reached = models.BigIntegerField(default=0, help_text="Primary key of the last account processed")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["started_at"], condition=Q(finished_at__isnull=True), name="announcement_unfinished")
        ]

    def __str__(self) -> str:
        return f"announcement of {self.policy_version}"

"""Notifications that were sent to staff, so that none is sent twice."""

from django.db import models


class Reminder(models.Model):
    """The digest of a day, or an escalation of an overdue item, that was sent."""

    KINDS = [("digest", "digest"), ("overdue", "overdue"), ("charged", "charged after the end")]

    kind = models.CharField(max_length=7, choices=KINDS)
    about = models.CharField(max_length=80, help_text="The day, or the item and since when it is overdue")
    sent_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "about"], name="reminded_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"

"""Cancellation forms that were begun, counted to find out what stops people."""

from django.db import models
from django.db.models import Q


class StoppedAt(models.TextChoices):
    FORM = "form", "the form, with an error"
    CHECK = "check", "the check of answers"


class BegunForm(models.Model):
    """A posted form and how far it came. It stores no personal data and no answers."""

    key = models.UUIDField(unique=True)
    begun_at = models.DateTimeField()
    jurisdiction = models.CharField(max_length=10)
    kind = models.CharField(max_length=12)
    signed_in = models.BooleanField()
    stopped_at = models.CharField(max_length=5, choices=StoppedAt.choices)
    errors = models.JSONField(default=list, help_text="Names of the fields with errors at the last attempt")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-begun_at", "-id"]
        indexes = [models.Index(fields=["begun_at"], condition=Q(finished_at__isnull=True), name="form_abandoned")]

    def __str__(self) -> str:
        return f"form of {self.begun_at:%d %b %Y}"

"""Files that support a request's ground or a termination."""

import uuid

import pgtrigger
from django.db import models
from django.db.models import Q

from accounts.models import User
from cancellations.models.requests import CancellationRequest
from cancellations.models.terminations import Termination


class Attachment(models.Model):
    """A file, stored unchanged in the database: it is in the same backup, and no web server can serve it by path."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(CancellationRequest, models.PROTECT, null=True, related_name="attachments")
    termination = models.ForeignKey(Termination, models.PROTECT, null=True, related_name="attachments")
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=60, help_text="Detected from the content, not taken from the sender")
    size = models.PositiveIntegerField(help_text="Bytes")
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField()
    added_at = models.DateTimeField()
    added_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", help_text="Empty: the customer")

    class Meta:
        ordering = ["added_at", "id"]
        constraints = [
            models.CheckConstraint(
                name="attachment_belongs_to_one",
                condition=Q(request__isnull=False, termination__isnull=True)
                | Q(request__isnull=True, termination__isnull=False),
            ),
            models.UniqueConstraint(fields=["request", "sha256"], name="attachment_once_a_request"),
        ]
        triggers = [pgtrigger.Protect(name="attachment_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.name

"""Files that support a request's ground or a termination."""

import uuid

import pgtrigger
from django.db import models
from django.db.models import Q

from accounts.models import User
from cancellations.models.requests import CancellationRequest
from cancellations.models.terminations import Termination


class ScanState(models.TextChoices):
    """Whether a virus scanner has checked a file."""

    NOT_CHECKED = "", "not checked: no scanner is set"
    WAITING = "waiting", "waiting to be checked"
    CLEAN = "clean", "checked"
    INFECTED = "infected", "a virus was found"


HELD = (ScanState.WAITING, ScanState.INFECTED)
KEPT_FIELDS = [
    "request", "termination", "name", "media_type", "size", "sha256", "content", "added_at", "added_by"
]  # fmt: skip


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
    scan_state = models.CharField(
        max_length=8, choices=ScanState.choices, default=ScanState.NOT_CHECKED, db_default="", blank=True
    )
    scan_due_at = models.DateTimeField(null=True, blank=True, help_text="Next check, or the end of a worker's lease")
    scan_result = models.CharField(
        max_length=200, blank=True, db_default="", help_text="The virus, or why the file is not checked yet"
    )

    class Meta:
        ordering = ["added_at", "id"]
        indexes = [
            models.Index(fields=["scan_due_at", "id"], condition=Q(scan_state="waiting"), name="attachment_to_scan")
        ]
        constraints = [
            models.CheckConstraint(
                name="attachment_belongs_to_one",
                condition=Q(request__isnull=False, termination__isnull=True)
                | Q(request__isnull=True, termination__isnull=False),
            ),
            models.UniqueConstraint(fields=["request", "sha256"], name="attachment_once_a_request"),
            models.CheckConstraint(
                name="attachment_to_scan_is_due",
                condition=Q(scan_state=ScanState.WAITING, scan_due_at__isnull=False)
                | (~Q(scan_state=ScanState.WAITING) & Q(scan_due_at__isnull=True)),
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="attachment_stays", fields=KEPT_FIELDS),
            pgtrigger.Protect(name="attachment_is_not_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_held(self) -> bool:
        """Whether nobody may open the file: it waits for the virus scanner, or a virus was found in it."""
        return self.scan_state in HELD

    @property
    def why_held(self) -> str:
        """What staff read instead of opening the file; empty if it can be opened."""
        if self.scan_state == ScanState.INFECTED:
            return f"A virus was found in this file ({self.scan_result}), so nobody can open it."
        if self.scan_state == ScanState.WAITING:
            problem = f" The last attempt failed: {self.scan_result}" if self.scan_result else ""
            return f"This file is being checked for viruses, and can be opened after that.{problem}"
        return ""

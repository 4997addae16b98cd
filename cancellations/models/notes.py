"""Notes of staff on a request."""

import pgtrigger
from django.db import models
from django.db.models import Q

from accounts.models import User
from cancellations.models.requests import CancellationRequest


class Note(models.Model):
    """A note on a request, for staff only. It cannot be changed."""

    request = models.ForeignKey(CancellationRequest, models.PROTECT, related_name="notes")
    words = models.TextField()
    written_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    written_at = models.DateTimeField()

    class Meta:
        ordering = ["written_at", "pk"]
        constraints = [models.CheckConstraint(name="note_says_something", condition=~Q(words=""))]
        triggers = [pgtrigger.Protect(name="note_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"note on {self.request}"

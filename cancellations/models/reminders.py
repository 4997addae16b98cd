"""What staff were reminded of, so that nobody is told the same twice."""

from django.db import models


class Reminder(models.Model):
    """A digest of a day, or an overdue item that was told of."""

    KINDS = [("digest", "digest"), ("overdue", "overdue")]

    kind = models.CharField(max_length=7, choices=KINDS)
    about = models.CharField(max_length=80, help_text="The day, or the item and since when it is overdue")
    sent_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "about"], name="reminded_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"

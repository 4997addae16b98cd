"""Due rows that could not be processed, and wait for staff."""

from django.db import models


class SetAside(models.Model):
    """A due row whose processing failed (messaging/due.py). It is due again once this row is deleted."""

    work = models.CharField(max_length=40, help_text="The name of the work")
    key = models.CharField(max_length=40, help_text="The primary key of the row")
    error = models.TextField()
    at = models.DateTimeField("set aside")

    class Meta:
        verbose_name = "row set aside"
        verbose_name_plural = "rows set aside"
        ordering = ["-at", "-id"]
        permissions = [("try_again", "Can try again what was set aside")]
        constraints = [models.UniqueConstraint(fields=["work", "key"], name="set_aside_once")]
        indexes = [models.Index(fields=["-at", "-id"], name="set_aside_newest")]

    def __str__(self) -> str:
        return f"{self.work} {self.key}"

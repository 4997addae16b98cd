"""Reminders of renewals that the portal sent, and how far the run of a day has come."""

from django.db import models
from django.db.models import Q

from billing.models import Subscription


class RenewalReminder(models.Model):
    """The proof that a customer was reminded of a renewal: on which day, and until when it could be refused."""

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="renewal_reminders")
    renews_on = models.DateField()
    last_day_on = models.DateField(help_text="The last day to cancel, as the mail named it")
    reminded_on = models.DateField()
    source = models.CharField(max_length=120, help_text="The law that asks for it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "renews_on"], name="renewal_reminded_once"),
            models.CheckConstraint(
                name="renewal_reminded_in_time", condition=Q(reminded_on__lte=models.F("last_day_on"))
            ),
        ]

    def __str__(self) -> str:
        return f"reminder of {self.subscription_id}, {self.renews_on}"


class RenewalRun(models.Model):
    """The search of a day for renewals to remind of. The row is the queue: after a crash, it goes on where it was."""

    day = models.DateField(unique=True)
    reached = models.BigIntegerField(default=0, help_text="Primary key of the last subscription looked at")
    sent = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"renewals of {self.day}"

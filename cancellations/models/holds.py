"""Holds that prevent the erasure of personal data, and the records of erasures."""

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Q

from accounts.history import tracked
from accounts.models import Account, User


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent())
class Hold(models.Model):
    """A reason to keep an account's data, such as a legal claim (GDPR, article 17, paragraph 3)."""

    account = models.ForeignKey(Account, models.PROTECT, related_name="holds")
    ground = models.TextField()
    placed_at = models.DateTimeField()
    placed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    lifted_ground = models.TextField(blank=True)

    class Meta:
        ordering = ["-placed_at"]
        permissions = [
            ("hold_data", "Can hold an account's data against erasure"),
            ("erase_data", "Can erase an account's personal data"),
        ]
        constraints = [
            models.CheckConstraint(name="hold_has_a_ground", condition=~Q(ground="")),
            models.CheckConstraint(
                name="hold_is_lifted_by_somebody_on_a_ground",
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True, lifted_ground="")
                | Q(lifted_at__isnull=False, lifted_by__isnull=False) & ~Q(lifted_ground=""),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="hold_stays", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="hold_ground_stays", fields=["account", "placed_at", "placed_by"]),
        ]

    def __str__(self) -> str:
        return f"hold on {self.account.account_number}"

    @property
    def state(self) -> str:
        return "lifted" if self.lifted_at else "in force"

    def get_state_display(self) -> str:
        return self.state


class Erasure(models.Model):
    """The record that an account's personal data was erased."""

    account = models.OneToOneField(Account, models.PROTECT, related_name="erasure")
    erased_at = models.DateTimeField()
    erased_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", help_text="Empty: the retention job"
    )
    ground = models.TextField()
    rows = models.JSONField(default=dict, help_text="How many rows of each kind lost their personal data")

    class Meta:
        ordering = ["-erased_at"]
        triggers = [pgtrigger.Protect(name="erasure_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"erasure of {self.account.account_number}"

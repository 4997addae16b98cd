"""Bank transfers of refunds, ordered in a file."""

import pgtrigger
from django.db import models
from django.db.models import Q
from djmoney.models.fields import MoneyField

from accounts.models import User
from billing.models.refunds import Refund
from billing.models.subscriptions import AMOUNT
from billing.rules.references import new_reference


def transfer_reference() -> str:
    return new_reference("BT")


class TransferBatch(models.Model):
    """Bank transfers in one currency, ordered in a file for the bank. The file never changes.

    Until the bank has it, it can be cancelled: its refunds have then failed and can be ordered again.
    """

    FORMS = [("pain.001", "ISO 20022 pain.001"), ("csv", "CSV")]

    reference = models.CharField(max_length=20, unique=True, default=transfer_reference, editable=False)
    form = models.CharField(max_length=8, choices=FORMS)
    total = MoneyField(**AMOUNT, default_currency=None)
    count = models.PositiveIntegerField()
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    file = models.BinaryField()
    cancelled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancel_ground = models.TextField(blank=True, db_default="")

    class Meta:
        verbose_name_plural = "transfer batches"
        ordering = ["-made_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="batch_is_cancelled_by_somebody",
                condition=Q(cancelled_at__isnull=True, cancelled_by__isnull=True)
                | Q(cancelled_at__isnull=False, cancelled_by__isnull=False) & ~Q(cancel_ground=""),
            )
        ]
        triggers = [
            pgtrigger.Protect(name="batch_stays", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="batch_is_as_ordered",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["cancelled_by", "cancelled_at", "cancel_ground"]),
            ),
            pgtrigger.Protect(
                name="batch_stays_cancelled",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__cancelled_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class TransferItem(models.Model):
    """A refund in a batch, with the amount that was ordered and the reference that comes back from the bank."""

    batch = models.ForeignKey(TransferBatch, models.PROTECT, related_name="items")
    refund = models.ForeignKey(Refund, models.PROTECT, related_name="transfers")
    amount = MoneyField(**AMOUNT, default_currency=None)
    end_to_end_id = models.CharField(max_length=35, default="", db_default="", editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["batch", "refund"], name="refund_once_a_batch")]
        indexes = [models.Index(fields=["end_to_end_id"], name="order_by_reference")]
        triggers = [pgtrigger.Protect(name="item_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.refund} in {self.batch}"

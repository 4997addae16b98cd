"""Payments: each is money received for one billing period."""

import pghistory
import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from djmoney.models.fields import MoneyField
from moneyed import Money

from accounts.history import tracked
from accounts.models import Account
from billing.models.guards import CHARGED_AFTER_END
from billing.models.subscriptions import AMOUNT, Subscription
from billing.rules.periods import Period


class Dispute(models.TextChoices):
    """Whether the customer's bank disputes the payment or has charged it back."""

    NONE = "", _("none")
    OPEN = "open", _("under dispute")
    LOST = "lost", _("charged back")
    WON = "won", _("settled for us")


@tracked(pghistory.UpdateEvent(), pghistory.DeleteEvent(), level=pghistory.Statement)
class Payment(models.Model):
    """Money received for one billing period."""

    reference = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey(Account, models.PROTECT, related_name="payments")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="payments")
    period_start = models.DateField()
    period_end = models.DateField(help_text="Half-open: the first day after the period")
    amount = MoneyField(**AMOUNT, default_currency="EUR")
    amount_refunded = models.DecimalField(**AMOUNT, default=0, help_text="Refunded elsewhere, same currency")
    paid_at = models.DateTimeField()
    method = models.CharField(max_length=40, blank=True)
    gateway = models.CharField(max_length=40, blank=True)
    gateway_reference = models.CharField(max_length=120, blank=True)
    dispute = models.CharField(max_length=4, choices=Dispute.choices, default=Dispute.NONE, blank=True)
    is_to_check = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="It may charge for a time after the end. Set by the database, cleared by the worker",
    )

    class Meta:
        ordering = ["subscription", "period_start"]
        indexes = [
            models.Index(fields=["subscription", "period_end"], name="payment_period"),
            models.Index(fields=["id"], condition=Q(is_to_check=True), name="payment_to_check"),
        ]
        constraints = [
            models.CheckConstraint(name="payment_period_holds_a_day", condition=Q(period_end__gt=F("period_start"))),
            models.CheckConstraint(
                name="payment_refunded_within", condition=Q(amount_refunded__gte=0, amount_refunded__lte=F("amount"))
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="charged_after_end_new",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=CHARGED_AFTER_END,
            ),
            pgtrigger.Trigger(
                name="charged_after_end",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("period_start", "period_end", "amount", "dispute"),
                func=CHARGED_AFTER_END,
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def period(self) -> Period:
        return Period(self.period_start, self.period_end)

    @property
    def is_disputed(self) -> bool:
        """Whether it is under dispute or charged back, so that it cannot be refunded."""
        return self.dispute in (Dispute.OPEN, Dispute.LOST)

    @property
    def refundable(self) -> Money:
        """What can still be refunded, before the portal's own refunds."""
        if self.is_disputed:
            return Money(0, self.amount.currency)
        return self.amount - Money(self.amount_refunded, self.amount.currency)

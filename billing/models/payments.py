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
from billing.models.guards import CHARGED_AFTER_END, REFUNDED_BY_US
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
    amount_refunded = models.DecimalField(
        **AMOUNT, default=0, help_text="Refunded by the company’s own figures, same currency"
    )
    refunded_by_us = models.DecimalField(
        **AMOUNT,
        default=0,
        db_default=0,
        editable=False,
        help_text="How much of that is refunds of the portal. Matched by the database",
    )
    paid_at = models.DateTimeField()
    method = models.CharField(max_length=40, blank=True)
    gateway = models.CharField(max_length=40, blank=True)
    gateway_reference = models.CharField(max_length=120, blank=True)
    dispute = models.CharField(max_length=4, choices=Dispute.choices, default=Dispute.NONE, blank=True)
    amount_disputed = models.DecimalField(
        **AMOUNT, null=True, blank=True, help_text="If only a part is disputed or was charged back, same currency"
    )
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
            models.CheckConstraint(
                name="payment_disputed_within",
                condition=Q(amount_disputed__isnull=True) | Q(amount_disputed__gte=0, amount_disputed__lte=F("amount")),
            ),
            models.CheckConstraint(
                name="payment_refunded_by_us_within",
                condition=Q(refunded_by_us__gte=0, refunded_by_us__lte=F("amount_refunded")),
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
            pgtrigger.Trigger(
                name="refunded_by_us",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("amount_refunded"),
                declare=[("delta", "numeric"), ("ours", "numeric"), ("is_one", "boolean")],
                func=REFUNDED_BY_US,
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def period(self) -> Period:
        return Period(self.period_start, self.period_end)

    @property
    def disputed(self) -> Money:
        """The part that is under dispute or was charged back: the customer has it already, or may get it."""
        if self.dispute not in (Dispute.OPEN, Dispute.LOST):
            return Money(0, self.amount.currency)
        part = self.amount.amount if self.amount_disputed is None else self.amount_disputed
        return Money(part, self.amount.currency)

    @property
    def refunded_elsewhere(self) -> Money:
        """What was refunded, but not by the portal."""
        return Money(self.amount_refunded - self.refunded_by_us, self.amount.currency)

    @property
    def refundable(self) -> Money:
        """What can still be refunded, before the portal's own refunds."""
        left = self.amount - self.refunded_elsewhere - self.disputed
        return max(left, Money(0, self.amount.currency))

"""Subscriptions: what an account pays for."""

from datetime import date
from typing import Any

import pghistory
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from djmoney.models.fields import MoneyField

from accounts.history import tracked
from accounts.models import Account
from billing.rules.periods import Interval, Period, period_containing
from messaging.numbers import NumberKey

AMOUNT: dict[str, Any] = {"max_digits": 16, "decimal_places": 4}


class IntervalUnit(models.TextChoices):
    DAY = "day", "day"
    WEEK = "week", "week"
    MONTH = "month", "month"
    YEAR = "year", "year"


class EndedBy(models.TextChoices):
    NOT_ENDED = "", _("not ended")
    CRM = "crm", _("the company's own system")
    PORTAL = "portal", _("this portal")


@tracked(pghistory.UpdateEvent(), pghistory.DeleteEvent(), level=pghistory.Statement)
class Subscription(models.Model):
    """What an account pays for. Dates are local to the account; `ended_on` is the first day without service."""

    reference = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey(Account, models.PROTECT, related_name="subscriptions")
    plan_code = models.CharField(max_length=60)
    plan_name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField(default=1)
    price = MoneyField(**AMOUNT, default_currency="EUR", help_text="For one billing period and the whole quantity")
    interval_unit = models.CharField(max_length=5, choices=IntervalUnit.choices)
    interval_count = models.PositiveSmallIntegerField(default=1)
    started_on = models.DateField()
    billing_anchor = models.DateField(help_text="All billing dates are counted from it; it never moves")
    trial_ends_on = models.DateField(null=True, blank=True)
    concluded_on = models.DateField(
        null=True, blank=True, help_text="The day on which the contract was concluded; empty if not known"
    )
    minimum_term_ends_on = models.DateField(
        null=True, blank=True, help_text="The first day after the minimum term; empty without one"
    )
    start_requested_on = models.DateField(
        null=True,
        blank=True,
        help_text="The day on which the customer expressly asked to start within the cooling-off days",
    )
    reminded_on = models.DateField(
        null=True, blank=True, help_text="The day of the last reminder that the contract renews"
    )
    ended_on = models.DateField(null=True, blank=True)
    ended_by = models.CharField(max_length=6, choices=EndedBy.choices, default=EndedBy.NOT_ENDED, blank=True)

    class Meta:
        ordering = ["reference"]
        indexes = [models.Index(NumberKey("reference"), name="subscription_number_key")]
        constraints = [
            models.CheckConstraint(name="subscription_interval", condition=Q(interval_count__gte=1)),
            models.CheckConstraint(name="subscription_price", condition=Q(price__gte=0)),
            models.CheckConstraint(
                name="subscription_end_has_a_source",
                condition=Q(ended_on__isnull=True, ended_by="") | (Q(ended_on__isnull=False) & ~Q(ended_by="")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_name} ({self.reference})"

    @property
    def interval(self) -> Interval:
        return Interval(self.interval_unit, self.interval_count)  # type: ignore[arg-type]  # limited by choices

    def period_on(self, day: date) -> Period | None:
        """The billing period of the day; before the anchor, the shorter first period, or None if there is none."""
        if day >= self.billing_anchor:
            return period_containing(self.billing_anchor, self.interval, day)
        if self.started_on < self.billing_anchor:
            return Period(self.started_on, self.billing_anchor)
        return None

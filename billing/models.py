"""Subscriptions, the payments received for them, and the refunds that return money against payments."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy as _
from djmoney.models.fields import MoneyField
from moneyed import Money

from accounts.history import tracked
from accounts.models import Account, User
from billing.guards import CREDIT_NOTE, LINE_GUARD, REFUND_GUARD
from billing.periods import Interval, Period, period_containing
from billing.references import new_reference
from billing.states import TRANSITIONS, RefundState

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
    price = MoneyField(**AMOUNT, default_currency="EUR", help_text="For one billing period, all of the quantity")
    interval_unit = models.CharField(max_length=5, choices=IntervalUnit.choices)
    interval_count = models.PositiveSmallIntegerField(default=1)
    started_on = models.DateField()
    billing_anchor = models.DateField(help_text="All billing dates are counted from it; it never moves")
    trial_ends_on = models.DateField(null=True, blank=True)
    ended_on = models.DateField(null=True, blank=True)
    ended_by = models.CharField(max_length=6, choices=EndedBy.choices, default=EndedBy.NOT_ENDED, blank=True)

    class Meta:
        ordering = ["reference"]
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
        return Interval(self.interval_unit, self.interval_count)  # type: ignore[arg-type]  # held by choices

    def period_on(self, day: date) -> Period | None:
        """The billing period of the day; the first, shorter one runs from the start to the anchor."""
        if day >= self.billing_anchor:
            return period_containing(self.billing_anchor, self.interval, day)
        if self.started_on < self.billing_anchor:
            return Period(self.started_on, self.billing_anchor)
        return None


class Dispute(models.TextChoices):
    """Whether the customer's bank asks for the money back, or has taken it (a chargeback)."""

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

    class Meta:
        ordering = ["subscription", "period_start"]
        indexes = [models.Index(fields=["subscription", "period_end"], name="payment_period")]
        constraints = [
            models.CheckConstraint(name="payment_period_holds_a_day", condition=Q(period_end__gt=F("period_start"))),
            models.CheckConstraint(
                name="payment_refunded_within", condition=Q(amount_refunded__gte=0, amount_refunded__lte=F("amount"))
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def period(self) -> Period:
        return Period(self.period_start, self.period_end)

    @property
    def is_disputed(self) -> bool:
        """Money under dispute or charged back is not there to be returned."""
        return self.dispute in (Dispute.OPEN, Dispute.LOST)

    @property
    def refundable(self) -> Money:
        """What is left of it, before the portal's own refunds."""
        if self.is_disputed:
            return Money(0, self.amount.currency)
        return self.amount - Money(self.amount_refunded, self.amount.currency)


class RefundBasis(models.TextChoices):
    NONE = "none", _("nothing")
    UNUSED = "unused", _("unused part (pro rata)")
    FULL = "full", _("full amount")
    CUSTOM = "custom", _("other amount")


def refund_reference() -> str:
    return new_reference("RF")


_DECIDED = Q(state__in=["approved", "sending", "paid", "failed"])


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent(), exclude=["due_on"])
class Refund(models.Model):
    """Money returned against payments: proposed by one person, approved by another, then paid."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(max_length=20, unique=True, default=refund_reference, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="refunds")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="refunds")
    about = models.CharField(max_length=40, blank=True, help_text="Reference of what it follows from")
    state = models.CharField(max_length=10, choices=RefundState.choices, default=RefundState.REQUESTED)
    state_changed_at = models.DateTimeField()
    requested_at = models.DateTimeField()
    ended_on = models.DateField(help_text="First day without service; what lies after it is unused")
    customer_reason = models.TextField(blank=True)
    notify = models.EmailField(max_length=254, help_text="Where the customer hears of it")
    language = models.CharField(max_length=12, default="en", help_text="BCP 47; in which the customer hears of it")
    computed_basis = models.CharField(
        max_length=6, choices=RefundBasis.choices, default=RefundBasis.UNUSED, help_text="What a proposal starts from"
    )
    computed_ground = models.TextField(blank=True, help_text="Why it starts from that")
    whole_contract = models.BooleanField(
        default=False, help_text="The contract is unwound: payments for periods that are over are part of it, too"
    )

    basis = models.CharField(max_length=6, choices=RefundBasis.choices, blank=True)
    amount = MoneyField(**AMOUNT, default_currency=None, null=True, blank=True)
    proposed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    proposal_ground = models.TextField(blank=True)
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    second_approved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    declined_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decision_ground = models.TextField(blank=True)

    gateway = models.CharField(max_length=40, blank=True, help_text="Through which it was sent")
    failure = models.TextField(blank=True, help_text="Why the money did not arrive, or has not yet")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often the gateway was called")
    attempt_due_at = models.DateTimeField(null=True, blank=True, help_text="When the gateway is called next")
    credit_note_number = models.PositiveIntegerField(
        unique=True, null=True, blank=True, editable=False, help_text="Given by the database once paid, without gaps"
    )
    settled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    settlement_reference = models.CharField(max_length=120, blank=True)
    paid_on = models.DateField(null=True, blank=True)
    payee_name = models.CharField("account holder", max_length=140, blank=True, help_text="For a bank transfer")
    payee_account = models.CharField("IBAN or account", max_length=64, blank=True)
    payee_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approval_limits = models.JSONField(
        default=dict, help_text="From the policy version: the amount for each currency above which two people approve"
    )
    decision_due_on = models.DateField()
    payment_days = models.PositiveSmallIntegerField(help_text="Working days from approval to payment")
    payment_due_on = models.DateField(null=True, blank=True)
    pay_by_on = models.DateField(
        null=True, blank=True, help_text="The last day by law; decision and payment fall due no later"
    )
    due_on = models.GeneratedField(  # the clock that runs: to decide, then to pay
        expression=Case(
            When(state__in=[RefundState.REQUESTED, RefundState.PROPOSED], then=F("decision_due_on")),
            When(
                state__in=[RefundState.APPROVED, RefundState.SENDING, RefundState.FAILED],
                then=F("payment_due_on"),
            ),
            default=Value(None),
        ),
        output_field=models.DateField(null=True),
        db_persist=True,
    )

    class Meta:
        ordering = ["decision_due_on", "requested_at"]
        permissions = [
            ("propose_refund", "Can propose a refund"),
            ("approve_refund", "Can approve a refund"),
            ("decline_refund", "Can decline a refund"),
            ("export_refund", "Can export refunds"),
            ("settle_refund", "Can send a refund, and mark it as paid or failed"),
        ]
        indexes = [
            models.Index(fields=["attempt_due_at"], condition=Q(state="sending"), name="refund_to_send"),
            models.Index(fields=["due_on", "requested_at", "id"], name="refund_queue"),
            models.Index(fields=["state", "due_on", "requested_at", "id"], name="refund_queue_by_state"),
        ]
        constraints = [
            models.CheckConstraint(
                name="refund_has_a_sum_once_proposed",
                condition=Q(state__in=["requested", "declined", "void"])
                | Q(amount__gt=0, proposed_by__isnull=False) & ~Q(basis__in=["", "none"])
                | Q(state="proposed", amount=0, proposed_by__isnull=False, basis="none"),
            ),
            models.CheckConstraint(
                name="refund_proposer_is_not_approver",
                condition=(Q(approved_by__isnull=True) | ~Q(approved_by=F("proposed_by")))
                & (Q(second_approved_by__isnull=True) | ~Q(second_approved_by=F("proposed_by"))),
            ),
            models.CheckConstraint(
                name="refund_approvers_differ",
                condition=Q(second_approved_by__isnull=True) | ~Q(second_approved_by=F("approved_by")),
            ),
            models.CheckConstraint(
                name="refund_is_approved_by_enough",
                condition=~_DECIDED
                | Q(approved_by__isnull=False, approvals_needed=1)
                | Q(approved_by__isnull=False, second_approved_by__isnull=False),
            ),
            models.CheckConstraint(
                name="refund_bank_details_are_somebodys",
                condition=Q(payee_account="") | Q(payee_by__isnull=False) & ~Q(payee_name=""),
            ),
            models.CheckConstraint(
                name="refund_paid_has_proof",
                condition=~Q(state="paid")
                | (Q(paid_on__isnull=False, credit_note_number__isnull=False) & ~Q(settlement_reference="")),
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="credit_note",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func=CREDIT_NOTE,
            ),
            pgtrigger.FSM(name="refund_state", field="state", transitions=list(TRANSITIONS)),
            pgtrigger.Protect(name="refund_stays", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="refund_guard",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                declare=[("total", "numeric"), ("line", "record"), ("allowed", "numeric")],
                func=REFUND_GUARD,
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def credit_note(self) -> str:
        """Like «CN-000042»; empty until it is paid."""
        return f"CN-{self.credit_note_number:06}" if self.credit_note_number else ""


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class RefundLine(models.Model):
    """What a refund returns of one payment, with the working: `unused_days` of `period_days`."""

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="lines")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refund_lines")
    amount = models.DecimalField(**AMOUNT, help_text="In the payment's currency")
    unused_days = models.PositiveIntegerField()
    period_days = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "payment"], name="refund_line_once_a_payment"),
            models.CheckConstraint(name="refund_line_returns_money", condition=Q(amount__gt=Decimal(0))),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="line_guard",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                declare=[("parent", "record"), ("paid", "record"), ("taken", "numeric")],
                func=LINE_GUARD,
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} of {self.payment}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.payment.amount.currency)


def transfer_reference() -> str:
    return new_reference("BT")


class TransferBatch(models.Model):
    """Bank transfers of one currency, ordered together in a file for the bank. The file never changes."""

    FORMS = [("pain.001", "ISO 20022 pain.001"), ("csv", "CSV")]

    reference = models.CharField(max_length=20, unique=True, default=transfer_reference, editable=False)
    form = models.CharField(max_length=8, choices=FORMS)
    total = MoneyField(**AMOUNT, default_currency=None)
    count = models.PositiveIntegerField()
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    file = models.BinaryField()

    class Meta:
        verbose_name_plural = "transfer batches"
        ordering = ["-made_at", "-id"]
        triggers = [pgtrigger.Protect(name="batch_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.reference


class TransferItem(models.Model):
    """A refund in a batch, as it was ordered."""

    batch = models.ForeignKey(TransferBatch, models.PROTECT, related_name="items")
    refund = models.ForeignKey(Refund, models.PROTECT, related_name="transfers")
    amount = MoneyField(**AMOUNT, default_currency=None)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["batch", "refund"], name="refund_once_a_batch")]
        triggers = [pgtrigger.Protect(name="item_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.refund} in {self.batch}"

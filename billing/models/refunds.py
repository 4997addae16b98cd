"""Refunds, which return money against payments, and their lines."""

import uuid
from decimal import Decimal

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy as _
from djmoney.models.fields import MoneyField
from moneyed import Money

from accounts.history import tracked
from accounts.models import Account, User
from billing.models.guards import CREDIT_NOTE, GUARDED, LINE_GUARD, LINE_STATE_GUARD, REFUND_GUARD, RETURN_LINES
from billing.models.payments import Payment
from billing.models.states import LINE_TRANSITIONS, TRANSITIONS, LineState, RefundState
from billing.models.subscriptions import AMOUNT, Subscription
from billing.rules.references import new_reference


class RefundBasis(models.TextChoices):
    NONE = "none", _("nothing")
    UNUSED = "unused", _("unused part (pro rata)")
    FULL = "full", _("full amount")
    CUSTOM = "custom", _("other amount")


def refund_reference() -> str:
    return new_reference("RF")


_LINE_GUARD_VARIABLES = [("parent", "record"), ("allowed", "numeric"), ("taken", "numeric")]
_DECIDED = Q(state__in=["approved", "sending", "paid", "failed"])


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent(), exclude=["due_on"])
class Refund(models.Model):
    """Money returned to a customer: proposed by one person, approved by another, then paid."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(max_length=20, unique=True, default=refund_reference, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="refunds")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="refunds")
    about = models.CharField(
        max_length=40, blank=True, help_text="Reference of the request or termination that caused it"
    )
    state = models.CharField(max_length=10, choices=RefundState.choices, default=RefundState.REQUESTED)
    state_changed_at = models.DateTimeField()
    requested_at = models.DateTimeField()
    ended_on = models.DateField(help_text="First day without service. Later days are unused")
    customer_reason = models.TextField(blank=True)
    notify = models.EmailField(max_length=254, help_text="Address for messages about it")
    language = models.CharField(max_length=12, default="en", help_text="BCP 47. The language of messages about it")
    computed_basis = models.CharField(
        max_length=6,
        choices=RefundBasis.choices,
        default=RefundBasis.UNUSED,
        help_text="The basis that a proposal starts from",
    )
    computed_ground = models.TextField(blank=True, help_text="Why a proposal starts from that basis")
    whole_contract = models.BooleanField(
        default=False, help_text="Includes payments for past periods, because the whole contract is unwound"
    )

    charged_after_end = models.BooleanField(
        "charged after the end",
        default=False,
        db_default=False,
        help_text="The customer was charged for a time after the end of the subscription",
    )

    currency = models.CharField(
        max_length=3, blank=True, db_default="", help_text="Of the payments that it returns; empty: of the newest one"
    )
    beside = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="others",
        help_text="The review of the same end of the subscription, if this one is about payments in another currency",
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

    gateway = models.CharField(max_length=40, blank=True, help_text="The gateway that sends it")
    failure = models.TextField(blank=True, help_text="Why the money did not arrive, or has not yet")
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How often a transfer was ordered by hand or the gateway was called"
    )
    attempt_due_at = models.DateTimeField(null=True, blank=True, help_text="When the gateway is called next")
    credit_note_number = models.PositiveIntegerField(
        unique=True,
        null=True,
        blank=True,
        editable=False,
        help_text="Assigned by the database when it is paid, without gaps",
    )
    settled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    settlement_reference = models.CharField(max_length=120, blank=True)
    paid_on = models.DateField(null=True, blank=True)
    payee_name = models.CharField("account holder", max_length=140, blank=True, help_text="For a bank transfer")
    payee_account = models.CharField("IBAN or account", max_length=64, blank=True)
    payee_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approval_limits = models.JSONField(
        default=dict, help_text="From the policy version: by currency, the amount above which two people approve"
    )
    decision_due_on = models.DateField()
    payment_days = models.PositiveSmallIntegerField(help_text="Working days from approval to payment")
    payment_due_on = models.DateField(null=True, blank=True)
    pay_by_on = models.DateField(
        null=True, blank=True, help_text="The last day by law. Decision and payment are due by then"
    )
    due_on = models.GeneratedField(  # the next deadline: first to decide, then to pay
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
            models.Index(fields=["due_on", "id"], condition=Q(charged_after_end=True), name="refund_charged_after_end"),
            models.Index(fields=["beside"], condition=Q(beside__isnull=False), name="refund_beside"),
            models.Index(fields=["payee_account"], condition=~Q(payee_account=""), name="refund_by_payee"),
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
                declare=[("following", "integer")],
                func=CREDIT_NOTE,
            ),
            pgtrigger.Trigger(
                name="return_lines",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__state="paid") & ~pgtrigger.Q(old__state="paid"),
                func=RETURN_LINES,
            ),
            pgtrigger.FSM(name="refund_state", field="state", transitions=list(TRANSITIONS)),
            pgtrigger.Protect(name="refund_stays", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="refund_guard",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(*GUARDED),  # not a lease or a note, which would fail for its neighbours
                declare=[("total", "numeric"), ("line", "record"), ("allowed", "numeric")],
                func=REFUND_GUARD,
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def end_to_end_id(self) -> str:
        """The bank's reference of the order that counts now (ISO 20022 EndToEndId, 35 characters at most).

        Each order has its own, so that the bank's answer to an earlier one is recognised.
        """
        return f"{self.reference}-{self.attempts}" if self.attempts else self.reference

    @property
    def outstanding(self) -> Money | None:
        """What has not been returned yet, of the lines of the refund; None before a proposal."""
        if self.amount is None:
            return None
        returned = sum((line.amount for line in self.lines.all() if line.state == LineState.RETURNED), Decimal(0))
        return self.amount - Money(returned, self.amount.currency)

    @property
    def credit_note(self) -> str:
        """The number like «CN-000042»; empty until the refund is paid."""
        return credit_note_words(self.credit_note_number)


def credit_note_words(number: int | None) -> str:
    return f"CN-{number:06}" if number else ""


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class RefundLine(models.Model):
    """The amount that a refund returns of one payment, and its basis: `unused_days` of `period_days`."""

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="lines")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refund_lines")
    amount = models.DecimalField(**AMOUNT, help_text="In the payment's currency")
    unused_days = models.PositiveIntegerField()
    period_days = models.PositiveIntegerField()
    remainder = models.DecimalField(
        **AMOUNT,
        default=0,
        db_default=0,
        help_text="Computed, but less than the smallest amount that the gateway returns",
    )
    state = models.CharField(
        max_length=8, choices=LineState.choices, default=LineState.OPEN, db_default=LineState.OPEN, blank=True
    )
    reference = models.CharField(
        max_length=120, blank=True, db_default="", help_text="The gateway’s or the bank’s, of what was returned"
    )
    answer = models.TextField(blank=True, db_default="", help_text="What the gateway says about it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "payment"], name="refund_line_once_a_payment"),
            models.CheckConstraint(name="refund_line_returns_money", condition=Q(amount__gt=Decimal(0))),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="line_guard",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Delete,
                declare=_LINE_GUARD_VARIABLES,
                func=LINE_GUARD,
            ),
            pgtrigger.Trigger(
                name="line_change_guard",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("refund", "payment", "amount", "remainder", "unused_days", "period_days"),
                declare=_LINE_GUARD_VARIABLES,
                func=LINE_GUARD,
            ),
            pgtrigger.FSM(name="line_state", field="state", transitions=list(LINE_TRANSITIONS)),
            pgtrigger.Trigger(
                name="line_state_guard",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("state", "reference", "answer"),
                func=LINE_STATE_GUARD,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} of {self.payment}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.payment.amount.currency)


class CreditNote(models.Model):
    """The document of a refund that was paid, or of one whose money came back, which `reverses` the first.

    Written by a trigger when the state of the refund changes; never changed or deleted.
    """

    number = models.PositiveIntegerField(primary_key=True)
    refund = models.ForeignKey(Refund, models.PROTECT, related_name="credit_notes")
    amount = MoneyField(**AMOUNT, default_currency=None)
    proof = models.CharField(
        max_length=120, blank=True, help_text="The reference of the payment, or why the money came back"
    )
    reverses = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="reversed_by")
    issued_at = models.DateTimeField()

    class Meta:
        ordering = ["number"]
        triggers = [pgtrigger.Protect(name="credit_note_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return credit_note_words(self.number)

"""The refund desk, and read-only views of subscriptions and payments."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from accounts.desk import DeskAdmin, Verb, VerbAdmin, VerbForm
from accounts.models import User
from billing.gateways import MANUAL
from billing.models import Payment, Refund, RefundBasis, Subscription
from billing.queries import payments_with_returned, quote, quoted_total
from billing.services.common import RefundRefused
from billing.services.review import approve, decline, propose, void
from billing.services.sending import fail, send, settle
from billing.states import IllegalTransition, RefundState
from messaging.wording import money_words

S = RefundState


class ProposeForm(VerbForm):
    basis = forms.ChoiceField(choices=RefundBasis.choices, widget=forms.RadioSelect)
    amount = forms.DecimalField(
        label="Other amount",
        required=False,
        min_value=0,
        help_text="Only for «other amount», in the payments’ currency.",
    )
    ground = forms.CharField(
        label="Ground",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Needed for another amount, and for nothing. Only staff read it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(
            basis=self.row.basis or self.row.computed_basis,
            amount=self.row.amount.amount if self.row.basis == RefundBasis.CUSTOM else None,
            ground=self.row.proposal_ground or self.row.computed_ground,
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("basis") == RefundBasis.CUSTOM and not given.get("amount"):
            self.add_error("amount", "Enter the amount.")
        if given.get("basis") in (RefundBasis.CUSTOM, RefundBasis.NONE) and not given.get("ground", "").strip():
            self.add_error("ground", "State the ground: another amount, or none, needs one.")
        return given


class ApproveForm(VerbForm):
    ground = forms.CharField(
        label="Message to the customer",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Optional; it stands in the mail below the breakdown.",
    )


class DeclineForm(VerbForm):
    ground = forms.CharField(
        label="Ground",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The customer reads it.",
        error_messages={"required": "State the ground: the customer reads it."},
    )


class SettleForm(VerbForm):
    reference = forms.CharField(
        label="Reference of the transfer",
        max_length=120,
        error_messages={"required": "Enter the reference of the transfer: it proves the payment."},
    )
    paid_on = forms.DateField(
        label="Paid on",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"required": "Enter the day on which the money left.", "invalid": "Enter a date."},
    )


class FailForm(VerbForm):
    ground = forms.CharField(
        label="What went wrong",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say what went wrong: whoever sends it again needs to know."},
    )


class VoidForm(VerbForm):
    ground = forms.CharField(
        label="Ground",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The customer reads it.",
        error_messages={"required": "State the ground: the customer reads it."},
    )


def _propose(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    custom = given["basis"] == RefundBasis.CUSTOM
    amount = given["amount"] if custom else None
    propose(refund=refund, basis=given["basis"], amount=amount, ground=given["ground"], by=user, now=now)


def _approve(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    approve(refund=refund, by=user, ground=given["ground"], now=now)


def _decline(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    decline(refund=refund, by=user, ground=given["ground"], now=now)


def _settle(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    settle(refund=refund, by=user, reference=given["reference"], paid_on=given["paid_on"], now=now)


def _send(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    send(refund=refund, by=user, now=now)


def _fail(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    fail(refund=refund, by=user, ground=given["ground"], now=now)


def _void(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    void(refund=refund, by=user, ground=given["ground"], now=now)


def _is_with_a_gateway(refund: Refund) -> bool:
    return refund.state == S.SENDING and refund.gateway not in ("", MANUAL)


@admin.register(Refund)
class RefundAdmin(VerbAdmin):
    list_display = ["reference", "account", "about", "shown_amount", "shown_state", "falls_due", "proposed_by"]
    list_filter = ["state", "basis", "amount_currency"]
    search_fields = ["reference", "about", "account__account_number", "account__name", "account__email"]
    refusals, illegal = (RefundRefused,), (IllegalTransition,)
    change_form_template = "desk/refund.html"
    verbs = (
        Verb(
            "propose", "Propose", "billing.propose_refund", (S.REQUESTED, S.PROPOSED), ProposeForm, _propose,
            "You become the proposer, and somebody else decides. The customer is told the sum and how it arises, and "
            "that it is a proposal.", "proposed.",
        ),
        Verb(
            "approve", "Approve", "billing.approve_refund", (S.PROPOSED,), ApproveForm, _approve,
            "The sum is settled and the customer is told. Above the limit, a second person has to approve as well.",
            "approved by you.",
            applies=lambda refund, user: refund.basis != RefundBasis.NONE
            and user.pk not in (refund.proposed_by_id, refund.approved_by_id),
        ),
        Verb(
            "decline", "Decline", "billing.decline_refund", (S.REQUESTED, S.PROPOSED), DeclineForm, _decline,
            "The refund ends here, and the customer reads the ground.", "declined.",
        ),
        Verb(
            "send", "Send", "billing.settle_refund", (S.APPROVED, S.FAILED), VerbForm, _send,
            "It goes through the gateway that took the payments. Where that is done by hand, it counts as ordered, "
            "and you mark it as paid once the money has left.", "on its way.",
        ),
        Verb(
            "settle", "Mark as paid", "billing.settle_refund", (S.APPROVED, S.SENDING, S.FAILED), SettleForm, _settle,
            "You have sent the money by hand. The customer is told with its reference and gets a credit note.", "paid.",
            applies=lambda refund, user: not _is_with_a_gateway(refund),
        ),
        Verb(
            "fail", "Mark as failed", "billing.settle_refund", (S.SENDING,), FailForm, _fail,
            "The transfer did not arrive. It can be sent again, and the customer hears that it is delayed.", "failed.",
            applies=lambda refund, user: not _is_with_a_gateway(refund),
        ),
        Verb(
            "void", "Void", "billing.approve_refund", (S.APPROVED,), VoidForm, _void,
            "It has lost its cause, and no money has moved. The customer reads the ground.", "void.",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        found: QuerySet[Refund] = super().get_queryset(request)
        return found.select_related("account", "subscription", "proposed_by", "approved_by", "second_approved_by")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("payment_due_on").asc(nulls_last=True), "decision_due_on", "requested_at"]

    def page_context(self, request: HttpRequest, row: Refund) -> dict[str, Any]:
        lines = quote(
            row.subscription, ended_on=row.ended_on, basis=row.computed_basis, whole_contract=row.whole_contract
        )
        return {
            "row": row,
            "quoted": lines,
            "quoted_total": quoted_total(lines),
            "lines": list(row.lines.select_related("payment").order_by("payment__period_start")),
            "payments": payments_with_returned(row.subscription)[:12],
            "today": timezone.localdate(),
            "earlier": Refund.objects.filter(subscription=row.subscription).exclude(pk=row.pk),
        }

    @display(description="amount", ordering="amount")
    def shown_amount(self, refund: Refund) -> str:
        return money_words(refund.amount) if refund.amount else "–"

    @display(
        description="state",
        label={"requested": "warning", "proposed": "info", "approved": "info", "paid": "success", "failed": "danger"},
    )
    def shown_state(self, refund: Refund) -> str:
        return refund.get_state_display()

    @display(description="falls due")
    def falls_due(self, refund: Refund) -> str:
        if refund.state in (S.REQUESTED, S.PROPOSED):
            return f"decide by {refund.decision_due_on:%d %b %Y}"
        if refund.state in (S.APPROVED, S.SENDING, S.FAILED):
            return f"pay by {refund.payment_due_on:%d %b %Y}"
        return "–"


@admin.register(Subscription)
class SubscriptionAdmin(DeskAdmin):
    list_display = ["reference", "account", "plan_name", "shown_price", "billing_anchor", "ended_on"]
    list_filter = ["interval_unit", "ended_by"]
    search_fields = ["reference", "account__account_number", "account__name", "plan_name"]
    list_select_related = ["account"]

    @display(description="price")
    def shown_price(self, subscription: Subscription) -> str:
        return f"{money_words(subscription.price)} / {subscription.interval}"


@admin.register(Payment)
class PaymentAdmin(DeskAdmin):
    list_display = ["reference", "account", "period_start", "period_end", "shown_amount", "paid_at", "method"]
    search_fields = ["reference", "subscription__reference", "account__account_number"]
    list_select_related = ["account"]

    @display(description="amount")
    def shown_amount(self, payment: Payment) -> str:
        return money_words(payment.amount)

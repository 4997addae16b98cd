"""The verbs that staff can use on a refund, each with its form."""

from datetime import datetime
from typing import Any

from django import forms

from accounts.desk import Verb, VerbForm
from accounts.models import User
from billing.gateways import MANUAL
from billing.models import Refund, RefundBasis
from billing.models.states import RefundState
from billing.queries import is_charged_back
from billing.services.review import approve, decline, propose, void
from billing.services.sending import fail, send, settle, take_back
from billing.services.transfers import enter_bank_details

S = RefundState


class ProposeForm(VerbForm):
    basis = forms.ChoiceField(choices=RefundBasis.choices, widget=forms.RadioSelect)
    amount = forms.DecimalField(
        label="Other amount",
        required=False,
        min_value=0,
        help_text="Only for «other amount», in the currency of the payments.",
    )
    ground = forms.CharField(
        label="Ground",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Required for another amount and for nothing. Only staff see it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(
            basis=self.row.basis or self.row.computed_basis,
            amount=self.row.amount.amount if self.row.basis == RefundBasis.CUSTOM else None,
            ground=self.row.proposal_ground or self.row.computed_ground,
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("basis") == RefundBasis.CUSTOM and not data.get("amount") and "amount" not in self.errors:
            self.add_error("amount", "Enter the amount.")
        if data.get("basis") in (RefundBasis.CUSTOM, RefundBasis.NONE) and not data.get("ground", "").strip():
            self.add_error("ground", "State the ground: it is required for another amount and for nothing.")
        return data


class ApproveForm(VerbForm):
    replies_to = "ground"
    ground = forms.CharField(
        label="Message to the customer",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Optional. Appears in the mail below the breakdown.",
    )


class DeclineForm(VerbForm):
    replies_to = "ground"
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
    replies_to = "ground"
    ground = forms.CharField(
        label="Ground",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The customer reads it.",
        error_messages={"required": "State the ground: the customer reads it."},
    )


class BankDetailsForm(VerbForm):
    name = forms.CharField(
        label="Account holder", max_length=140, error_messages={"required": "Enter the account holder."}
    )
    account = forms.CharField(
        label="IBAN or account number",
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),  # static/js/desk.js then keeps no copy of it
        error_messages={"required": "Enter the account."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"name": self.row.payee_name or self.row.account.name, "account": self.row.payee_account}


def _bank_details(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    enter_bank_details(refund=refund, name=data["name"], account=data["account"], by=user, now=now)


def _propose(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    custom = data["basis"] == RefundBasis.CUSTOM
    amount = data["amount"] if custom else None
    propose(refund=refund, basis=data["basis"], amount=amount, ground=data["ground"], by=user, now=now)


def _approve(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    approve(refund=refund, by=user, ground=data["ground"], now=now)


def _decline(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    decline(refund=refund, by=user, ground=data["ground"], now=now)


def _settle(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    settle(refund=refund, by=user, reference=data["reference"], paid_on=data["paid_on"], now=now)


def _send(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    send(refund=refund, by=user, now=now)


def _fail(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    fail(refund=refund, by=user, ground=data["ground"], now=now)


def _take_back(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    take_back(refund=refund, by=user, ground=data["ground"], now=now)


def _void(refund: Refund, user: User, data: dict[str, Any], now: datetime) -> None:
    void(refund=refund, by=user, ground=data["ground"], now=now)


def _is_with_a_gateway(refund: Refund) -> bool:
    return refund.state == S.SENDING and refund.gateway not in ("", MANUAL)


VERBS = (
    Verb(
        "propose", "Propose", "billing.propose_refund", (S.REQUESTED, S.PROPOSED), ProposeForm, _propose,
        "You become the proposer, and somebody else decides. Unless that happens first, the customer gets a mail with "
        "the amount, its breakdown and a note that it is a proposal, after some minutes in which you can correct it.",
        "proposed.",
        key="p", decides=True,
    ),
    Verb(
        "approve", "Approve", "billing.approve_refund", (S.PROPOSED,), ApproveForm, _approve,
        "The amount becomes final and the customer is notified. Above the limit, a second person has to approve, too.",
        "approved by you.",
        applies=lambda refund, user: refund.basis != RefundBasis.NONE
        and user.pk not in (refund.proposed_by_id, refund.approved_by_id),
        sensitive=True,
        key="a", decides=True,
    ),
    Verb(
        "decline", "Decline", "billing.decline_refund", (S.REQUESTED, S.PROPOSED), DeclineForm, _decline,
        "The refund is closed, and the customer gets a mail with the ground.", "declined.",
        key="d", decides=True,
    ),
    Verb(
        "send", "Send", "billing.settle_refund", (S.APPROVED, S.FAILED), VerbForm, _send,
        "It goes through the gateway that took the payments. If it is paid by hand, it counts as ordered, "
        "and you mark it as paid once the money has left.", "on its way.",
        sensitive=True,
        key="s",
    ),
    Verb(
        "settle", "Mark as paid", "billing.settle_refund", (S.APPROVED, S.SENDING, S.FAILED), SettleForm, _settle,
        "You have sent the money by hand. The customer gets a mail with the reference and the credit note.", "paid.",
        applies=lambda refund, user: not _is_with_a_gateway(refund),
        sensitive=True,
        key="m",
    ),
    Verb(
        "fail", "Mark as failed", "billing.settle_refund", (S.SENDING,), FailForm, _fail,
        "The transfer did not arrive. It can be sent again, and the customer gets a mail about the delay.", "failed.",
        applies=lambda refund, user: not _is_with_a_gateway(refund),
        key="f",
    ),
    Verb(
        "take-back", "Came back", "billing.settle_refund", (S.PAID,), FailForm, _take_back,
        "The bank sent the money back. Another credit note reverses the first, the refund can be sent again, and the "
        "customer gets a mail about the delay.", "came back.",
        applies=lambda refund, user: refund.gateway in ("", MANUAL),
        sensitive=True,
    ),
    Verb(
        "bank-details", "Bank details", "billing.settle_refund", (S.REQUESTED, S.PROPOSED, S.APPROVED, S.FAILED),
        BankDetailsForm, _bank_details, "The account for a bank transfer. Somebody other than the person who enters it "
        "has to order the transfer.", "bank details saved.",
        key="b",
    ),
    Verb(
        "void", "Void", "billing.approve_refund", (S.APPROVED, S.FAILED), VoidForm, _void,
        "There is no reason for it any more, and no money has moved. The customer gets a mail with the ground.",
        "voided.",
        applies=lambda refund, user: refund.state != S.FAILED or is_charged_back(refund),
        sensitive=True,
        key="v",
    ),
)  # fmt: skip

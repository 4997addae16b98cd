"""What staff may do to a refund: each verb with its form."""

from datetime import datetime
from typing import Any

from django import forms

from accounts.desk import Verb, VerbForm
from accounts.models import User
from billing.gateways import MANUAL
from billing.models import Refund, RefundBasis
from billing.models.states import RefundState
from billing.services.review import approve, decline, propose, void
from billing.services.sending import fail, send, settle
from billing.services.transfers import enter_bank_details

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
    replies_to = "ground"
    ground = forms.CharField(
        label="Message to the customer",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Optional; it stands in the mail below the breakdown.",
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
        label="IBAN or account number", max_length=80, error_messages={"required": "Enter the account."}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"name": self.row.payee_name or self.row.account.name, "account": self.row.payee_account}


def _bank_details(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    enter_bank_details(refund=refund, name=given["name"], account=given["account"], by=user, now=now)


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


VERBS = (
    Verb(
        "propose", "Propose", "billing.propose_refund", (S.REQUESTED, S.PROPOSED), ProposeForm, _propose,
        "You become the proposer, and somebody else decides. The customer is told the sum and how it arises, and "
        "that it is a proposal.", "proposed.",
        key="p", decides=True,
    ),
    Verb(
        "approve", "Approve", "billing.approve_refund", (S.PROPOSED,), ApproveForm, _approve,
        "The sum is settled and the customer is told. Above the limit, a second person has to approve as well.",
        "approved by you.",
        applies=lambda refund, user: refund.basis != RefundBasis.NONE
        and user.pk not in (refund.proposed_by_id, refund.approved_by_id),
        sensitive=True,
        key="a", decides=True,
    ),
    Verb(
        "decline", "Decline", "billing.decline_refund", (S.REQUESTED, S.PROPOSED), DeclineForm, _decline,
        "The refund ends here, and the customer reads the ground.", "declined.",
        key="d", decides=True,
    ),
    Verb(
        "send", "Send", "billing.settle_refund", (S.APPROVED, S.FAILED), VerbForm, _send,
        "It goes through the gateway that took the payments. Where that is done by hand, it counts as ordered, "
        "and you mark it as paid once the money has left.", "on its way.",
        sensitive=True,
        key="s",
    ),
    Verb(
        "settle", "Mark as paid", "billing.settle_refund", (S.APPROVED, S.SENDING, S.FAILED), SettleForm, _settle,
        "You have sent the money by hand. The customer is told with its reference and gets a credit note.", "paid.",
        applies=lambda refund, user: not _is_with_a_gateway(refund),
        sensitive=True,
        key="m",
    ),
    Verb(
        "fail", "Mark as failed", "billing.settle_refund", (S.SENDING,), FailForm, _fail,
        "The transfer did not arrive. It can be sent again, and the customer hears that it is delayed.", "failed.",
        applies=lambda refund, user: not _is_with_a_gateway(refund),
        key="f",
    ),
    Verb(
        "bank-details", "Bank details", "billing.settle_refund", (S.REQUESTED, S.PROPOSED, S.APPROVED, S.FAILED),
        BankDetailsForm, _bank_details, "The account to which it goes, if it goes by bank transfer. Whoever enters "
        "it does not order the transfer: somebody else does.", "bank details kept.",
        key="b",
    ),
    Verb(
        "void", "Void", "billing.approve_refund", (S.APPROVED,), VoidForm, _void,
        "It has lost its cause, and no money has moved. The customer reads the ground.", "void.",
        sensitive=True,
        key="v",
    ),
)  # fmt: skip

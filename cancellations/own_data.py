"""All that the portal keeps on an account, for its holder (GDPR, article 15 and 20)."""

from datetime import datetime
from typing import Any

from django.db.models import Model

from accounts.models import Account
from billing.models import Payment, Refund, Subscription
from billing.wording import money_words
from cancellations.models import Attachment, CancellationRequest, Receipt, Termination
from cancellations.queries import timeline
from messaging.models import OutgoingMessage
from messaging.services import WIPED

Row = dict[str, Any]


def own_data(account: Account, *, now: datetime) -> Row:
    """By kind of row; what only staff wrote for staff (grounds of waivers, evidence) is not the holder's to have."""
    requests = CancellationRequest.objects.filter(account=account).select_related("subscription", "policy_version")
    return {
        "made_at": now,
        "account": _fields(account, "account_number username name email country time_zone language currency "
                           "customer_since status sign_in_revoked_at"),
        "subscriptions": [_subscription(one) for one in account.subscriptions.order_by("reference")],
        "payments": [_payment(one) for one in account.payments.order_by("paid_at", "reference")],
        "cancellation_requests": [_request(one) for one in requests.order_by("received_at", "reference")],
        "receipts": [
            _fields(one, "number declaration issued_at content seal")
            for one in Receipt.objects.filter(request__account=account).defer("pdf")
        ],
        "refunds": [_refund(one) for one in account.refunds.order_by("requested_at", "reference")],
        "terminations": [_termination(one) for one in account.terminations.order_by("proposed_at")],
        "files": [
            _fields(one, "name media_type size sha256 added_at")
            for one in Attachment.objects.filter(request__account=account).defer("content")
        ],
        "messages": [_message(one) for one in OutgoingMessage.objects.filter(
            recipient__iexact=account.email).order_by("created_at")],
    }  # fmt: skip


def _fields(row: Model, names: str) -> Row:
    return {name: getattr(row, name) for name in names.split()}


def _subscription(one: Subscription) -> Row:
    told = _fields(one, "reference plan_name quantity started_on billing_anchor trial_ends_on ended_on ended_by")
    return {**told, "price": money_words(one.price), "billing_interval": str(one.interval)}


def _payment(one: Payment) -> Row:
    told = _fields(one, "reference period_start period_end paid_at method gateway gateway_reference dispute")
    return {**told, "amount": money_words(one.amount)}


def _request(one: CancellationRequest) -> Row:
    told = _fields(
        one,
        "reference state channel received_at account_number_given username_given email_given kind_declared reason "
        "words cause requested_end refund_wanted refund_reason kind kind_ground time_zone next_billing_on deadline_on "
        "on_time effective_on effective_at explanation decision_words decline_ground verified_at",
    )
    history = [{"at": entry.at, "what": entry.verb, "by": entry.actor} for entry in timeline(one)]
    return {
        **told,
        "subscription": str(one.subscription or ""),
        "policy": str(one.policy_version),
        "refund_quoted": money_words(one.refund_quoted),
        "history": history,
    }


def _refund(one: Refund) -> Row:
    told = _fields(
        one,
        "reference about state requested_at ended_on customer_reason basis decision_ground decision_due_on "
        "payment_due_on paid_on settlement_reference credit_note",
    )
    lines = [
        {"payment": line.payment.reference, "amount": money_words(line.money), "unused_days": line.unused_days,
         "period_days": line.period_days}
        for line in one.lines.select_related("payment").order_by("payment__period_start")
    ]  # fmt: skip
    return {**told, "amount": money_words(one.amount), "lines": lines}


def _termination(one: Termination) -> Row:
    return _fields(one, "reference state ground description effective_at effective_on revoke_sign_in settled_ground")


def _message(one: OutgoingMessage) -> Row:
    told = _fields(one, "kind about subject created_at sent_at")
    return {**told, "text": WIPED if one.holds_secret else one.text}

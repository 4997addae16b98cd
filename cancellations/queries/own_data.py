"""All data of an account, for its holder (GDPR, articles 15 and 20)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, AccountStatus, CustomerType
from billing.models import Dispute, EndedBy, Payment, Refund, RefundBasis, Subscription
from billing.models.states import RefundState
from billing.wording import interval_words
from cancellations.models import (
    Attachment,
    CancellationRequest,
    Channel,
    DeclineGround,
    Kind,
    Reason,
    Receipt,
    Termination,
    TerminationGround,
)
from cancellations.models.states import RequestState, TerminationState
from cancellations.queries.requests import timeline_for_customer
from cancellations.wording.explanation import VERBS, sentences
from messaging.addresses import fold_address
from messaging.models import IncomingMessage, OutgoingMessage
from messaging.services.outbox import WIPED
from messaging.wording import money_words

Row = dict[str, Any]

LABELS: Mapping[str, Any] = {
    "account": _("Account"), "subscriptions": _("Subscriptions"), "payments": _("Payments"),
    "cancellation_requests": _("Cancellation requests"), "receipts": _("Receipts"), "refunds": _("Refunds"),
    "terminations": _("Terminations"), "files": _("Files"), "messages": _("Messages"), "mails": _("Messages from you"),
    "arrived_at": _("Arrived at"), "passkeys": _("Passkeys"), "last_used_at": _("Last used at"),
    "sessions": _("Where you are signed in"), "last_seen_at": _("Last used at"), "ip": _("Network address"),
    "user_agent": _("Browser"),
    "account_number": _("Account number"), "username": _("Username"), "name": _("Name"),
    "email": _("E-mail address"), "customer_type": _("Type of customer"), "country": _("Country"),
    "region": _("Region"), "time_zone": _("Time zone"), "language": _("Language"),
    "currency": _("Currency"), "customer_since": _("Customer since"), "status": _("Status"),
    "sign_in_revoked_at": _("Sign-in revoked"), "reference": _("Reference"), "plan_name": _("Plan"),
    "quantity": _("Seats"), "started_on": _("Started on"), "billing_anchor": _("Billing anchor"),
    "trial_ends_on": _("Trial ends on"), "concluded_on": _("Contract concluded on"),
    "minimum_term_ends_on": _("Minimum term ends on"), "start_requested_on": _("Early start asked for on"),
    "reminded_on": _("Reminded of the renewal on"),
    "ended_on": _("Ended on"), "ended_by": _("Ended by"), "price": _("Price"),
    "billing_interval": _("Billing interval"), "period_start": _("Period from"), "period_end": _("Period to"),
    "paid_at": _("Paid at"), "method": _("Paid by"), "gateway": _("Gateway"),
    "gateway_reference": _("Reference at the gateway"), "dispute": _("Dispute"), "amount": _("Amount"),
    "state": _("State"), "channel": _("Channel"), "received_at": _("Received at"), "name_given": _("Name given"),
    "account_number_given": _("Account number given"), "username_given": _("Username given"),
    "email_given": _("E-mail address given"), "jurisdiction": _("By the law of"), "kind_declared": _("Kind declared"),
    "reason": _("Reason"), "words": _("In your own words"), "survey_reason": _("Reason given later"),
    "survey_words": _("Comment given later"), "cause": _("Reason for leaving at once"),
    "requested_end": _("Requested end date"), "refund_wanted": _("Refund asked for"),
    "refund_reason": _("Reason for a refund"),
    "kind": _("Counts as"), "kind_ground": _("Why it counts as this kind"), "next_billing_on": _("Next billing date"),
    "law_end_on": _("Latest end by law"), "law_source": _("Law"),
    "deadline_on": _("Last day to cancel"), "on_time": _("In time"), "effective_on": _("Ends on"),
    "effective_at": _("Ends at"), "decision_words": _("Message with the decision"),
    "decline_ground": _("Reason for declining"), "verified_at": _("Proven at"), "explanation": _("Explanation"),
    "subscription": _("Subscription"), "policy": _("Policy version"), "refund_quoted": _("Refund quoted"),
    "history": _("History"), "at": _("At"), "what": _("What"), "by": _("By"), "number": _("Number"),
    "declaration": _("Declaration"), "issued_at": _("Issued at"), "content": _("Content"), "seal": _("Seal"),
    "about": _("About"), "requested_at": _("Requested at"), "customer_reason": _("Your reason"),
    "basis": _("Basis"), "decision_ground": _("Reason for the decision"), "decision_due_on": _("Decision due on"),
    "payment_due_on": _("Payment due on"), "paid_on": _("Paid on"),
    "settlement_reference": _("Reference of the payment"),
    "credit_note": _("Credit note"), "payment": _("Payment"), "unused_days": _("Unused days"),
    "period_days": _("Days in the period"), "lines": _("How we worked it out"), "ground": _("Ground"),
    "description": _("Description"), "revoke_sign_in": _("Sign-in revoked"),
    "settled_ground": _("Reason for the end"),
    "media_type": _("Media type"), "size": _("Bytes"), "sha256": _("SHA-256"), "added_at": _("Added at"),
    "subject": _("Subject"), "created_at": _("Written at"), "sent_at": _("Sent at"), "text": _("Text"),
}  # fmt: skip

_STATES = {**dict(RequestState.choices), **dict(RefundState.choices), **dict(TerminationState.choices)}
CODES: Mapping[str, Mapping[Any, Any]] = {
    "state": _STATES,
    "status": dict(AccountStatus.choices),
    "customer_type": dict(CustomerType.choices),
    "channel": dict(Channel.choices),
    "kind_declared": dict(Kind.choices),
    "kind": dict(Kind.choices),
    "reason": dict(Reason.choices),
    "survey_reason": dict(Reason.choices),
    "decline_ground": dict(DeclineGround.choices),
    "ended_by": dict(EndedBy.choices),
    "dispute": dict(Dispute.choices),
    "basis": dict(RefundBasis.choices),
    "ground": dict(TerminationGround.choices),
    "what": VERBS,
    "by": {"customer": _("customer"), "staff": _("staff"), "system": _("system")},
}


def own_data(account: Account, *, now: datetime) -> Row:
    """Returns the data by kind of row, without what staff wrote for staff, such as evidence."""
    requests = CancellationRequest.objects.filter(account=account).select_related("subscription", "policy_version")
    return {
        "made_at": now,
        "account": _fields(account, "account_number username name email customer_type country region time_zone "
                           "language currency customer_since status sign_in_revoked_at"),
        "subscriptions": [_subscription(row) for row in account.subscriptions.order_by("reference")],
        "payments": [_payment(row) for row in account.payments.order_by("paid_at", "reference")],
        "cancellation_requests": [_request(row) for row in requests.order_by("received_at", "reference")],
        "receipts": [
            _fields(row, "number declaration issued_at content seal")
            for row in Receipt.objects.filter(request__account=account).defer("pdf")
        ],
        "refunds": [_refund(row) for row in account.refunds.order_by("requested_at", "reference")],
        "terminations": [_termination(row) for row in account.terminations.order_by("proposed_at")],
        "files": [
            _fields(row, "name media_type size sha256 added_at")
            for row in Attachment.objects.filter(request__account=account).defer("content")
        ],
        "passkeys": [_passkey(row) for row in Authenticator.objects.filter(
            type=Authenticator.Type.WEBAUTHN, user__email=fold_address(account.email)).order_by("created_at")],
        "sessions": [_fields(row, "created_at last_seen_at ip user_agent") for row in UserSession.objects.filter(
            user__email=fold_address(account.email)).order_by("created_at")],
        "messages": [_message(row) for row in OutgoingMessage.objects.filter(
            recipient__same_address=account.email).order_by("created_at")],
        "mails": [_mail(row) for row in IncomingMessage.objects.filter(
            sender__same_address=account.email).defer("raw").order_by("arrived_at")],
    }  # fmt: skip


def _fields(row: Model, names: str) -> Row:
    return {name: getattr(row, name) for name in names.split()}


def _subscription(subscription: Subscription) -> Row:
    fields = _fields(
        subscription,
        "reference plan_name quantity started_on billing_anchor trial_ends_on concluded_on minimum_term_ends_on "
        "start_requested_on reminded_on ended_on ended_by",
    )
    return {**fields, "price": money_words(subscription.price), "billing_interval": interval_words(subscription)}


def _payment(payment: Payment) -> Row:
    fields = _fields(payment, "reference period_start period_end paid_at method gateway gateway_reference dispute")
    return {**fields, "amount": money_words(payment.amount)}


def _request(request: CancellationRequest) -> Row:
    fields = _fields(
        request,
        "reference state channel received_at name_given account_number_given username_given email_given jurisdiction "
        "language kind_declared reason words survey_reason survey_words cause requested_end refund_wanted "
        "refund_reason kind kind_ground time_zone next_billing_on deadline_on on_time law_end_on law_source "
        "effective_on effective_at sent_at decision_words decline_ground verified_at",
    )
    history = [{"at": entry.at, "what": entry.verb, "by": entry.actor} for entry in timeline_for_customer(request)]
    return {
        **fields,
        "explanation": sentences(request.explanation),
        "subscription": str(request.subscription or ""),
        "policy": request.policy_version.number,
        "refund_quoted": money_words(request.refund_quoted),
        "history": history,
    }


def _refund(refund: Refund) -> Row:
    fields = _fields(
        refund,
        "reference about state requested_at ended_on customer_reason basis decision_ground decision_due_on "
        "payment_due_on paid_on settlement_reference credit_note",
    )
    lines = [
        {"payment": line.payment.reference, "amount": money_words(line.money), "unused_days": line.unused_days,
         "period_days": line.period_days}
        for line in refund.lines.select_related("payment").order_by("payment__period_start")
    ]  # fmt: skip
    return {**fields, "amount": money_words(refund.amount), "lines": lines}


def _termination(termination: Termination) -> Row:
    return _fields(
        termination, "reference state ground description effective_at effective_on revoke_sign_in settled_ground"
    )


def _passkey(passkey: Authenticator) -> Row:
    return {"name": passkey.wrap().name, **_fields(passkey, "created_at last_used_at")}


def _message(message: OutgoingMessage) -> Row:
    fields = _fields(message, "kind about subject created_at sent_at")
    return {**fields, "text": WIPED if message.holds_secret else message.text}


def _mail(mail: IncomingMessage) -> Row:
    return {**_fields(mail, "arrived_at subject text"), "files": ", ".join(name for name, _, _ in mail.files)}

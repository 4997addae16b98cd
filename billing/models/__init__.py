"""Subscriptions, the payments received for them, and the refunds that return money against payments."""

from billing.models.payments import Dispute, Payment
from billing.models.refunds import CreditNote, Refund, RefundBasis, RefundLine, refund_reference
from billing.models.subscriptions import AMOUNT, EndedBy, IntervalUnit, Subscription
from billing.models.transfers import TransferBatch, TransferItem, transfer_reference

__all__ = [
    "AMOUNT",
    "CreditNote",
    "Dispute",
    "EndedBy",
    "IntervalUnit",
    "Payment",
    "Refund",
    "RefundBasis",
    "RefundLine",
    "Subscription",
    "TransferBatch",
    "TransferItem",
    "refund_reference",
    "transfer_reference",
]

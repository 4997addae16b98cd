"""Outgoing mail, incoming mail, and webhooks."""

from messaging.models.incoming import READ_TRANSITIONS, Checked, Door, IncomingMessage, Mailbox, ReadState, Sort
from messaging.models.outgoing import FAILED, NOT_ARRIVED, TRANSITIONS, MessageState, OutgoingMessage, Priority
from messaging.models.replies import VARIABLES, CannedReply, refuse_unknown_variables
from messaging.models.set_aside import SetAside
from messaging.models.task_runs import TaskRun
from messaging.models.webhooks import (
    DELIVERY_TRANSITIONS,
    DeliveryState,
    EndpointState,
    EventType,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

__all__ = [
    "DELIVERY_TRANSITIONS",
    "FAILED",
    "NOT_ARRIVED",
    "READ_TRANSITIONS",
    "TRANSITIONS",
    "VARIABLES",
    "CannedReply",
    "Checked",
    "DeliveryState",
    "Door",
    "EndpointState",
    "EventType",
    "IncomingMessage",
    "Mailbox",
    "MessageState",
    "OutgoingMessage",
    "Priority",
    "ReadState",
    "SetAside",
    "Sort",
    "TaskRun",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "refuse_unknown_variables",
]

"""The staff interface of this app and of messaging, one module for each kind of row; Django looks for it here."""

from cancellations.admin import (
    bulk,
    conversations,
    data,
    forms,
    incoming,
    outbox,
    policies,
    requests,
    terminations,
    webhooks,
)

__all__ = [
    "bulk",
    "conversations",
    "data",
    "forms",
    "incoming",
    "outbox",
    "policies",
    "requests",
    "terminations",
    "webhooks",
]

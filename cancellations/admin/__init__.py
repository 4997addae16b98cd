"""The staff interface of this app and of messaging, one module for each model. Django discovers it here."""

from cancellations.admin import (
    begun_forms,
    bulk,
    conversations,
    incoming,
    outgoing,
    personal_data,
    policies,
    requests,
    set_aside,
    terminations,
    webhooks,
)

__all__ = [
    "begun_forms",
    "bulk",
    "conversations",
    "incoming",
    "outgoing",
    "personal_data",
    "policies",
    "requests",
    "set_aside",
    "terminations",
    "webhooks",
]

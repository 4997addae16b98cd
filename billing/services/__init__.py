"""The verbs of a refund and the end of a subscription. The only writers of these rows.

Locks are taken in one order everywhere: subscription, refund, payments by key.
"""

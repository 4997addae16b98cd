"""The verbs of refunds and the ending of subscriptions. Nothing else writes these rows.

Locks are taken in one order everywhere: subscription, refund, payments by key.
"""

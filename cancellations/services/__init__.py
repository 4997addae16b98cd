"""The verbs of a cancellation request. The only writers of its rows.

Locks are taken in one order everywhere: request, subscription, refund, payments by key.
"""

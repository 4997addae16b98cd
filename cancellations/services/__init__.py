"""The verbs of a cancellation request. Only they write its rows.

Locks are taken in one order everywhere: request, subscription, refund, payments by key.
"""

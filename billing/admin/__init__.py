"""The staff interface of billing: one module for each kind of row. Django imports this package."""

from billing.admin import records, refunds, transfers

__all__ = ["records", "refunds", "transfers"]

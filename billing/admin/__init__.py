"""The staff interface of billing, one module for each kind of row; Django looks for it here."""

from billing.admin import records, refunds, transfers

__all__ = ["records", "refunds", "transfers"]

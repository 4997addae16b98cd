"""The staff interface of accounts: one module for each kind of row. Django imports this package."""

from accounts.admin import accounts, audit, people

__all__ = ["accounts", "audit", "people"]

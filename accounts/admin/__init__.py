"""The staff interface of accounts, one module for each kind of row; Django looks for it here."""

from accounts.admin import accounts, audit, people

__all__ = ["accounts", "audit", "people"]

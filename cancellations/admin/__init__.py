"""The staff interface of this app, one module for each kind of row. Django looks for it under this name."""

from cancellations.admin import data, policies, requests, terminations

__all__ = ["data", "policies", "requests", "terminations"]

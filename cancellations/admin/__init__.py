"""The staff interface of this app, one module for each kind of row. Django looks for it under this name."""

from cancellations.admin import bulk, data, forms, policies, requests, terminations

__all__ = ["bulk", "data", "forms", "policies", "requests", "terminations"]

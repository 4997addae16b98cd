"""The verbs of signing in: the right of customers, the access of staff, and sessions."""

"""Texts that pages, letters, receipts and the desk share: the explanation of an end date, and the policy."""

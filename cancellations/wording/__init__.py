"""What pages, letters, receipts and the desk say alike: the explanation of an end date, and the policy's text."""

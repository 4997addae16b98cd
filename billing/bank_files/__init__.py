"""Files for the bank and from the bank: orders of transfers, and statements."""

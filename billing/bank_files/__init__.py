"""Files for the bank and from it: transfers that are ordered, and statements that are read back."""

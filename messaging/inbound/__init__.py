"""Mail that comes in: reading mailboxes, taking mail apart, and who or what sent it."""

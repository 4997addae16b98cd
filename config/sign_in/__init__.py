"""Signing in: customers with a code or a passkey, staff always with a second factor."""

"""How people sign in: customers by a code or a passkey, staff always with a second factor."""

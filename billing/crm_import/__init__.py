"""The import of a CRM export: accounts, subscriptions and payments."""

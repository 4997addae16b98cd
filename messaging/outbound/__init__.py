"""Renders messages from templates, and calls the addresses of webhooks."""

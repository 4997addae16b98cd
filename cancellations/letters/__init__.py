"""Messages to customers, and webhooks to the company's own systems."""

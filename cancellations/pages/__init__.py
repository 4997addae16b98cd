"""The customer's pages, one module for each group. They translate and make one call of a service."""

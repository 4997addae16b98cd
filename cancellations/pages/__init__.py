"""The customer's pages, one module for each group. Views read the request and call one service."""

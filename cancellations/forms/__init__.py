"""The forms of the portal's pages."""

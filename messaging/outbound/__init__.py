"""What goes out: messages from their templates, and calls of addresses that somebody entered."""

"""Incoming mail: reads mailboxes, parses mail, and sorts it by sender."""

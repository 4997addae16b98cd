"""The frame of the staff interface: its site, sidebar and dashboard."""

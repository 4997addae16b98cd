"""The frame of the staff interface: its site, side bar and dashboard."""

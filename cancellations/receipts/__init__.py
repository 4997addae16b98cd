"""The sealed receipt: its chain of hashes and its PDF."""

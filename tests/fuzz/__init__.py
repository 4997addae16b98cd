"""Hostile input at every entrance, by schemathesis and hypothesis: deterministic, and bounded in time."""

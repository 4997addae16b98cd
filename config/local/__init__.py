"""The local run: embedded servers, its processes, demo data, and pages that show its mail and codes."""

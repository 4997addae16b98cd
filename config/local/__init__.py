"""The local run: embedded servers, processes, demo data, and pages with its mail and codes."""

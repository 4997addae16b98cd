"""The figures of the dashboard, each with the rows behind it."""

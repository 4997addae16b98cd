"""The figures of the dashboard, each with a link to the rows that it counts."""

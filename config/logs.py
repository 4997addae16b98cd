"""How logs are written: nobody can forge a line, and no link that opens something stands in one."""

import logging
from datetime import UTC, datetime

from messaging.links import hide_secrets
from messaging.text import escape_for_log

CONTINUED = "    "  # in front of each line that is not the first of its record


class LineFormatter(logging.Formatter):
    """One record is one line, with its time in UTC (ISO 8601). What a library adds, such as a traceback, is indented.

    Control characters, line breaks and direction marks are escaped, so that a path or a header cannot begin a line.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - Python's name
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is Python's
        return _safe(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        first, *others = super().format(record).split("\n")  # the message itself has no line break any more
        return "\n".join([first, *(CONTINUED + _safe(line) for line in others)])


def _safe(line: str) -> str:
    return escape_for_log(hide_secrets(line))

"""Settings of gunicorn that every start shares: `gunicorn --config python:config.gunicorn config.wsgi`."""

import logging
from typing import Any

from gunicorn.glogging import Logger

from config.logs import LineFormatter
from config.server import BufferingWorker


class SafeLogger(Logger):
    """Writes gunicorn's own log and the access log with our formatter."""

    def _set_handler(self, log: logging.Logger, output: str, fmt: logging.Formatter, stream: Any = None) -> None:
        super()._set_handler(log, output, LineFormatter(fmt._fmt, fmt.datefmt), stream)


logger_class = SafeLogger
worker_class = BufferingWorker
threads = 4  # each with a connection to the database

"""Settings of gunicorn that every start shares: `gunicorn --config python:config.gunicorn config.wsgi`."""

import logging
import os
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from gunicorn.glogging import Logger

from config.logs import LineFormatter
from config.server import BufferingWorker


class SafeLogger(Logger):
    """Writes gunicorn's own log and the access log with our formatter."""

    def _set_handler(self, log: logging.Logger, output: str, fmt: logging.Formatter, stream: Any = None) -> None:
        super()._set_handler(log, output, LineFormatter(fmt._fmt, fmt.datefmt), stream)


def child_exit(server: Any, worker: Any) -> None:
    """The latencies that a process counted stay in those of its server."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    rmtree(_LATENCIES, ignore_errors=True)


_LATENCIES = mkdtemp(prefix="portal-metrics-")
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", _LATENCIES)
logger_class = SafeLogger
worker_class = BufferingWorker
threads = 4  # each with a connection to the database

"""The web server: gunicorn starts, watches and restarts the processes, waitress serves in each of them.

waitress reads each request whole, and keeps what a client does not read yet, without a thread. So slow clients hold
connections but no threads, also without a proxy in front (docs/performance.md).
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server

MOST_CONNECTIONS = 500  # of one process; most systems allow it 1,024 open files
MOST_HEADER_BYTES = 32_768
HEADERS_SECONDS = 30  # for a request's headers to arrive
BODY_SECONDS = 60  # for its body, and a second more for each BYTES_A_SECOND
BYTES_A_SECOND = 10_000
IDLE_SECONDS = 60

Environ = dict[str, Any]


class BufferingWorker(Worker):
    """A process of gunicorn that runs waitress. `--threads`, `--max-requests` and the access log work as usual."""

    def run(self) -> None:
        server_map: dict[int, Any] = {}
        server = create_server(
            Application(self),
            map=server_map,
            sockets=[listener.sock for listener in self.sockets],
            threads=self.cfg.threads,
            connection_limit=MOST_CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            max_request_header_size=MOST_HEADER_BYTES,
            max_request_body_size=most_body_bytes(),
            clear_untrusted_proxy_headers=False,  # Django decides by BEHIND_PROXY
            asyncore_use_poll=True,
            ident=None,
        )
        deadlines = Deadlines()
        while self.alive and self.ppid == os.getppid():
            self._serve_once(server_map)
            deadlines.enforce(channels(server_map), time.monotonic())
        self._finish(server_map)
        server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(server_map)

    def _serve_once(self, server_map: dict[int, Any]) -> None:
        self.notify()
        wasyncore.loop(timeout=1, use_poll=True, map=server_map, count=1)

    def _finish(self, server_map: dict[int, Any]) -> None:
        """Takes no new connections, and answers what has arrived."""
        for listener in server_map.values():
            listener.accepting = False
        ends = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < ends and any(is_answering(channel) for channel in channels(server_map)):
            self._serve_once(server_map)


def most_body_bytes() -> int:
    """Returns the most that a request may hold: the larger of a form with files and a mail of the provider."""
    from django.conf import settings

    from config.web.uploads import MAX_REQUEST_BYTES

    return max(MAX_REQUEST_BYTES, settings.DATA_UPLOAD_MAX_MEMORY_SIZE) + 1_000_000


def channels(server_map: dict[int, Any]) -> list[HTTPChannel]:
    return [channel for channel in list(server_map.values()) if isinstance(channel, HTTPChannel)]


def is_answering(channel: HTTPChannel) -> bool:
    return bool(channel.requests or channel.total_outbufs_len)


class Deadlines:
    """When the requests that are arriving have to be complete."""

    def __init__(self) -> None:
        self._arriving: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def enforce(self, clients: Iterable[HTTPChannel], now: float) -> None:
        """Closes the connections on which a request arrives too slowly."""
        for client in clients:
            request = client.request
            if request is None or client.requests:
                continue
            began = self._arriving.setdefault(request, now)
            allowed = BODY_SECONDS + request.content_length / BYTES_A_SECOND
            if now - began > (allowed if request.headers_finished else HEADERS_SECONDS):
                client.will_close = True


class Application:
    """The portal's WSGI application; counts its requests and writes them to gunicorn's access log."""

    def __init__(self, worker: BufferingWorker) -> None:
        self._worker = worker

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        worker = self._worker
        worker.nr += 1
        if worker.nr >= worker.max_requests:
            worker.alive = False
        environ["RAW_URI"] = environ.get("REQUEST_URI", "")
        log = AccessLog(worker, environ)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            log.answer = SimpleNamespace(status=status, headers=headers, sent=0)
            return start_response(status, headers, *more)

        return Answer(worker.wsgi(environ, start), log)


class AccessLog:
    """The line that a request gets in the access log."""

    def __init__(self, worker: BufferingWorker, environ: Environ) -> None:
        self._worker, self._environ, self._started = worker, environ, time.monotonic()
        self.answer = SimpleNamespace(status="500", headers=[], sent=0)

    def write(self) -> None:
        request = SimpleNamespace(headers=[])
        lasted = timedelta(seconds=time.monotonic() - self._started)
        self._worker.log.access(self.answer, request, self._environ, lasted)


class Answer:
    """The body of an answer, counted as it is sent."""

    def __init__(self, body: Iterable[bytes], log: AccessLog) -> None:
        self._body, self._log = body, log

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._body:
            self._log.answer.sent += len(chunk)
            yield chunk

    def close(self) -> None:
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._log.write()

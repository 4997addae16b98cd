"""How the web server answers while slow clients hold connections, compared with none: `python -m bench.slow_clients`.

Holds clients that send a header or a form byte by byte, or do not read the answer, and asks for `/healthz` and the
first page meanwhile. Prints the ratio of the medians, and how many questions got no answer within 5 s. No proxy stands
in front: a proxy that buffers keeps slow clients away from the server altogether (docs/deployment.md).

    python -m bench.slow_clients --clients 40
    python -m bench.slow_clients --server "gunicorn config.wsgi --bind 127.0.0.1:{port} --workers 2 --threads 8"
"""

import argparse
import os
import shlex
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("PORTAL_DATA_DIR", str(ROOT / ".data" / "bench"))
os.environ.setdefault("PORTAL_LOCAL_RUN", "1")
os.environ.setdefault("PORT", "8000")
os.environ.setdefault("LOG_LEVEL", "ERROR")

from config.local import embedded  # noqa: E402  # reads the environment above

SERVER = "gunicorn --config python:config.gunicorn config.wsgi --bind 127.0.0.1:{port} --workers 2 --no-control-socket"
PATHS = ("/healthz", "/")
QUESTIONS, TIMEOUT, PAUSE = 30, 5.0, 0.05
COOKIE = "a" * 32
FORM = (
    "POST /cancel/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Cookie: {cookie}="
    + COOKIE
    + "\r\nContent-Length: 100000\r\n\r\n"  # with it, the form is read before it is refused
)
KINDS = {
    "headers": "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "a form": FORM,
    "reading": "GET /cancel/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2,
    "nothing": "",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--server", default="", help="another command to measure; {port} is its port")
    options = parser.parse_args()
    with embedded.servers():
        _manage("migrate", "--verbosity", "0")
        _manage("load_demo", "--verbosity", "0")
        with _server(options.server) as port:
            for path in PATHS:
                _ask(port, path)
                _report(port, path, options.clients)


def _report(port: int, path: str, clients: int) -> None:
    alone, _ = _ask(port, path)
    for kind in KINDS:
        with _slow_clients(port, kind, clients):
            median, unanswered = _ask(port, path)
        print(
            f"{path:9} {clients} clients slow at {kind:8} ratio {median / alone:6.1f}, "
            f"{unanswered} of {QUESTIONS} unanswered ({alone * 1000:.1f} ms alone)",
            flush=True,
        )


def _ask(port: int, path: str) -> tuple[float, int]:
    """Returns the median seconds of the answers, and how many questions got none."""
    seconds: list[float] = []
    unanswered = 0
    for _ in range(QUESTIONS):
        started = time.monotonic()
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT) as answer:
                answer.read()
        except OSError:
            unanswered += 1
            if unanswered > 3:
                return TIMEOUT, QUESTIONS - len(seconds)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds), unanswered


@contextmanager
def _slow_clients(port: int, kind: str, count: int) -> Iterator[None]:
    held = [socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) for _ in range(count)]
    ended = threading.Event()

    def trickle() -> None:
        while not ended.wait(PAUSE):
            for client in held:
                try:
                    if kind in ("headers", "a form"):
                        client.send(b"a")
                except OSError:  # the server gave up on it
                    continue

    for client in held:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.setblocking(False)
        try:
            client.send(KINDS[kind].replace("{cookie}", f"portal_csrf_{os.environ['PORT']}").encode())
        except OSError:
            continue
    thread = threading.Thread(target=trickle)
    thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for client in held:
            client.close()
        time.sleep(1)


@contextmanager
def _server(command: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = shlex.split((command or SERVER).format(port=port))
    running = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(150):
            try:
                urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield port
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _manage(*words: str) -> None:
    subprocess.run([sys.executable, "manage.py", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

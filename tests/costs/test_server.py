"""The web server, as the Dockerfile starts it, with one process: slow clients keep nobody waiting."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from config.server import BODY_SECONDS, HEADERS_SECONDS, Deadlines, most_body_bytes

SECONDS = 60  # far more than an answer takes on a busy machine
HOST = b" HTTP/1.1\r\nHost: localhost\r\n"


class Site:
    def __init__(self, folder) -> None:
        self.wait_for, self.access_log = folder / "wait-for", folder / "access.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        options = [
            "--config",
            "python:config.gunicorn",
            "--no-control-socket",
            "--access-logfile",
            str(self.access_log),
        ]
        self.running = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, "--bind", f"127.0.0.1:{self.port}", "--workers", "1",
             "tests.costs.small_site"],
            env=os.environ | {"PORTAL_LOCAL_RUN": "1", "WAIT_FOR": str(self.wait_for)},
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            try:
                assert self.ask() == b"0"
                return
            except OSError:
                time.sleep(0.1)
        pytest.fail("gunicorn did not start")

    def ask(self, path="/", content=None) -> bytes:
        with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", data=content), timeout=SECONDS) as answer:
            return answer.read()

    def connect(self, content: bytes) -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", self.port))
        client.sendall(content)
        return client

    def end(self) -> None:
        self.wait_for.touch()
        if self.running.poll() is None:
            self.running.terminate()
        self.running.wait(SECONDS)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.end()


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET /" + HOST + b"X-Slow: ", b"POST /" + HOST + b"Content-Length: 9000\r\n\r\na",
     b"GET /large" + HOST + b"\r\n"],
    ids=["nothing", "headers", "a form", "an answer that is not read"],
)  # fmt: skip
def test_slow_clients_hold_no_thread(site, beginning):
    clients = [site.connect(beginning) for _ in range(40)]
    try:
        assert [site.ask() for _ in range(5)] == [b"0"] * 5
        assert site.ask(content=b"x" * 700_000) == b"700000"
    finally:
        for client in clients:
            client.close()


def test_a_request_that_arrives_slowly_is_answered(site):
    client = site.connect(b"POST /" + HOST + b"Connection: close\r\nContent-Length: 3\r\n\r\n")
    for byte in (b"a", b"b", b"c"):
        time.sleep(0.05)
        client.sendall(byte)
    assert client.makefile("rb").read().endswith(b"\r\n\r\n3")


def test_a_request_that_is_too_large_is_refused_before_it_arrives(site):
    client = site.connect(b"POST /" + HOST + b"Content-Length: 90000000000\r\n\r\n")
    assert client.recv(1000).split()[1] == b"413"
    client = site.connect(b"GET /" + HOST + b"X-Long: " + b"a" * 60_000)
    assert client.recv(1000).split()[1] == b"431"


def test_a_stop_lets_running_requests_finish(site):
    answers = []
    asking = threading.Thread(target=lambda: answers.append(site.ask("/slow")))
    asking.start()
    time.sleep(0.5)
    site.running.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    site.wait_for.touch()
    asking.join(SECONDS)
    assert answers == [b"0"]
    assert site.running.wait(SECONDS) == 0


def test_the_access_log_is_written_by_our_logger(site):
    site.ask("/requests/proof/secret-token/?q=secret")
    with pytest.raises(HTTPError):
        urlopen(Request(f"http://127.0.0.1:{site.port}/", method="BAD METHOD"), timeout=SECONDS)
    lines = site.access_log.read_text()
    assert '/requests/proof/…/?q=… HTTP/1.1" 200 1 ' in lines
    assert "secret" not in lines


class TestDeadlines:
    def channel(self, *, headers_finished=False, content_length=0):
        request = type("Parser", (), {"headers_finished": headers_finished, "content_length": content_length})()
        return SimpleNamespace(request=request, requests=[], will_close=False)

    @pytest.mark.parametrize(
        ("channel", "seconds"),
        [({}, HEADERS_SECONDS), ({"headers_finished": True}, BODY_SECONDS),
         ({"headers_finished": True, "content_length": 50_000_000}, BODY_SECONDS + 5000)],
    )  # fmt: skip
    def test_a_request_has_to_arrive_in_time(self, channel, seconds):
        deadlines, client = Deadlines(), self.channel(**channel)
        for now in (0, seconds):
            deadlines.enforce([client], now)
            assert not client.will_close
        deadlines.enforce([client], seconds + 0.1)
        assert client.will_close

    def test_each_request_of_a_connection_counts_by_itself(self):
        deadlines, client = Deadlines(), self.channel()
        deadlines.enforce([client], 0)
        client.request = None
        deadlines.enforce([client], 1000)
        client.request = self.channel().request
        deadlines.enforce([client], 2000)
        assert not client.will_close


def test_a_mail_of_a_provider_and_a_form_with_files_get_through(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 80_000_000
    assert most_body_bytes() > 80_000_000
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
    assert most_body_bytes() > 50_000_000

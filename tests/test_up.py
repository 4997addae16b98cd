"""`manage.py up`, which is `make run`: real processes, from nothing to a served page, and no process left."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Portal:
    """One local run, with data of its own."""

    def __init__(self, data):
        self.data, self.port = data, free_port()
        hidden = ("DATABASE_URL", "REDIS_URL", "PORTAL_LOCAL_RUN", "DJANGO_SETTINGS_MODULE")
        self.environment = {name: value for name, value in os.environ.items() if name not in hidden}
        self.environment |= {"PYTHONUNBUFFERED": "1", "PORTAL_DATA_DIR": str(data), "PORT": str(self.port)}
        self.running = None

    def start(self, until="Ctrl-C stops everything"):
        self.output = (self.data.parent / f"output-{self.port}.txt").open("w+")
        self.running = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=ROOT, env=self.environment, stdout=self.output, stderr=self.output
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and until not in self.said():
            assert self.running.poll() is None, self.said()
            time.sleep(0.1)

    def said(self):
        self.output.seek(0)
        return self.output.read()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def stop(self, how=signal.SIGINT):
        self.running.send_signal(how)
        self.running.wait(40)

    def processes(self):
        """Everything that knows this run's data directory, by environment or command line."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.data) in " ".join(process.cmdline()) or process.environ().get("PORTAL_DATA_DIR") == str(
                    self.data
                ):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return [one for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def portal(tmp_path):
    one = Portal(tmp_path / "with space" / "data")
    one.data.mkdir(parents=True)
    yield one
    if one.running and one.running.poll() is None:
        one.stop()
    for left in one.processes():
        left.kill()


@pytest.mark.slow
def test_from_nothing_to_a_page_and_back_again(portal):
    portal.start()
    assert "Leave when you want" in portal.get("/")
    deadline = time.monotonic() + 40
    while "We received your cancellation" not in portal.get("/local/mail/") and time.monotonic() < deadline:
        time.sleep(0.5)  # the worker delivers the demo's mail by itself
    assert "We received your cancellation" in portal.get("/local/mail/")
    portal.stop()
    assert portal.processes() == []

    portal.start()  # the data is as it was
    assert "no demo data was loaded" in portal.said()

    worker = next(one for one in portal.processes() if "worker" in one.cmdline())
    worker.kill()  # it comes back
    deadline = time.monotonic() + 30
    while "worker ended (-9) and is restarted" not in portal.said() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "worker ended (-9) and is restarted" in portal.said()

    for one in portal.processes():
        one.kill()  # kill -9 of everything
    portal.running.wait(10)
    portal.start()
    assert "Leave when you want" in portal.get("/")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_during_the_first_migration_is_clean(portal, how):
    portal.start(until="Updating the database")
    portal.stop(how)
    assert "Traceback" not in portal.said()
    assert portal.said().endswith("Stopped.\n")
    assert portal.running.returncode == 0
    assert portal.processes() == []


def test_a_taken_port_is_said(portal):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", portal.port))
        taken.listen()
        ended = subprocess.run(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=portal.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    assert f"Port {portal.port} is in use. Choose another: PORT={portal.port + 1} make run" in ended.stderr

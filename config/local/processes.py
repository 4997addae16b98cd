"""Runs the web server, worker and beat of a local run; restarts one that ends, and stops all on Ctrl-C.

Not honcho, which ends all processes when one ends: a killed worker has to be restarted (docs/adr/0003).
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

STOP_SECONDS = 10
PAUSE_SECONDS = 1.0
KEEP_SECONDS = 3.0


@dataclass
class Process:
    name: str
    command: list[str]
    log: Path
    started: float = 0.0
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that Ctrl-C reaches only this process, which ends the others in order
                preexec_fn=_die_with_parent,
            )
        self.started = time.monotonic()

    def last_lines(self, count: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Supervisor:
    """Keeps the processes running; calls `keep` every few seconds, to keep other things running."""

    def __init__(self, processes: list[Process], keep: Callable[[], object]) -> None:
        self.processes = processes
        self.keep = keep
        self.stopping = False

    def start(self) -> None:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, self._stop)
        for process in self.processes:
            process.start()

    def watch(self) -> None:
        """Restarts processes until a signal to stop arrives. `end` then ends them."""
        last_keep = time.monotonic()
        while not self.stopping:
            for process in self.processes:
                assert process.running is not None
                if process.running.poll() is not None and not self.stopping:
                    print(f"{process.name} ended ({process.running.returncode}) and is restarted.", flush=True)
                    if time.monotonic() - process.started < 5:
                        print(f"  It ended at once. Its log, {process.log}, ends:\n{process.last_lines()}", flush=True)
                        time.sleep(PAUSE_SECONDS)
                    process.start()
            if time.monotonic() > last_keep + KEEP_SECONDS and not self.stopping:
                self.keep()
                last_keep = time.monotonic()
            time.sleep(0.2)

    def end(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        running = [process.running for process in self.processes if process.running]
        for child in running:
            if child.poll() is None:
                child.terminate()
        for child in running:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True


def _die_with_parent() -> None:
    """On Linux, makes the kernel end the child when the supervisor dies, even by `kill -9`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

"""Functions for the tests of confined calls. They run in the other process, so this module imports no framework."""

import os
import signal
import sys
from pathlib import Path
from typing import Any


def length(content: bytes) -> int:
    return len(content)


def surroundings(content: bytes) -> tuple[int, list[str], bool]:
    return os.getpid(), sorted(os.environ), "django" in sys.modules


def compute_for_ever(content: bytes) -> None:
    while True:
        pass


def catch_everything_for_ever(content: bytes) -> None:
    while True:
        try:
            compute_for_ever(content)
        except BaseException:
            continue


def fill_memory(content: bytes, megabytes: int) -> int:
    return len(bytearray(megabytes * 1_000_000))


def keep_memory(content: bytes, megabytes: int, kept: list[Any] = []) -> int:  # noqa: B006
    kept.append(bytearray(megabytes * 1_000_000))
    return os.getpid()


def nest(content: bytes) -> Any:
    return [nest(content)]


def end_itself(content: bytes, name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


def print_and_refuse(content: bytes) -> None:
    sys.stdout.write("what a library prints\n")
    sys.stdout.flush()
    raise ValueError(f"{len(content)} bytes are too many")


class Unsendable(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def raise_what_cannot_be_sent(content: bytes) -> None:
    raise Unsendable("a", "b")


def write_a_file(content: bytes, path: str) -> None:
    Path(path).write_bytes(b"x")

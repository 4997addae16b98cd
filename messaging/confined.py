"""Runs functions on what strangers sent in a process that can be killed.

The process loads no framework, gets no environment variables and writes no files. The kernel enforces the limits on
processor time and memory, so that they also hold inside C code. One process answers many calls; it is replaced if a
call ends it or leaves it large.
"""

import atexit
import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, TypeVar

MOST_PROCESSES = 2  # of one worker
MEGABYTES = 64
WAIT_SECONDS = 60  # on a busy machine, a second of processor time takes longer
MEGABYTE = 1_000_000
ROOT = Path(__file__).resolve().parent.parent
LENGTH = struct.Struct(">Q")
R = TypeVar("R")


class TooCostly(Exception):
    """The call needed more processor time or memory than allowed, or ended its process. The message says which."""


class _Request(NamedTuple):
    function: Callable[..., object]
    takes_content: bool
    seconds: float
    megabytes: int


class _Answer(NamedTuple):
    result: Any = None
    error: Exception | None = None
    ended: str = ""  # why the process could not answer
    is_final: bool = False  # a new process could not answer either
    is_large: bool = False


def run_confined(
    function: Callable[..., R], content: bytes | None = None, *, seconds: float, megabytes: int = MEGABYTES
) -> R:
    """Returns `function(content)`, or `function()` without content, called in another process.

    The function belongs to a module that imports no framework; `functools.partial` adds arguments. All of it and the
    result can be pickled. `seconds` is processor time, `megabytes` is memory beyond what the process uses without
    the call. Raises TooCostly, and what the function raises.
    """
    request = _Request(function, content is not None, seconds, megabytes)
    content = content or b""
    with _places:
        process = _idle.pop() if _idle else _Process()
        is_new = process.calls == 0
        answer = _ask(process, request, content)
        if answer.ended and not is_new and not answer.is_final:  # earlier calls may have weakened it
            answer = _ask(_Process(), request, content)
    if answer.ended:
        raise TooCostly(answer.ended)
    if answer.error is not None:
        raise answer.error
    result: R = answer.result
    return result


def _ask(process: "_Process", request: _Request, content: bytes) -> _Answer:
    """Asks the process, and keeps it for the next call if it is fit for one."""
    try:
        answer = process.call(request, content)
    except BaseException:
        process.end()
        raise
    if answer.ended or answer.is_large:
        process.end()
    else:
        _idle.append(process)
    return answer


class _Process:
    """The other process, as its parent sees it."""

    def __init__(self) -> None:
        self.calls = 0
        self._running = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def call(self, request: _Request, content: bytes) -> _Answer:
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self.calls += 1
        try:
            _write(self._running.stdin, pickle.dumps(request))
            _write(self._running.stdin, content)
        except BrokenPipeError:
            pass  # it may have answered before it ended
        try:
            answer = _read_until(self._running.stdout.fileno(), time.monotonic() + WAIT_SECONDS)
        except TimeoutError:
            return _Answer(ended="It did not finish in time.", is_final=True)
        except EOFError:
            return self._why_it_ended(request)
        return pickle.loads(answer)  # type: ignore[no-any-return]  # noqa: S301  # our own code wrote it

    def end(self) -> None:
        self._running.kill()
        self._running.communicate()

    def forget(self) -> None:
        """Leaves the process to the parent that forked this one."""
        self._running.returncode = 0

    def _why_it_ended(self, request: _Request) -> _Answer:
        code = self._running.wait()
        if code == -signal.SIGPROF:
            return _Answer(ended=f"It took more than {request.seconds:g} s of processor time.", is_final=True)
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return _Answer(ended=f"It ended the process that read it ({name}).")


def _write(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _read(pipe: BinaryIO) -> bytes:
    """Raises EOFError if the other side is gone."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    return pipe.read(LENGTH.unpack(head)[0])


def _read_until(pipe: int, deadline: float) -> bytes:
    """Like `_read`, from a file descriptor. Raises EOFError, TimeoutError."""
    length = LENGTH.unpack(_read_exactly(pipe, LENGTH.size, deadline))[0]
    return _read_exactly(pipe, length, deadline)


def _read_exactly(pipe: int, length: int, deadline: float) -> bytes:
    content = bytearray()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while len(content) < length:
        if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        chunk = os.read(pipe, min(length - len(content), MEGABYTE))
        if not chunk:
            raise EOFError
        content += chunk
    return bytes(content)


# In the other process


def serve() -> None:
    """Answers calls until the parent is gone."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("r+b") as nothing:  # what a library prints must not reach the parent as an answer
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    baselines: dict[str, int] = {}
    answer = _Answer()
    while not answer.ended:  # after that, the rest of a content may still wait to be read
        try:
            request: _Request = pickle.loads(_read(requests))  # noqa: S301  # our own code wrote it
            baseline = baselines.setdefault(_name_of(request.function), _memory())
            with _limits(request.seconds, baseline + request.megabytes * MEGABYTE):
                answer = _answer(request, requests, baseline)
                _write(answers, pickle.dumps(answer))
        except (EOFError, BrokenPipeError):
            return


@contextmanager
def _limits(seconds: float, memory: int) -> Iterator[None]:
    """At the end of the seconds, the kernel ends the process with SIGPROF. The answer and what it frees count."""
    _limit_memory(memory)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    _limit_memory(None)


def _answer(request: _Request, requests: BinaryIO, baseline: int) -> _Answer:
    try:
        content = _read(requests)
        answer = _Answer(result=request.function(content) if request.takes_content else request.function())
    except RecursionError:
        answer = _Answer(ended="It is nested too deeply.", is_final=True)
    except MemoryError:
        answer = _Answer(ended=f"It needs more than {request.megabytes} MB.")
    except Exception as error:
        answer = _Answer(error=_picklable(error))
    return answer._replace(is_large=_memory() > baseline + request.megabytes * MEGABYTE // 4)


def _name_of(function: Callable[..., object]) -> str:
    while isinstance(function, partial):
        function = function.func
    return f"{function.__module__}.{function.__qualname__}"


def _picklable(error: Exception) -> Exception:
    """Returns the error, or its text if it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # made just now
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}"[:500])
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)  # it holds all that the function held


def _memory() -> int:
    """Returns the size of the process's address space in bytes."""
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()


def _limit_memory(most: int | None) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard if most is None else most, hard))


# In the parent


_places = threading.BoundedSemaphore(MOST_PROCESSES)
_idle: list[_Process] = []


def _start_afresh() -> None:
    """After a fork: the processes belong to the parent."""
    global _places
    for process in _idle:
        process.forget()
    _idle.clear()
    _places = threading.BoundedSemaphore(MOST_PROCESSES)


@atexit.register
def end_all() -> None:
    """Ends the processes that wait for a call."""
    while _idle:
        _idle.pop().end()


os.register_at_fork(after_in_child=_start_afresh)

"""Worker processes on the database of the tests, so that they can be killed as real ones are.

They are forked from a process that has loaded Django and holds no connection, so that each begins at once.
"""

import multiprocessing
import random
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection

_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(["tests.loaded"])


def started(work: Callable[..., Any], *given: Any, **changed: Any) -> Any:
    """A process that does the work, under the settings that are named, without a broker."""
    changed = {"CELERY_BROKER_URL": "redis://127.0.0.1:1"} | changed
    process = _forked.Process(target=_run, args=(dict(connection.settings_dict), changed, work, given), daemon=True)
    process.start()
    return process


def _run(database: dict[str, Any], changed: dict[str, Any], work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    connection.settings_dict.update(database)
    for name, value in changed.items():
        setattr(settings, name, value)
    work(*given)


def ended(process: Any) -> int:
    process.join(60)
    assert process.exitcode is not None, "It did not end."
    return int(process.exitcode)


def killed_somewhere(process: Any, progress: Callable[[], int]) -> bool:
    """SIGKILL at a random moment after it began to get on; False where it had ended before."""
    before, deadline = progress(), time.monotonic() + 60
    while process.is_alive() and progress() == before and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.15))
    hit = process.is_alive()
    process.kill()
    process.join()
    return hit

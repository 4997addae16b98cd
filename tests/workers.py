"""Worker processes on the database of the tests, so that they can be killed as real ones are."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from django.db import connection


def environment(**more: str) -> dict[str, str]:
    database = connection.settings_dict
    user = f"{database['USER']}:{database['PASSWORD']}" if database["PASSWORD"] else database["USER"]
    host, port = str(database["HOST"]), database["PORT"] or 5432
    place = f"/{host}" if host.startswith("/") else f"{host}:{port}"
    url = f"postgres://{user}@{place}/{database['NAME']}"
    return os.environ | {"DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1", **more}


def started(*command: str, **more: str) -> "subprocess.Popen[bytes]":
    root = Path(__file__).parent.parent
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, *command], cwd=root, env=environment(**more), **quiet)


def killed_somewhere(running: "subprocess.Popen[bytes]", progress: Callable[[], int]) -> bool:
    """SIGKILL at a random moment after it began to get on; False where it had ended before."""
    before, deadline = progress(), time.monotonic() + 60
    while running.poll() is None and progress() == before and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.15))
    hit = running.poll() is None
    running.kill()
    running.wait()
    return hit

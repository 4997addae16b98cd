"""A site for the tests of the web server: it needs no database. `/slow` answers when the file WAIT_FOR exists."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    if environ["PATH_INFO"] == "/slow":
        while not Path(os.environ["WAIT_FOR"]).exists():
            time.sleep(0.02)
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Length", "8000000")])
        return [b"x" * 8_000_000]
    body = str(len(environ["wsgi.input"].read())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

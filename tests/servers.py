"""The servers of the suite: those of DATABASE_URL and REDIS_URL, else embedded ones with data of their own.

Loaded as a plugin before anything reads the settings.
"""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

os.environ.setdefault("PORTAL_DATA_DIR", str(Path(__file__).resolve().parent.parent / ".data" / "test"))
os.environ.setdefault("PORTAL_THROWAWAY", "1")
os.environ.setdefault("PORTAL_LOCAL_RUN", "1")

from config.local import embedded  # reads the environment above

_held = ExitStack()


def pytest_sessionstart(session: pytest.Session) -> None:
    if embedded.wanted():
        _held.enter_context(embedded.servers())


def pytest_sessionfinish(session: pytest.Session) -> None:
    _held.close()

"""How passwords of staff are hashed: so that it costs an attacker memory, and a web process little time.

Argon2id with the least that OWASP's Password Storage Cheat Sheet recommends (19 MiB, 2 passes, 1 lane) takes a tenth of
the processor time of Django's first choice (docs/performance.md). A process hashes one password at a time.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

MOST_WAITING = 4  # with the one that is hashed
_running = threading.Lock()
_places = threading.BoundedSemaphore(MOST_WAITING)


class HashingBusy(Exception):
    """Too many passwords are being checked at once in this process. Trying again in a moment helps."""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Waits for the hashes of other threads; raises HashingBusy if too many wait, so that threads stay for others."""
    if not _places.acquire(blocking=False):
        raise HashingBusy
    try:
        with _running:
            yield
    finally:
        _places.release()


class Argon2(Argon2PasswordHasher):
    time_cost = 2
    memory_cost = 19_456  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with one_at_a_time():
            return str(super().encode(password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        with one_at_a_time():
            return bool(super().verify(password, encoded))


class FormerPBKDF2(PBKDF2PasswordHasher):
    """Checks passwords that were hashed before; signing in hashes them anew."""

    def verify(self, password: str, encoded: str) -> bool:
        with one_at_a_time():
            return bool(super().verify(password, encoded))

"""How long a worker's run has lasted: the time that it has come to, and whether another should go on."""

import time
from datetime import datetime, timedelta


class Run:
    """A run that began at `now`, and ends by itself, so that the workers' time limit cuts none off in the middle."""

    def __init__(self, now: datetime, *, seconds: int) -> None:
        self._began, self._seconds, self._started = now, seconds, time.monotonic()

    @property
    def now(self) -> datetime:
        """The time that it has come to, in whole seconds."""
        return self._began + timedelta(seconds=int(time.monotonic() - self._started))

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._started > self._seconds

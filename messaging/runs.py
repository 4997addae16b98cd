"""A worker's run: the current time within it, and whether its time is up."""

import time
from datetime import datetime, timedelta


class Run:
    """A run that began at `now` and should end after `seconds`, well before the workers' time limit kills it."""

    def __init__(self, now: datetime, *, seconds: int) -> None:
        self._began, self._seconds, self._started = now, seconds, time.monotonic()

    @property
    def now(self) -> datetime:
        """The current time, counted from `now` in whole seconds."""
        return self._began + timedelta(seconds=int(time.monotonic() - self._started))

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._started > self._seconds

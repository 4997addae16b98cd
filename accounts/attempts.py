"""Limits on wrong attempts: passwords, codes and passkeys.

Attempts are counted in the cache, for all processes together, in windows of fixed length. Only wrong ones count. Nobody
is locked out by strangers: what one network or browser does counts for itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network

from django.core.cache import cache


@dataclass(frozen=True)
class Limit:
    """At most `most` wrong attempts in each window, for each key. The name is part of the key in the cache."""

    name: str
    most: int
    window: timedelta = timedelta(minutes=15)

    def window_end(self, now: datetime) -> datetime:
        seconds = int(self.window.total_seconds())
        return datetime.fromtimestamp((int(now.timestamp()) // seconds + 1) * seconds, UTC)


@dataclass(frozen=True)
class Counter:
    """A limit for what the key names, such as an address and a network."""

    limit: Limit
    key: str

    def take(self, now: datetime) -> bool:
        """Counts an attempt. Returns whether it is within the limit."""
        name = self._name(now)
        cache.add(name, 0, timeout=int(self.limit.window.total_seconds()))
        try:
            return int(cache.incr(name)) <= self.limit.most
        except ValueError:  # the cache was emptied in between
            return True

    def give_back(self, now: datetime) -> None:
        try:
            cache.incr(self._name(now), -1)
        except ValueError:
            return

    def _name(self, now: datetime) -> str:
        digest = sha256(f"{self.limit.name}: {self.key}".encode()).hexdigest()
        return f"attempts:{digest}:{int(self.limit.window_end(now).timestamp())}"


class TooManyAttempts(Exception):
    """A limit is reached. `until` is when the next attempt is allowed."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"Too many wrong attempts until {until:%H:%M} UTC.")
        self.until = until


class Attempt:
    """An attempt under way. Set `has_failed` if it was wrong; otherwise it does not count."""

    has_failed = False


@contextmanager
def limited(*counters: Counter, now: datetime) -> Iterator[Attempt]:
    """Raises TooManyAttempts if one of the limits is reached; otherwise counts the attempt if it fails.

    It is counted before it runs, so that attempts at the same moment do not pass together.
    """
    taken: list[Counter] = []
    attempt = Attempt()
    try:
        for counter in counters:
            taken.append(counter)
            if not counter.take(now):
                raise TooManyAttempts(counter.limit.window_end(now))
        yield attempt
    finally:
        if not attempt.has_failed:
            for counter in taken:
                counter.give_back(now)


def network_of(address: str) -> str:
    """What one client usually has: the address itself, of IPv6 its /64. Empty if the address is not known."""
    try:
        client = ip_address(address)
    except ValueError:
        return ""
    return str(client) if client.version == 4 else str(ip_network(f"{client}/64", strict=False))

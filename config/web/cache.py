"""The cache in which rate limits count: Redis, and this process's own memory for as long as Redis is away."""

import logging
import time
from collections.abc import Callable
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

log = logging.getLogger(__name__)
PAUSE_SECONDS = 30.0


class SharedCache(RedisCache):
    """Never fails and never hangs a request: after an error, Redis is left alone for half a minute."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._own = LocMemCache("portal-without-redis", {**params, "OPTIONS": {}})
        self._silent_until = 0.0

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= self._silent_until:
            try:
                return getattr(super(), name)(*args, **kwargs)
            except redis.RedisError as error:
                self._silent_until = time.monotonic() + PAUSE_SECONDS
                log.warning("Redis cannot be reached (%s); rate limits count in this process alone.", error)
        method: Callable[..., Any] = getattr(self._own, name)
        return method(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("add", *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("get", *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("set", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("delete", *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("incr", *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("touch", *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("has_key", *args, **kwargs)

    def clear(self) -> Any:
        return self._ask("clear")

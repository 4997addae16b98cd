"""Telling the workers that there is something due. Only ever a hint: they look by themselves as well."""

import logging
import time

from celery import current_app
from django.db import transaction
from kombu.pools import producers

log = logging.getLogger(__name__)
PAUSE_SECONDS = 30.0
PATIENCE = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "max_retries": 0}
_silent_until = 0.0


def wake(task: str) -> None:
    """Wakes a worker once the current transaction is committed.

    A broker that is down delays nobody: the failure is logged, and for some seconds no further attempt
    is made by this process.
    """
    transaction.on_commit(lambda: _send(task), robust=True)


def _send(task: str) -> None:
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        connection = current_app.connection_for_write(transport_options=PATIENCE)  # equal ones share a pool
        with producers[connection].acquire(block=True, timeout=1) as producer:
            current_app.send_task(task, producer=producer, retry=False, ignore_result=True, expires=30)
    except Exception as error:  # whatever the broker's client raises: the next tick of beat finds the row
        _silent_until = time.monotonic() + PAUSE_SECONDS
        log.warning("The broker cannot be reached (%s); %s waits for the next tick.", error, task)

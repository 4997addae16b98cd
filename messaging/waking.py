"""Notifies workers that rows are due. Only a hint: workers also check on a schedule."""

import logging
import time
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.pools import producers

log = logging.getLogger(__name__)
PAUSE_SECONDS = 30.0
PATIENCE = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "max_retries": 0}
_silent_until = 0.0


def wake(task: str) -> None:
    """Sends the task to a worker once the current transaction is committed, once for each transaction.

    If the broker is down, the failure is logged and this process does not try again for PAUSE_SECONDS, so that
    requests are not delayed.
    """
    connection = transaction.get_connection()
    open_savepoints = set(connection.savepoint_ids)
    for savepoints, function, _ in connection.run_on_commit:
        if getattr(function, "args", None) == (task,) and savepoints <= open_savepoints:
            return
    transaction.on_commit(partial(_send, task), robust=True)


def _send(task: str) -> None:
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        connection = current_app.connection_for_write(transport_options=PATIENCE)  # equal connections share a pool
        with producers[connection].acquire(block=True, timeout=1) as producer:
            current_app.send_task(task, producer=producer, retry=False, ignore_result=True, expires=30)
    except Exception as error:  # whatever the client raises: the row is picked up at the next scheduled run
        _silent_until = time.monotonic() + PAUSE_SECONDS
        log.warning("The broker cannot be reached (%s); %s waits for the next scheduled run.", error, task)

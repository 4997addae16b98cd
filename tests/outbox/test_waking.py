"""A broker that is down, or that hangs, neither fails nor holds up what a person does."""

import socket

import pytest
from django.db import transaction

from messaging import waking


@pytest.fixture
def broker(monkeypatch):
    """Points the wake-up at a port of this test's and lets it try at once."""
    monkeypatch.setattr(waking, "_silent_until", 0.0)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(
            waking.current_app.conf, "broker_write_url", f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        )
        yield server


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hangs", [True, False])
def test_a_dead_broker_costs_a_moment_and_then_nothing(broker, hangs, caplog):
    if hangs:
        broker.listen()  # takes the connection, never answers
    for _ in range(20):
        with transaction.atomic():
            waking.wake("messaging.deliver")
    assert caplog.text.count("The broker cannot be reached") == 1


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_change_wakes_nobody(broker, caplog):
    with transaction.atomic():
        waking.wake("messaging.deliver")
        transaction.set_rollback(True)
    assert waking._silent_until == 0.0
    assert caplog.text == ""

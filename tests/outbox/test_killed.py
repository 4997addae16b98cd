"""A mail server that is slow, refuses and hangs up, and workers that are killed: each message arrives."""

import asyncio
import random
import socket
from collections import Counter
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller

from messaging.models import OutgoingMessage
from messaging.services.outbox import deliver_due, queue_message
from tests.cast import NOW
from tests.workers import ended, killed_somewhere, started

MESSAGES = 120


def deliver(now):
    deliver_due(now=now)


class Moody:
    """Takes its time, refuses one in ten for now, and hangs up on one in twenty, before or after it took the mail."""

    def __init__(self):
        self.arrived = Counter()
        self.dice = random.Random(7)

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(0.003)
        throw = self.dice.random()
        if throw < 0.10:
            return "451 Come back later"
        if throw < 0.125:
            server.transport.abort()
            return "421 Bye"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.arrived[mail["Message-ID"]] += 1
        if throw < 0.15:  # it was taken, but nobody is told so
            server.transport.abort()
        return "250 OK"


@pytest.mark.django_db(transaction=True)
def test_each_message_arrives_and_a_repeat_has_its_message_id():
    moody = Moody()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(moody, hostname="127.0.0.1", port=port)
    server.start()
    for number in range(MESSAGES):
        context = {"reference": "CR-1", "parts": [{"plan": "Team"}]}
        queue_message(kind="withdrawn", recipient=f"c{number}@customer.example", context=context, now=NOW)
    mail = {
        "EMAIL_BACKEND": "messaging.outbound.smtp.EmailBackend",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": port,
    }
    kills = 0
    try:
        for attempt in range(40):
            moment = NOW + timedelta(minutes=30 * attempt)  # leases run out, pauses are over
            workers = [started(deliver, moment, **mail) for _ in range(2)]
            for one in workers:
                if attempt < 5:
                    kills += killed_somewhere(one, lambda: sum(moody.arrived.values()))
                else:
                    ended(one)
            if not OutgoingMessage.objects.exclude(state="sent").exists():
                break
    finally:
        server.stop()
    assert kills >= 4, "hardly any worker was ended in the middle, so this proves little"
    messages = OutgoingMessage.objects.all()
    assert {one.state for one in messages} == {"sent"}
    assert set(moody.arrived) == {one.message_id for one in messages}
    assert sum(moody.arrived.values()) < MESSAGES * 1.3

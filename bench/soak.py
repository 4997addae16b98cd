"""10,000 messages through a slow, failing mail server, while workers are killed and the broker is emptied.

    python -m bench.soak [MESSAGES]

Real Celery workers and beat, on embedded servers with their own data. Prints how many messages arrived, were lost,
or were repeated under the same Message-ID. Takes some minutes.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from email import message_from_bytes, policy
from typing import Any

HOME = tempfile.mkdtemp(prefix="portal-soak-")
os.environ |= {"PORTAL_DATA_DIR": HOME, "PORTAL_THROWAWAY": "1", "PORTAL_LOCAL_RUN": "1", "LOG_LEVEL": "ERROR"}
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
for name in ("DATABASE_URL", "REDIS_URL"):
    os.environ.pop(name, None)

from aiosmtpd.controller import Controller  # noqa: E402 - after the environment
from aiosmtpd.smtp import SMTP  # noqa: E402

from config.local import embedded  # noqa: E402

WORKERS, KILLS_UNTIL, GIVE_UP = 2, 150, 1500  # processes; seconds
CELERY = [sys.executable, "-m", "celery", "-A", "config"]


class FailingServer:
    """Slow; defers one mail in ten, and hangs up on one in forty, on half of these after it accepted the mail."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.deferred = self.hung_up = 0

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        await asyncio.sleep(random.uniform(0.002, 0.02))  # noqa: S311 - no secret
        chance = random.random()  # noqa: S311
        if chance < 0.10:
            self.deferred += 1
            return "451 4.3.0 Come back later"
        if chance < 0.125:
            self.hung_up += 1
            if chance > 0.1125:
                self._record(envelope)
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "421 Bye"
        self._record(envelope)
        return "250 OK"

    def _record(self, envelope: Any) -> None:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.arrived[str(mail["Message-ID"])] += 1


def main(count: int) -> int:
    mail_server = FailingServer()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["EMAIL_URL"] = f"smtp://127.0.0.1:{port}"
    server = Controller(mail_server, hostname="127.0.0.1", port=port)
    server.start()
    try:
        with embedded.servers():
            return _run(mail_server, count)
    finally:
        server.stop()


def _run(mail_server: FailingServer, count: int) -> int:
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from messaging.models import OutgoingMessage

    call_command("migrate", verbosity=0)
    now = timezone.now()
    OutgoingMessage.objects.bulk_create(
        (
            OutgoingMessage(
                kind="ended", recipient=f"c{number}@customer.example", subject="It has ended", text="Bye", due_at=now,
                created_at=now,
            )
            for number in range(count)
        ),
        batch_size=1000,
    )  # fmt: skip
    running = [_worker() for _ in range(WORKERS)]
    beat = _start("beat", "--schedule", f"{HOME}/beat", "--pidfile=")
    started, kills, emptied, printed = time.monotonic(), 0, 0, 0.0
    try:
        while (passed := time.monotonic() - started) < GIVE_UP:
            left = OutgoingMessage.objects.exclude(state="sent").count()
            if passed > printed + 20:
                printed = passed
                print(f"{passed:5.0f} s: {count - left} sent, {kills} workers killed", flush=True)
            if not left:
                break
            time.sleep(random.uniform(2, 5))  # noqa: S311
            if passed < KILLS_UNTIL:
                number = random.randrange(WORKERS)  # noqa: S311
                os.killpg(running[number].pid, signal.SIGKILL)
                running[number].wait()
                running[number] = _worker()
                kills += 1
                embedded._valkey().flushall()
                emptied += 1
    finally:
        for process in (*running, beat):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    states = Counter(OutgoingMessage.objects.values_list("state", flat=True))
    expected = {message.message_id for message in OutgoingMessage.objects.all()}
    repeats = sum(mail_server.arrived.values()) - len(mail_server.arrived)
    took = time.monotonic() - started
    print(f"{count} messages, {kills} workers killed, the broker emptied {emptied} times, {took:.0f} s")
    print(f"deferred {mail_server.deferred} times, hung up on {mail_server.hung_up} times; states {dict(states)}")
    print(f"arrived {len(mail_server.arrived)} of {count}, lost {len(expected - set(mail_server.arrived))}, unexpected "
          f"{len(set(mail_server.arrived) - expected)}, repeats under the same Message-ID {repeats}")  # fmt: skip
    return 0 if expected == set(mail_server.arrived) else 1


def _worker() -> "subprocess.Popen[bytes]":
    return _start("worker", "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "ERROR")


def _start(*args: str) -> "subprocess.Popen[bytes]":
    with open(f"{HOME}/{args[0]}.log", "ab") as log:  # noqa: PTH123
        return subprocess.Popen([*CELERY, *args], stdout=log, stderr=log, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

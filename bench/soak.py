"""10,000 messages through a slow, failing mail server, while workers are killed and the broker is emptied.

    python -m bench.soak [MESSAGES]

Real Celery workers and beat, on embedded servers with data of their own. Prints what arrived: each message, none
lost, and repeats under the same Message-ID. It takes some minutes.
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


class Moody:
    """Slow; puts off one mail in ten, hangs up on one in forty, on half of these after it took the mail."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.refused = self.hung_up = 0

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        await asyncio.sleep(random.uniform(0.002, 0.02))  # noqa: S311 - no secret
        throw = random.random()  # noqa: S311
        if throw < 0.10:
            self.refused += 1
            return "451 4.3.0 Come back later"
        if throw < 0.125:
            self.hung_up += 1
            if throw > 0.1125:
                self._keep(envelope)
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "421 Bye"
        self._keep(envelope)
        return "250 OK"

    def _keep(self, envelope: Any) -> None:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.arrived[str(mail["Message-ID"])] += 1


def main(count: int) -> int:
    moody = Moody()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["EMAIL_URL"] = f"smtp://127.0.0.1:{port}"
    server = Controller(moody, hostname="127.0.0.1", port=port)
    server.start()
    try:
        with embedded.servers():
            return _run(moody, count)
    finally:
        server.stop()


def _run(moody: Moody, count: int) -> int:
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
    beat = _started("beat", "--schedule", f"{HOME}/beat", "--pidfile=")
    started, kills, emptied, told = time.monotonic(), 0, 0, 0.0
    try:
        while (passed := time.monotonic() - started) < GIVE_UP:
            left = OutgoingMessage.objects.exclude(state="sent").count()
            if passed > told + 20:
                told = passed
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
        for one in (*running, beat):
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()
    states = Counter(OutgoingMessage.objects.values_list("state", flat=True))
    wanted = {one.message_id for one in OutgoingMessage.objects.all()}
    repeats = sum(moody.arrived.values()) - len(moody.arrived)
    took = time.monotonic() - started
    print(f"{count} messages, {kills} workers killed, the broker emptied {emptied} times, {took:.0f} s")
    print(f"put off {moody.refused} times, hung up on {moody.hung_up} times; states {dict(states)}")
    print(f"arrived {len(moody.arrived)} of {count}, lost {len(wanted - set(moody.arrived))}, strangers "
          f"{len(set(moody.arrived) - wanted)}, repeats under the same Message-ID {repeats}")  # fmt: skip
    return 0 if wanted == set(moody.arrived) else 1


def _worker() -> "subprocess.Popen[bytes]":
    return _started("worker", "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "ERROR")


def _started(*told: str) -> "subprocess.Popen[bytes]":
    with open(f"{HOME}/{told[0]}.log", "ab") as log:  # noqa: PTH123
        return subprocess.Popen([*CELERY, *told], stdout=log, stderr=log, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

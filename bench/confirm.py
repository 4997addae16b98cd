"""Benchmark of a confirmed guest cancellation, compared with the smallest Django form that writes a row.

Run with `make bench`. Both are measured in the same run, in turn, on the same database, through Django's whole
request handling without a network. Prints ratios, because seconds depend on the machine.
"""

import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("PORTAL_DATA_DIR", str(Path(__file__).resolve().parent.parent / ".data" / "bench"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")

from config.local import embedded

ROUNDS, REPEATS = 7, 40


def main() -> None:
    with embedded.servers():
        import django

        django.setup()
        measure()


def measure() -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client, override_settings

    call_command("migrate", verbosity=0)
    _policy()
    settings.ALLOWED_HOSTS = ["*"]
    client = Client()
    ratios = []
    with override_settings(ROOT_URLCONF="bench.smallest"):
        _smallest(client, 0)
    for turn in range(ROUNDS):
        drafts = [_draft(client, f"{time.time_ns()}") for _ in range(REPEATS)]
        ours = _seconds(partial(_confirm, client, drafts))
        with override_settings(ROOT_URLCONF="bench.smallest"):
            smallest = _seconds(partial(_smallest, client))
        ratios.append(ours / smallest)
        print(f"turn {turn + 1}: a confirmed cancellation costs {ratios[-1]:.1f} smallest forms")
    print(f"median of {ROUNDS}: {statistics.median(ratios):.1f}")


def _policy() -> None:
    from django.utils import timezone

    from cancellations.models import PolicyVersion
    from cancellations.services.policies import publish

    if not PolicyVersion.objects.exists():
        now = timezone.now()
        version = PolicyVersion.objects.create(number=1, text="x")
        publish(version=version, change_summary="First.", effective_from=now, now=now)


def _draft(client: object, name: str) -> str:
    fields = {"account_number": name, "username": name, "email": f"{name}@customer.example", "reason": "unused"}
    page = client.post("/cancel/", fields | {"step": "check"}).content.decode()  # type: ignore[attr-defined]
    match = re.search(r'name="draft" value="([^"]+)"', page)
    assert match, page
    return match[1]


def _confirm(client: object, drafts: list[str], number: int) -> object:
    return client.post("/cancel/", {"draft": drafts[number], "step": "confirm"})  # type: ignore[attr-defined]


def _smallest(client: object, number: int) -> object:
    return client.post("/", {"subject": f"row {number}"})  # type: ignore[attr-defined]


def _seconds(action: Callable[[int], object]) -> float:
    started = time.perf_counter()
    for number in range(REPEATS):
        action(number)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from cancellations.services.enforcement import enforce


class Command(BaseCommand):
    help = "Takes due requests into effect and expires unproven ones, as the workers do, and says what it did."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--now", metavar="ISO", help="as if it were this instant, like 2026-02-28T00:00:00+01:00")

    def handle(self, *args: Any, now: str | None, **options: Any) -> None:
        done = enforce(now=_instant(now))
        for one in done:
            self.stdout.write(f"{one.reference}  {one.what}  {one.detail}")
        self.stdout.write(f"{len(done)} request{'' if len(done) == 1 else 's'} acted on.")


def _instant(given: str | None) -> datetime:
    if given is None:
        return timezone.now()
    try:
        instant = datetime.fromisoformat(given)
    except ValueError:
        raise CommandError(f"--now {given!r} is no time. Write it like 2026-02-28T00:00:00+01:00.") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.get_current_timezone())

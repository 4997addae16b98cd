from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from cancellations.services.enforcement import enforcing


class Command(BaseCommand):
    help = "Takes due requests into effect and expires unproven ones, as the workers do. Prints what it did."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--now", metavar="ISO", help="act as at this time, such as 2026-02-28T00:00:00+01:00")

    def handle(self, *args: Any, now: str | None, **options: Any) -> None:
        count = 0
        for result in enforcing(now=_instant(now)):
            count += 1
            self.stdout.write(f"{result.reference}  {result.what}  {result.detail}")
        self.stdout.write(f"{count} request{'' if count == 1 else 's'} processed.")


def _instant(text: str | None) -> datetime:
    if text is None:
        return timezone.now()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--now {text!r} is not a time. Write it like 2026-02-28T00:00:00+01:00.") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.get_current_timezone())

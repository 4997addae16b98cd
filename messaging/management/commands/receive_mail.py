import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from messaging.models import Door
from messaging.services.inbox import hand_over


class Command(BaseCommand):
    help = (
        "Takes in a mail (RFC 5322) from a file, or from the standard input, as a mail server hands one over. "
        "It is kept first, and read by the workers. Exits with 75 if it could not be kept: try again (sysexits.h)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="a path, or - for the standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            raw = sys.stdin.buffer.read() if options["file"] == "-" else Path(options["file"]).read_bytes()
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from error
        if not raw.strip():
            raise CommandError("There is no mail in it.")
        try:
            kept = hand_over(raw=raw, door=Door.COMMAND, now=timezone.now())
        except Exception as error:
            raise CommandError(f"It could not be kept: {error}", returncode=75) from error
        self.stdout.write(f"Kept as {kept.pk}.")

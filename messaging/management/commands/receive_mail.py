import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from messaging.models import Door
from messaging.services.inbox import receive


class Command(BaseCommand):
    help = (
        "Stores a mail (RFC 5322) from a file or from standard input, where a mail server can pipe it. Workers read "
        "it afterwards. Exits with 75 if it could not be stored: try again later (EX_TEMPFAIL in sysexits.h)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="a path, or - for standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            raw = sys.stdin.buffer.read() if options["file"] == "-" else Path(options["file"]).read_bytes()
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from error
        if not raw.strip():
            raise CommandError("The input is empty. Pass a mail (RFC 5322).")
        try:
            message = receive(raw=raw, door=Door.COMMAND, now=timezone.now())
        except Exception as error:
            raise CommandError(f"The mail could not be stored: {error}", returncode=75) from error
        self.stdout.write(f"Stored as {message.pk}.")

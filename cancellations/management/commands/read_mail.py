from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from cancellations.services.conversations import open_tasks_for_failed_messages
from cancellations.services.mail import read_due
from messaging.models import Mailbox
from messaging.services.inbox import fetch_all


class Command(BaseCommand):
    help = "Fetches mail from INBOUND_MAILBOXES and reads all waiting mail, as the workers do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--now", type=datetime.fromisoformat, help="act as at this time, such as 2026-02-28T00:00:00+01:00"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = options["now"] or timezone.now()
        if timezone.is_naive(now):
            raise CommandError("Give --now with its offset, such as 2026-02-28T00:00:00+01:00.")
        stored, read = fetch_all(now=now), read_due(now=now)
        tasks = open_tasks_for_failed_messages(now=now)
        self.stdout.write(f"{stored} fetched, {read} read, {tasks} messages did not arrive.")
        for mailbox in Mailbox.objects.filter(failing_since__isnull=False):
            self.stderr.write(f"{mailbox} cannot be read: {mailbox.last_error}")

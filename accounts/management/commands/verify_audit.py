from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.audit import faults, head, one_moment, seal_audit
from accounts.models import AuditEntry


class Command(BaseCommand):
    help = "Checks the audit, the history and the rows, and says what was changed or removed behind the portal's back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", help="A head printed earlier, kept elsewhere: NUMBER:SEAL")

    def handle(self, *args: Any, **options: Any) -> None:
        kept = options["head"]
        if kept and not kept.partition(":")[0].isdecimal():
            raise CommandError("A head looks like 1234:9f86d081…, as this command prints it.")
        with one_moment():
            found = list(faults(expected=kept))
        for line in found:
            self.stdout.write(line)
        if found:
            raise CommandError(f"{len(found)} fault{'' if len(found) == 1 else 's'} in the audit.")
        seal_audit(now=timezone.now())
        count = AuditEntry.objects.filter(number__isnull=False).count()
        self.stdout.write(f"{count} audit entries, each sealed and in its place, and each row as its history says.")
        self.stdout.write(f"Head, to be kept elsewhere: {head() or 'none yet'}")

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.audit import SealingRefused, consistent_snapshot, faults, head, seal_audit
from accounts.models import AuditEntry


class Command(BaseCommand):
    help = "Verifies the audit log, the history and the rows, and lists what was changed outside the portal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", help="A head that this command printed earlier: NUMBER:SEAL")

    def handle(self, *args: Any, **options: Any) -> None:
        expected = options["head"]
        if expected and not expected.partition(":")[0].isdecimal():
            raise CommandError("A head looks like 1234:9f86d081…, as this command prints it.")
        with consistent_snapshot():
            sentences = list(faults(expected=expected))
        for sentence in sentences:
            self.stdout.write(sentence)
        if sentences:
            raise CommandError(f"{len(sentences)} fault{'' if len(sentences) == 1 else 's'} in the audit log.")
        try:
            seal_audit(now=timezone.now())
        except SealingRefused as error:
            raise CommandError(str(error)) from None
        count = AuditEntry.objects.filter(number__isnull=False).count()
        self.stdout.write(f"{count} audit entries, all sealed and in order, and all rows match their history.")
        self.stdout.write(f"Head, to keep elsewhere: {head() or 'none yet'}")

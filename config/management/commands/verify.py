from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.invariants import INVARIANTS, findings


class Command(BaseCommand):
    help = "Checks what has to hold in the database, by statements of its own; fails if something does not."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = list(findings(timezone.now()))
        for finding in broken:
            named = ", ".join(finding.rows) + (", …" if finding.count > len(finding.rows) else "")
            self.stdout.write(f"{finding.invariant.says}.\n  Broken by {finding.count}: {named}")
        if broken:
            raise CommandError(f"{len(broken)} of {len(INVARIANTS)} invariants do not hold.")
        self.stdout.write(f"All {len(INVARIANTS)} invariants hold.")

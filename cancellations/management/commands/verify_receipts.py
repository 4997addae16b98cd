from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cancellations.models import Receipt
from cancellations.services.receipts import broken_receipts


class Command(BaseCommand):
    help = "Checks the chain of all receipts, and says which were changed or are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = list(broken_receipts())
        for line in broken:
            self.stdout.write(line)
        if broken:
            raise CommandError(f"{len(broken)} fault{'' if len(broken) == 1 else 's'} in the chain of receipts.")
        self.stdout.write(f"{Receipt.objects.count()} receipts, each sealed and in its place.")

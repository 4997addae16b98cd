from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cancellations.models import Receipt
from cancellations.services.receipts import broken_receipts


class Command(BaseCommand):
    help = "Checks the chain of all receipts, and lists those that were changed or are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        faults = list(broken_receipts())
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            raise CommandError(f"{len(faults)} fault{'' if len(faults) == 1 else 's'} in the chain of receipts.")
        self.stdout.write(f"{Receipt.objects.count()} receipts, each sealed and in its place.")

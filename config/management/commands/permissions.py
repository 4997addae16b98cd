from typing import Any

from django.core.management.base import BaseCommand

from config.tools.permissions import PAGE, as_markdown


class Command(BaseCommand):
    help = "Writes docs/permissions.md, the permissions of each role, from accounts/roles.py."

    def handle(self, *args: Any, **options: Any) -> None:
        PAGE.write_text(as_markdown())
        self.stdout.write(f"Wrote {PAGE}.")

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from cancellations.models import PolicyVersion
from config.local import demo


class Command(BaseCommand):
    help = "Loads demo data into an empty portal of a local run, through the import and the services."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.LOCAL_RUN:
            raise CommandError("Demo data has well-known passwords: load it in a local run only (PORTAL_LOCAL_RUN=1).")
        if Account.objects.exists() or PolicyVersion.objects.exists():
            self.stdout.write("There are accounts or policy versions already; no demo data was loaded.")
            return
        now = timezone.now()
        folder = settings.DATA_DIR / "demo-export"
        demo.write_export(folder, now.date())
        with transaction.atomic():
            call_command("import_crm", folder, verbosity=0)
            demo.load_policies(now)
            demo.load_replies()
            demo.load_requests(demo.load_staff(), now)
        self.stdout.write("Demo data loaded.")

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from billing.crm_import.files import FileRefused
from billing.crm_import.load import check_export, import_export


class Command(BaseCommand):
    help = "Imports a CRM export (accounts.csv, subscriptions.csv, payments.csv). Can be run again with newer files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("--rejects", type=Path, help="File for rejected rows (default: in the data directory)")

    def handle(self, *args: Any, folder: Path, rejects: Path | None, **options: Any) -> None:
        target = rejects or settings.DATA_DIR / f"import-rejects-{timezone.now():%Y%m%d-%H%M%S}.csv"
        is_quiet = options["verbosity"] == 0
        try:
            lines = check_export(folder)
        except FileRefused as error:
            raise CommandError(f"Nothing was imported. {error}") from None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle:
                with tqdm(total=lines, unit=" rows", disable=is_quiet) as bar:
                    reports = import_export(folder, handle, lambda lines: bar.update(lines))
        except FileRefused as error:  # the file was changed since it was checked
            raise CommandError(f"Only a part was imported. Run the import again. {error}") from None
        except OSError as error:
            raise CommandError(f"The rejects file {target} cannot be written: {error}.") from None
        self._report(reports, target, is_quiet)

    def _report(self, reports: list[Any], target: Path, is_quiet: bool) -> None:
        rejected = sum(report.counts["rejected"] for report in reports)
        if not is_quiet:
            outcomes = ("created", "updated", "unchanged", "rejected")
            self.stdout.write(f"{'':20}" + "".join(f"{name:>11}" for name in outcomes))
            for report in reports:
                self.stdout.write(f"{report.name:20}" + "".join(f"{report.counts[name]:>11,}" for name in outcomes))
        if rejected:
            self.stdout.write(f"Rejected rows, each with its line and the reason: {target}")
        else:
            target.unlink()

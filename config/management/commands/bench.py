import sys
from pathlib import Path
from runpy import run_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

BENCH = Path(__file__).resolve().parents[3] / "bench"


class Command(BaseCommand):
    help = "Runs a benchmark of a checkout: on servers of its own, with data of its own."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", default="confirm", help="the benchmark; without one, confirm")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        names = sorted(path.stem for path in BENCH.glob("[a-z]*.py"))
        if not names:
            raise CommandError("The benchmarks belong to a checkout of the project, and there is none here.")
        if name not in names:
            raise CommandError(f"There is no benchmark {name!r}. Choose one of {', '.join(names)}.")
        sys.argv = [name]
        run_module(f"bench.{name}", run_name="__main__")

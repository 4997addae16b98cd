from typing import Any

from django.core.management.base import BaseCommand

from config.tools.catalogues import missing, translated_languages, update


class Command(BaseCommand):
    help = "Brings the catalogues of translations up to date with code and templates, and says what they lack."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        for language in translated_languages():
            lacking = missing(update(language))
            self.stdout.write(f"{language}: {len(lacking)} to translate")
            for text in lacking:
                self.stdout.write(f"  {text}")

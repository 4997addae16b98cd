from typing import Any

from django.core.management.base import BaseCommand

from config.tools.catalogues import missing, translated_languages, update


class Command(BaseCommand):
    help = "Updates the translation catalogues from code and templates, and lists the texts to translate."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        for language in translated_languages():
            untranslated = missing(update(language))
            self.stdout.write(f"{language}: {len(untranslated)} to translate")
            for text in untranslated:
                self.stdout.write(f"  {text}")

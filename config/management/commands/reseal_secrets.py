from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.deployment.keys import earlier_keys, reseal_all
from messaging.sealing import CURRENT, RESEALED, UNREADABLE


class Command(BaseCommand):
    help = "Encrypts the stored secrets with SECRET_KEY, so that earlier keys can be removed. Can be run again."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        outcomes = reseal_all(now=now)
        for name, counts in outcomes.items():
            self.stdout.write(f"{name}: " + ", ".join(f"{counts[o]} {o}" for o in (RESEALED, CURRENT, UNREADABLE)))
        for key in earlier_keys(now=now):
            needed = f"is still needed for {'; '.join(key.needed_for)}" if key.needed_for else "is no longer needed"
            self.stdout.write(f"The key {key.name} of {key.setting} {needed}.")
        if unreadable := sum(counts[UNREADABLE] for counts in outcomes.values()):
            raise CommandError(
                f"{unreadable} cannot be decrypted with any key. Put the key that encrypted them into "
                "SECRET_KEY_FALLBACKS and run this again."
            )

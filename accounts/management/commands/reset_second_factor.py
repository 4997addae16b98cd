from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import User
from accounts.services.people import reset_factors


class Command(BaseCommand):
    help = "Removes the second factors of a member of staff, who sets up a new one at the next sign-in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        person = User.objects.filter(email=email, is_staff=True).first()
        if person is None:
            raise CommandError(f"No member of staff has the address {email}.")
        reset_factors(of=person, by=None, now=timezone.now())
        self.stdout.write(f"{person} sets up a second factor at the next sign-in.")

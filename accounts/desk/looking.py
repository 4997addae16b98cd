"""Who else has a page open: shown, so that two people do not decide one case."""

from datetime import datetime, timedelta

from accounts.models import Looking, User

FRESH = timedelta(seconds=45)  # three times the script's pause


def look(*, page: str, person: User, now: datetime) -> list[str]:
    """Notes that the person has the page open, and names the others who have."""
    Looking.objects.update_or_create(page=page, person=person, defaults={"at": now})
    return others_at(page=page, person=person, now=now)


def others_at(*, page: str, person: User, now: datetime) -> list[str]:
    found = Looking.objects.filter(page=page, at__gt=now - FRESH).exclude(person=person).select_related("person")
    return sorted(str(one.person) for one in found)


def leave(*, page: str, person: User) -> None:
    Looking.objects.filter(page=page, person=person).delete()


def forget_old(*, now: datetime) -> int:
    """Rows that say nothing any more."""
    return Looking.objects.filter(at__lt=now - timedelta(days=1)).delete()[0]

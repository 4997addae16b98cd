"""Presence: who else has the page of a row open, so that two people do not decide the same case."""

from datetime import datetime, timedelta

from accounts.models import Presence, User

FRESH = timedelta(seconds=45)  # three times the interval of the page's script


def record_presence(*, page: str, person: User, now: datetime) -> list[str]:
    """Records that the person has the page open, and returns the names of the others who do."""
    Presence.objects.update_or_create(page=page, person=person, defaults={"at": now})
    return others_viewing(page=page, person=person, now=now)


def others_viewing(*, page: str, person: User, now: datetime) -> list[str]:
    """The names of the other people who have the page open, sorted."""
    rows = Presence.objects.filter(page=page, at__gt=now - FRESH).exclude(person=person).select_related("person")
    return sorted(str(row.person) for row in rows)


def end_presence(*, page: str, person: User) -> None:
    Presence.objects.filter(page=page, person=person).delete()


def delete_old_presences(*, now: datetime) -> int:
    """Deletes rows older than a day; returns how many."""
    return Presence.objects.filter(at__lt=now - timedelta(days=1)).delete()[0]

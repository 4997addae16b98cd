"""Published policy versions, and the one in force."""

from datetime import datetime

from django.db.models import QuerySet

from cancellations.models import (
    PolicyVersion,
)
from cancellations.models.states import PolicyState


class NoPolicyInForce(Exception):
    """No policy version is in force, so no end date can be calculated."""

    def __init__(self) -> None:
        super().__init__("No policy version is in force. A manager publishes one in the staff interface.")


def published_versions() -> QuerySet[PolicyVersion]:
    """Returns all published versions that were not recalled, newest first."""
    return PolicyVersion.objects.filter(state=PolicyState.PUBLISHED).order_by("-number")


def public_versions() -> QuerySet[PolicyVersion]:
    """Returns what the public history shows: published versions, and those that were recalled before their day."""
    states = (PolicyState.PUBLISHED, PolicyState.RECALLED)
    return PolicyVersion.objects.filter(state__in=states).order_by("-number")


def announced_versions(now: datetime) -> QuerySet[PolicyVersion]:
    """Returns the published versions that come into force later, the next one first."""
    return published_versions().filter(effective_from__gt=now).order_by("effective_from", "number")


def policy_in_force(at: datetime) -> PolicyVersion:
    """Returns the version whose start is the latest that has come. Raises NoPolicyInForce.

    A version announced for January comes into force in January, also if another was published for now in between. Of
    two that start at the same instant, the one published later counts.
    """
    effective = published_versions().filter(effective_from__lte=at)
    version = effective.order_by("-effective_from", "-published_at", "-number").first()
    if version is None:
        raise NoPolicyInForce
    return version

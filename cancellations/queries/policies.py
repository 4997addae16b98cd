"""Policy versions: published, and in force at a moment."""

from datetime import datetime

from django.db.models import QuerySet

from cancellations.models import (
    PolicyVersion,
)
from cancellations.models.states import PolicyState


class NoPolicyInForce(Exception):
    """No policy version is published and in force, so nothing can be promised to anybody."""

    def __init__(self) -> None:
        super().__init__("No policy version is in force. A manager publishes one in the staff interface.")


def published_versions() -> QuerySet[PolicyVersion]:
    """All published versions, the newest first."""
    return PolicyVersion.objects.filter(state=PolicyState.PUBLISHED).order_by("-number")


def policy_in_force(at: datetime) -> PolicyVersion:
    """The newest published version whose time has come. Raises NoPolicyInForce."""
    come = published_versions().filter(effective_from__lte=at)
    version = come.order_by("-published_at", "-number").first()
    if version is None:
        raise NoPolicyInForce
    return version

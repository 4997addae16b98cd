"""Trying again what the workers set aside (messaging/due.py)."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts.audit import record_action
from accounts.models import User
from accounts.permissions import permitted
from messaging.due import Work
from messaging.models import SetAside
from messaging.waking import wake

PERMISSION = "messaging.try_again"


@permitted(PERMISSION)
@transaction.atomic
def try_set_aside_again(*, rows: Sequence[SetAside], by: User, now: datetime) -> int:
    """Makes the rows due again, and returns how many. One that fails again is set aside again."""
    locked = list(SetAside.objects.select_for_update().filter(pk__in=[row.pk for row in rows]).order_by("pk"))
    for row in locked:
        record_action(verb="try_again", by=by, now=now, about=str(row), why=row.error)
        row.delete()
    for name in {row.work for row in locked} & Work.registry.keys():
        wake(Work.registry[name].task)
    return len(locked)

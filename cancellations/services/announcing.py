"""Announcing a published policy version to account holders (policy 4.1): in batches, resumable, each address once."""

import logging
from datetime import datetime

from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Upper

from accounts.models import Account, AccountStatus, User
from accounts.permissions import permitted
from cancellations.letters.policies import policy_letters, send_policy_letter
from cancellations.models import Announcement, PolicyVersion, Termination
from cancellations.models.states import PolicyState, TerminationState
from cancellations.services.common import RequestRefused, refusing
from messaging.due import UNLIMITED, Run, Work
from messaging.waking import wake

log = logging.getLogger(__name__)
BATCH = 100


@permitted("cancellations.publish_policyversion")
@transaction.atomic
def announce(*, version: PolicyVersion, by: User | None, now: datetime) -> Announcement:
    """Starts to announce a version to account holders, once per address. Workers send it. Raises RequestRefused."""
    if version.state != PolicyState.PUBLISHED:
        raise RequestRefused("A draft cannot be announced. Publish it first.")
    with refusing("cancellations_announcement_policy_version_id_key", "This version is already announced."):
        announcement = Announcement.objects.create(
            policy_version=version, started_at=now, started_by=by, total=_recipients(version).count()
        )
    wake("cancellations.announce")
    return announcement


def stop_announcement(*, version: PolicyVersion, now: datetime) -> None:
    """Stops a running announcement. Who was told by then is counted in it."""
    rows = Announcement.objects.select_for_update().filter(policy_version=version, finished_at__isnull=True)
    rows.filter(pk__in=list(rows.values_list("pk", flat=True))).update(finished_at=now)


def announce_due(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Queues the messages of started announcements, batch by batch, and returns how many.

    A batch and the record of how far it reached are one transaction.
    """
    return sum(ANNOUNCEMENTS.results(Run(now, seconds=seconds)))


def _unfinished(now: datetime) -> QuerySet[Announcement]:
    return Announcement.objects.filter(finished_at__isnull=True).order_by("started_at")


def _announce_next(keys: list[int], now: datetime) -> list[int]:
    announcement = Announcement.objects.select_related("policy_version").get(pk=keys[0])
    batch = list(_recipients(announcement.policy_version).filter(pk__gt=announcement.reached).order_by("pk")[:BATCH])
    announcement.told += sum(_send(announcement.policy_version, account, now) for account in batch)
    if batch:
        announcement.reached = batch[-1].pk
    if len(batch) < BATCH:
        announcement.finished_at = now
    announcement.save()
    return [len(batch)]


ANNOUNCEMENTS = Work(
    name="policies.announce",
    task="cancellations.announce",
    label="announce a policy version",
    due=_unfinished,
    process=_announce_next,
    batch=1,
)


def _send(version: PolicyVersion, account: Account, now: datetime) -> bool:
    try:
        with transaction.atomic():
            send_policy_letter(version, account, now=now)
    except OperationalError:
        raise  # a database failure, not a fault of the account: the batch stays due
    except Exception:  # one account must not hold up those behind it
        log.exception("Could not announce policy %s to account %s", version, account.account_number)
        return False
    return True


def _recipients(version: PolicyVersion) -> QuerySet[Account]:
    """Returns active accounts that were not terminated, one per e-mail address that has no letter yet."""
    terminated = Termination.objects.filter(account=OuterRef("pk"), state=TerminationState.EFFECTIVE)
    active = Account.objects.filter(status=AccountStatus.ACTIVE, erased_at__isnull=True).exclude(Exists(terminated))
    same_address = active.annotate(address=Upper("email")).filter(
        address=Upper(OuterRef("email")), pk__lt=OuterRef("pk")
    )
    return active.exclude(Exists(same_address)).exclude(Exists(policy_letters(version, Upper(OuterRef("email")))))

"""Telling account holders of a published policy version (policy 4.1): in batches, resumable, nobody twice."""

import logging
from datetime import datetime

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Upper

from accounts.models import Account, AccountStatus, User
from accounts.permissions import permitted
from cancellations.letters.policies import send_policy_letter
from cancellations.models import Announcement, PolicyVersion
from cancellations.models.states import PolicyState
from cancellations.services.common import RequestRefused
from messaging.waking import wake

log = logging.getLogger(__name__)
BATCH = 100


@permitted("cancellations.publish_policyversion")
@transaction.atomic
def announce(*, version: PolicyVersion, by: User | None, now: datetime) -> Announcement:
    """Starts telling each account holder, once an address; the workers do it. Raises RequestRefused."""
    if version.state != PolicyState.PUBLISHED:
        raise RequestRefused("A draft is not announced. Publish it first.")
    try:
        with transaction.atomic():
            started = Announcement.objects.create(
                policy_version=version, started_at=now, started_by=by, total=_holders().count()
            )
    except IntegrityError as error:
        raise RequestRefused("This version was announced already.") from error
    wake("cancellations.announce")
    return started


def announce_due(*, now: datetime) -> int:
    """Works through what is announced, batch by batch, and returns how many messages were written.

    A batch is one transaction: its messages and the mark up to which they reach. Another worker at the same
    moment finds the row locked and leaves it.
    """
    written = 0
    while (count := _next_batch(now)) is not None:
        written += count
    return written


def _next_batch(now: datetime) -> int | None:
    with transaction.atomic():
        rows = Announcement.objects.select_related("policy_version").select_for_update(skip_locked=True, of=("self",))
        announcement = rows.filter(finished_at__isnull=True).order_by("started_at").first()
        if announcement is None:
            return None
        batch = list(_holders().filter(pk__gt=announcement.reached).order_by("pk")[:BATCH])
        announcement.told += sum(_tell(announcement.policy_version, account, now) for account in batch)
        if batch:
            announcement.reached = batch[-1].pk
        if len(batch) < BATCH:
            announcement.finished_at = now
        announcement.save()
        return len(batch)


def _tell(version: PolicyVersion, account: Account, now: datetime) -> bool:
    try:
        with transaction.atomic():
            send_policy_letter(version, account, now=now)
    except OperationalError:
        raise  # the database's trouble, not the account's: the batch is due again
    except Exception:  # one account must not hold up those behind it
        log.exception("Account %s could not be told of policy %s", account.account_number, version)
        return False
    return True


def _holders() -> QuerySet[Account]:
    """Active accounts; of several under one address, the first speaks for all."""
    active = Account.objects.filter(status=AccountStatus.ACTIVE, erased_at__isnull=True)
    same_address = active.annotate(address=Upper("email")).filter(
        address=Upper(OuterRef("email")), pk__lt=OuterRef("pk")
    )
    return active.exclude(Exists(same_address))

"""Reminding customers of a renewal where the law asks for it: each day in batches, resumable, once for a renewal."""

import logging
from datetime import date, datetime

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet

from accounts.models import AccountStatus
from billing.models import Subscription
from billing.models.subscriptions import IntervalUnit
from billing.rules.periods import billing_date, local_date
from cancellations.letters.renewals import send_renewal_reminder
from cancellations.models import PolicyVersion, RenewalReminder, RenewalRun
from cancellations.models.states import OPEN
from cancellations.queries.outcomes import is_consumer, outcome
from cancellations.queries.policies import NoPolicyInForce, policy_in_force
from cancellations.rules.reminders import RULES, reminder_rule
from messaging.due import UNLIMITED, Run, Work

log = logging.getLogger(__name__)
BATCH = 200


def remind_of_renewals(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Queues the reminders that are due today, and returns how many.

    Does nothing if the company sends its own (`RENEWAL_REMINDERS`), or while no policy is in force.
    """
    if not settings.RENEWAL_REMINDERS:
        return 0
    try:
        policy_in_force(now)
    except NoPolicyInForce:
        return 0
    RenewalRun.objects.get_or_create(day=local_date(now, settings.COMPANY_TIME_ZONE))
    return sum(RENEWALS.results(Run(now, seconds=seconds)))


def _unfinished(now: datetime) -> QuerySet[RenewalRun]:
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    return RenewalRun.objects.filter(finished_at__isnull=True, day=today).order_by("day")


def _remind_next(keys: list[int], now: datetime) -> list[int]:
    run = RenewalRun.objects.get(pk=keys[0])
    batch = list(_candidates().filter(pk__gt=run.reached).order_by("pk")[:BATCH])
    policy = policy_in_force(now)
    sent = sum(_remind(subscription, policy, run.day, now) for subscription in batch)
    run.sent += sent
    if batch:
        run.reached = batch[-1].pk
    if len(batch) < BATCH:
        run.finished_at = now
    run.save()
    return [sent]


RENEWALS = Work(
    name="renewals.remind",
    task="cancellations.renewals",
    label="remind customers of renewals",
    due=_unfinished,
    process=_remind_next,
    batch=1,
)


def _candidates() -> QuerySet[Subscription]:
    """Returns running subscriptions of places whose law asks for reminders, without those that are cancelled."""
    countries = {rule.country for rule in RULES}
    active = Q(account__status=AccountStatus.ACTIVE, account__erased_at__isnull=True, account__country__in=countries)
    running = Subscription.objects.filter(active, ended_on__isnull=True).exclude(interval_unit=IntervalUnit.DAY)
    return running.exclude(requests__state__in=OPEN).select_related("account")


def _remind(subscription: Subscription, policy: PolicyVersion, today: date, now: datetime) -> bool:
    rule = reminder_rule(subscription.account.country, subscription.account.region)
    if rule is None or not is_consumer(subscription.account):
        return False
    try:
        with transaction.atomic():
            renewal = _next_renewal(subscription, policy, now)
            if renewal is None:
                return False
            renews_on, last_day, period_days = renewal
            if not rule.is_due(today=today, last_day=last_day, renews_on=renews_on, period_days=period_days):
                return False
            _, is_new = RenewalReminder.objects.get_or_create(
                subscription=subscription,
                renews_on=renews_on,
                defaults={
                    "last_day_on": last_day,
                    "reminded_on": today,
                    "source": rule.statement.source.title if rule.statement.source else "",
                },
            )
            if is_new:
                send_renewal_reminder(subscription, renews_on=renews_on, last_day_on=last_day, now=now)
            return is_new
    except OperationalError:
        raise  # a database failure, not a fault of the subscription: the batch stays due
    except Exception:  # one subscription must not hold up those behind it
        log.exception("Could not remind of the renewal of subscription %s", subscription.reference)
        return False


def _next_renewal(subscription: Subscription, policy: PolicyVersion, now: datetime) -> tuple[date, date, int] | None:
    """Returns the renewal that can still be refused, the last day for that, and the days of the period that follows."""
    assessment = outcome(subscription, received_at=now, policy=policy).assessment
    renews_on, last_day = assessment.deadline_for, assessment.deadline_on
    if last_day < local_date(now, subscription.account.time_zone):
        return None
    follows_until = billing_date(renews_on, subscription.interval, 1)
    return renews_on, last_day, (follows_until - renews_on).days

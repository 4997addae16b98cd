"""What the customer is shown is what is decided: for each subscription of the sample export and each day of a year.

The end follows from what is frozen with a request. So each day's requests are frozen and read back from the
database, and each end that occurs in the year is gone through once, from the form to the worker. The suite takes
every third day and the days around the end of each month; with EVERY_DAY=1 in the environment, as in CI, every day.
"""

import os
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.core.management import call_command
from django.db import transaction

from accounts.models import Account
from billing.models import Subscription
from billing.rules.periods import local_date
from cancellations.models import CancellationRequest, PolicyVersion
from cancellations.queries.outcomes import difference_since, outcome
from cancellations.queries.policies import policy_in_force
from cancellations.queries.requests import has_ended
from cancellations.services.common import match
from cancellations.services.enforcement import enforce
from cancellations.services.policies import publish
from cancellations.wording.explanation import sentences
from config.local import demo
from tests import cast

pytestmark = pytest.mark.django_db

FIRST = date(2026, 2, 12)
EVERY_DAY = os.environ.get("EVERY_DAY") == "1"


def is_taken(day):
    return EVERY_DAY or day % 3 == 0 or (FIRST + timedelta(days=day + 1)).day <= 2


DAYS = [day for day in range(365) if is_taken(day)]
QUARTERS = [[day for day in DAYS if day // 92 == quarter] for quarter in range(4)]
MOMENTS = [time(0, 0), time(9, 15), time(14, 29, 59), time(22, 30), time(23, 59, 59)]  # in UTC: other days elsewhere


class Undo(Exception):
    """Ends a part of the test, so that the next one begins where this one did."""


@pytest.fixture
def subscriptions(tmp_path):
    """Those of the sample export, some under a law of ends; half a year later, another policy comes into force."""
    demo.write_export(tmp_path, FIRST)
    call_command("import_crm", tmp_path, verbosity=0)
    for username, country in {"k.yamada": "DE", "alnoor": "IT", "leapling": "NL", "quarterly": "FR"}.items():
        Account.objects.filter(username=username).update(country=country, customer_type="consumer")
    of_minimum_term, reminded = (Subscription.objects.filter(account__username=n) for n in ("tendays", "quarterly"))
    of_minimum_term.update(minimum_term_ends_on=FIRST + timedelta(days=95))
    reminded.update(reminded_on=FIRST + timedelta(days=100))
    cast.policy()
    other = PolicyVersion.objects.create(number=2, text="x", notice_days=30, review_mode="exceptions")
    halfway = datetime.combine(FIRST + timedelta(days=180), time(0), tzinfo=UTC)
    publish(version=other, change_summary="x", effective_from=halfway, now=halfway)
    return list(Subscription.objects.select_related("account").order_by("pk"))


def moment(day):
    return datetime.combine(FIRST + timedelta(days=day), MOMENTS[day % len(MOMENTS)], tzinfo=UTC)


def shown(subscriptions, now):
    """By subscription, what the page shows before anything is declared."""
    policy = policy_in_force(now)
    return {
        one.pk: outcome(one, received_at=now, policy=policy)
        for one in subscriptions
        if not has_ended(one, on=local_date(now, one.account.time_zone))
    }


def frozen(of, now):
    request = CancellationRequest(
        state="in_review",
        state_changed_at=now,
        channel="signed_in",
        received_at=now,
        verified_at=now,
        email_given=of.account.email,
        policy_version=policy_in_force(now),
    )
    match(request, of)
    return request


def as_shown(row, found):
    assert (row.effective_on, row.effective_at) == (found.effective_on, found.effective_at)
    assert sentences(row.explanation) == list(found.assessment.explanation)
    assert row.refund_quoted == found.refund
    assert difference_since(row) is None  # what staff see


@pytest.mark.parametrize("days", QUARTERS, ids=["spring", "summer", "autumn", "winter"])
def test_for_each_day_of_a_year_the_shown_date_is_frozen_and_due(subscriptions, days):
    checked = 0
    for day in days:
        now = moment(day)
        expected = shown(subscriptions, now)
        try:
            with transaction.atomic():
                CancellationRequest.objects.bulk_create([frozen(one, now) for one in subscriptions])
                rows = CancellationRequest.objects.select_related("subscription__account", "policy_version")
                assert {row.subscription_id: row.due_at for row in rows} == {
                    key: found.effective_at for key, found in expected.items()
                }
                for row in rows:
                    as_shown(row, expected[row.subscription_id])
                    checked += 1
                raise Undo
        except Undo:
            continue
    assert checked == len(days) * len(subscriptions)


@pytest.mark.parametrize("part", range(4))
def test_each_end_of_the_year_is_enforced_on_the_shown_date(subscriptions, part):
    ends = defaultdict(dict)  # by subscription and by what is shown: the last day of the year on which that is so
    for day in DAYS:
        for key, found in shown(subscriptions[part::4], moment(day)).items():
            # By law, the end moves with each day; one of each month is gone through.
            end = (found.effective_on.replace(day=1),) if found.end.is_by_law else (found.effective_on, found.refund)
            ends[key][*end, found.policy_version, found.assessment.on_time] = moment(day)
    assert len(ends) == len(subscriptions[part::4])
    enforced = 0
    while any(ends.values()):
        turn = {one: ends[one.pk].popitem()[1] for one in subscriptions if ends.get(one.pk)}
        try:
            with transaction.atomic():
                expected = {one.pk: shown([one], now)[one.pk] for one, now in turn.items()}
                for one, now in turn.items():  # each on a day of its own
                    as_shown(cast.fresh(cast.in_review(one, at=now)), expected[one.pk])
                enforce(now=max(turn.values()) + timedelta(days=800))
                ended = Subscription.objects.exclude(ended_on=None).values_list("pk", "ended_on")
                assert dict(ended) == {key: found.effective_on for key, found in expected.items()}
                enforced += len(turn)
                raise Undo
        except Undo:
            continue
    assert enforced > 100

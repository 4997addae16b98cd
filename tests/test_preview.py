"""What the customer is shown is what is decided: for each subscription of the sample export and each day of a year."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.core.management import call_command
from django.db import transaction

from billing.models import Subscription
from billing.rules.periods import local_date
from cancellations.models import CancellationRequest, PolicyVersion
from cancellations.queries.outcomes import difference_since, outcome
from cancellations.queries.policies import policy_in_force
from cancellations.queries.requests import has_ended
from cancellations.services.enforcement import enforce
from cancellations.services.policies import publish
from cancellations.wording.explanation import sentences
from config.local import demo
from tests import cast

pytestmark = pytest.mark.django_db


class Undo(Exception):
    """Ends a day of the test, so that the next one begins where this one did."""


FIRST = date(2026, 2, 12)
MOMENTS = [time(0, 0), time(9, 15), time(14, 29, 59), time(22, 30), time(23, 59, 59)]  # in UTC: other days elsewhere


def test_for_each_day_of_a_year_the_shown_date_is_the_enforced_one(tmp_path):
    demo.write_export(tmp_path, FIRST)
    call_command("import_crm", tmp_path, verbosity=0)
    cast.policy()
    other = PolicyVersion.objects.create(number=2, text="x", notice_days=30, review_mode="exceptions")
    halfway = datetime.combine(FIRST + timedelta(days=180), time(0), tzinfo=UTC)
    publish(version=other, change_summary="x", effective_from=halfway, now=halfway)
    subscriptions = list(Subscription.objects.select_related("account"))
    checked = 0
    for day in range(365):
        now = datetime.combine(FIRST + timedelta(days=day), MOMENTS[day % len(MOMENTS)], tzinfo=UTC)
        policy = policy_in_force(now)
        shown = {
            one.pk: outcome(one, received_at=now, policy=policy)
            for one in subscriptions
            if not has_ended(one, on=local_date(now, one.account.time_zone))
        }
        checked += len(shown)
        try:
            with transaction.atomic():
                for one in subscriptions:
                    cast.in_review(one, at=now)
                for key, found in shown.items():
                    row = CancellationRequest.objects.get(subscription=key)
                    assert (row.effective_on, row.effective_at) == (found.effective_on, found.effective_at)
                    assert sentences(row.explanation) == list(found.assessment.explanation)
                    assert row.refund_quoted == found.refund
                    assert difference_since(row) is None  # what staff see
                enforce(now=now + timedelta(days=800))
                ended = dict(Subscription.objects.values_list("pk", "ended_on"))
                assert ended == {key: found.effective_on for key, found in shown.items()}
                raise Undo
        except Undo:
            continue
    assert checked == 365 * len(subscriptions)

"""What the customer is shown is what is decided: over weeks, for each subscription of the sample export."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import transaction

from billing.models import Subscription
from cancellations.models import CancellationRequest
from cancellations.queries import has_ended, outcome, policy_in_force
from cancellations.services.enforcement import enforce
from config import demo
from tests import cast

pytestmark = pytest.mark.django_db


class Undo(Exception):
    """Ends a day of the test, so that the next one begins where this one did."""


def test_for_five_weeks_of_days_the_shown_date_is_the_enforced_one(tmp_path):
    demo.write_export(tmp_path, date(2026, 2, 12))
    call_command("import_crm", tmp_path, verbosity=0)
    cast.policy()
    subscriptions = list(Subscription.objects.select_related("account"))
    for day in range(35):
        now = datetime(2026, 2, 12, 22, 30, tzinfo=UTC) + timedelta(days=day)
        policy = policy_in_force(now)
        shown = {
            one.pk: outcome(one, received_at=now, policy=policy)
            for one in subscriptions
            if not has_ended(one, on=now.date())
        }
        try:
            with transaction.atomic():
                for one in subscriptions:
                    cast.in_review(one, at=now)
                for key, found in shown.items():
                    row = CancellationRequest.objects.get(subscription=key)
                    assert (row.effective_on, row.effective_at) == (found.effective_on, found.effective_at)
                    assert row.explanation == list(found.assessment.explanation)
                enforce(now=now + timedelta(days=800))
                ended = dict(Subscription.objects.values_list("pk", "ended_on"))
                assert ended == {key: found.effective_on for key, found in shown.items()}
                raise Undo
        except Undo:
            continue

"""On each last day that a page, a calendar file or a mail names, cancelling works; one day later it does not."""

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import product

import pytest
import time_machine
from babel.dates import format_date
from django.test import Client
from icalendar import Calendar

from cancellations.queries.outcomes import outcome
from messaging.models import OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 26)
LAST_DAY = re.compile(r"the last day to cancel for ([\w ]+) is ([\w ]+)\.")

CONTRACTS = {
    "monthly": {"started_on": date(2025, 1, 31)},
    "yearly": {"started_on": date(2024, 12, 20), "interval_unit": "year"},
    "trial": {
        "started_on": date(2026, 11, 20),
        "billing_anchor": date(2026, 12, 4),
        "trial_ends_on": date(2026, 12, 4),
    },
    "term": {"started_on": date(2026, 10, 31), "minimum_term_ends_on": date(2027, 4, 30)},
}


def noon(day):
    return datetime.combine(day, time(11), tzinfo=UTC)


def written(day):
    return format_date(day, "long", "en_GB")


@pytest.mark.parametrize(
    ("contract", "notice", "trial_notice", "country"),
    [
        *product(["monthly", "yearly", "term"], [0, 1, 10, 45], [0], ["AT", "DE", "FR", "IT"]),
        *product(["trial"], [0, 10], [0, 1, 5], ["AT", "DE", "FR"]),
    ],
)
def test_cancelling_works_on_the_last_day_and_not_one_day_later(contract, notice, trial_notice, country):
    policy = cast.policy(notice_days=notice, trial_notice_days=trial_notice)
    fields = CONTRACTS[contract]
    holder = cast.account(country=country, customer_type="consumer")
    of = cast.subscription(holder, **{"billing_anchor": fields["started_on"]} | fields)
    shown = outcome(of, received_at=noon(TODAY), policy=policy)
    assessment = shown.assessment
    last, day = assessment.deadline_on, assessment.deadline_for
    client = Client()
    client.force_login(cast.customer(holder))
    with time_machine.travel(noon(TODAY), tick=False):
        page = client.get("/subscriptions/").content.decode()
        file = client.get("/subscriptions/cancel-by.ics", {"subscription": of.reference})
    if shown.at_once:
        assert "any day: it ends at once" in page
        assert file.status_code == 404
        return
    assert written(last) in page
    if last >= TODAY:
        (event,) = Calendar.from_ical(file.content).walk("VEVENT")
        assert event.decoded("dtstart") == last
        assert written(day) in event["summary"]
        assert outcome(of, received_at=noon(last), policy=policy).effective_on <= day
    else:
        assert file.status_code == 404
    later = last + timedelta(days=1)
    after = outcome(of, received_at=noon(later), policy=policy)
    assert after.effective_on > day or after.effective_on == later  # at once, by the law of the renewed contract
    cast.in_review(of, noon(TODAY))
    named = LAST_DAY.findall(OutgoingMessage.objects.get(kind="received").text.replace("\n", " "))
    assert named in ([], [(written(day), written(last))])

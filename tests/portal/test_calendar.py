"""Dates for the calendar: the last day to cancel, and the end."""

from datetime import date, timedelta

import pytest
import time_machine
from django.test import Client
from icalendar import Calendar

from cancellations.services.submission import withdraw
from tests import cast
from tests.cast import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def moment():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def of(db):
    cast.policy()
    return cast.subscription(plan_name="Team; \u00dcber, all", reference="SUB/1 2")


def signed_in(holder):
    client = Client()
    client.force_login(cast.customer(holder))
    return client


def event(answer):
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment")
    (found,) = Calendar.from_ical(answer.content).walk("VEVENT")
    return found


def test_the_last_day_to_cancel_is_a_whole_day_with_a_reminder(of):
    client = signed_in(of.account)
    link = client.get("/subscriptions/").content.decode().split("/subscriptions/cancel-by.ics")[1].split('"')[0]
    found = event(client.get("/subscriptions/cancel-by.ics" + link))
    assert (found.decoded("dtstart"), found.decoded("dtend")) == (date(2026, 2, 18), date(2026, 2, 19))
    assert "Team; \u00dcber, all for 28 February 2026" in found["summary"]
    (alarm,) = found.walk("VALARM")
    assert alarm.decoded("trigger") == -timedelta(days=2)


def test_not_once_it_has_passed_and_not_somebody_elses(of, moment):
    other = cast.subscription()
    client = signed_in(of.account)
    assert client.get("/subscriptions/cancel-by.ics", {"subscription": other.reference}).status_code == 404
    assert client.get("/subscriptions/cancel-by.ics").status_code == 404
    moment.move_to(NOW.replace(day=20))
    client.force_login(cast.User.objects.get())  # the session of the 12th is over
    assert client.get("/subscriptions/cancel-by.ics", {"subscription": of.reference}).status_code == 404
    assert Client().get("/subscriptions/cancel-by.ics").status_code == 302


def test_the_end_keeps_its_place_in_the_calendar_when_it_is_fetched_again(of):
    request = cast.in_review(of)
    client = signed_in(of.account)
    page = client.get(f"/requests/{request.reference}/").content.decode()
    address = f"/requests/{request.reference}/ends/1.ics"
    assert address in page
    first, second = (event(client.get(address)) for _ in range(2))
    assert first.decoded("dtstart") == date(2026, 2, 28)
    assert first["uid"] == second["uid"] == f"{request.reference}-end@localhost"
    assert "18 February 2026" in first["description"]
    withdraw(requests=[request], now=NOW)
    assert address not in client.get(f"/requests/{request.reference}/").content.decode()


def test_the_end_is_not_for_strangers_nor_for_parts_that_are_not(of, client):
    request = cast.in_review(of)
    assert client.get(f"/requests/{request.reference}/ends/1.ics").status_code == 403
    assert signed_in(of.account).get(f"/requests/{request.reference}/ends/2.ics").status_code == 404

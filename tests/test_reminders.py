"""Word to staff: a digest each day, overdue cases at once, nothing twice, by the settings."""

import threading

import pytest
from django.db import connection

from cancellations.models import CancellationRequest
from cancellations.services.handling import claim
from cancellations.services.reminders import notify_staff
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW

pytestmark = pytest.mark.django_db
MORNING = cast.datetime(2026, 2, 13, 6, 30, tzinfo=cast.UTC)  # half past seven in Berlin


def mails(kind):
    return OutgoingMessage.objects.filter(kind=kind).order_by("created_at", "recipient")


@pytest.fixture
def people(db):
    return cast.staff("support"), cast.staff("finance"), cast.staff("manager")


def test_a_digest_a_day_to_all_who_decide(people):
    request = cast.in_review()
    claim(request=request, by=people[0], now=NOW)
    assert notify_staff(now=MORNING - cast.timedelta(hours=1)) == 0
    assert notify_staff(now=MORNING) == 3
    assert notify_staff(now=MORNING + cast.timedelta(hours=5)) == 0
    told = mails("staff_digest")
    assert [one.recipient for one in told] == sorted(person.email for person in people)
    sam = told.get(recipient=people[0].email)
    assert "1 in review" in sam.subject
    assert "1 assigned to you" in sam.text
    assert "0 assigned to you" in told.get(recipient=people[1].email).text
    assert notify_staff(now=MORNING + cast.timedelta(days=1)) > 0


def test_overdue_cases_at_once_and_once(people, settings):
    settings.STAFF_DIGEST_HOUR = -1
    waits = cast.proven_but_unmatched()
    refund = cast.refund_requested()
    assert notify_staff(now=NOW + cast.timedelta(hours=23)) == 0
    later = NOW + cast.timedelta(hours=25)
    assert notify_staff(now=later) == 3
    assert notify_staff(now=later + cast.timedelta(minutes=5)) == 0
    (mail, *_) = mails("staff_overdue")
    assert waits.reference in mail.text
    assert f"/admin/cancellations/cancellationrequest/{waits.pk}/change/" in mail.text
    assert refund.reference not in mail.text
    assert notify_staff(now=cast.datetime(2026, 2, 20, 12, tzinfo=cast.UTC)) == 3
    assert refund.reference in mails("staff_overdue").last().text


def test_a_row_that_the_worker_set_aside(people, settings):
    settings.STAFF_DIGEST_HOUR = -1
    request = cast.in_review()
    CancellationRequest.objects.filter(pk=request.pk).update(enforcement_error="ValueError: x")
    assert notify_staff(now=NOW) == 3
    assert "fix the error that stopped the worker" in mails("staff_overdue").first().text


def test_by_settings(people, settings):
    cast.proven_but_unmatched()
    settings.STAFF_DIGEST_TO, settings.STAFF_OVERDUE_TO = ["Team@atntcrm.example"], ["boss@atntcrm.example"]
    assert notify_staff(now=MORNING + cast.timedelta(days=1)) == 2
    assert mails("staff_digest").get().recipient == "Team@atntcrm.example"
    assert mails("staff_overdue").get().recipient == "boss@atntcrm.example"


def test_switched_off(people, settings):
    cast.proven_but_unmatched()
    settings.STAFF_DIGEST_HOUR, settings.STAFF_OVERDUE = -1, False
    assert notify_staff(now=MORNING + cast.timedelta(days=3)) == 0


def test_nobody_who_has_left(people):
    people[0].is_active = False
    people[0].save()
    assert notify_staff(now=MORNING) == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_the_same_moment_tell_once():
    cast.staff("support")
    cast.policy()

    def work():
        notify_staff(now=MORNING)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mails("staff_digest").count() == 1

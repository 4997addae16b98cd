"""Account holders are told of a new policy version: in batches, resumable, each address once."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from cancellations.models import Announcement, PolicyVersion
from cancellations.services import announcing
from cancellations.services.announcing import announce, announce_due
from cancellations.services.common import RequestRefused
from messaging.due import Run
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(announcing, "BATCH", 3)


def told():
    return sorted(OutgoingMessage.objects.filter(kind="policy_changed").values_list("recipient", flat=True))


def test_each_address_is_told_once_and_closed_accounts_are_not():
    cast.policy()
    holders = [cast.account() for _ in range(7)]
    cast.account(email=holders[0].email.upper())
    cast.account("Gone", status="closed")
    cast.account("Erased", erased_at=NOW)
    announcement = announce(version=cast.policy(), by=None, now=NOW)
    assert announcement.total == 7
    assert announce_due(now=NOW) == 7
    assert told() == sorted(one.email for one in holders)
    assert (fresh(announcement).told, fresh(announcement).finished_at) == (7, NOW)
    assert announce_due(now=NOW) == 0


def test_a_worker_killed_in_the_middle_leaves_a_batch_that_is_due_again(monkeypatch):
    holders = [cast.account() for _ in range(7)]
    announcement = announce(version=cast.policy(), by=None, now=NOW)
    next(announcing.ANNOUNCEMENTS.results(Run(NOW)))
    written = announcing.send_policy_letter
    calls = []

    def dies_at_the_second(*args, **told):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        written(*args, **told)

    monkeypatch.setattr(announcing, "send_policy_letter", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        announce_due(now=NOW)
    assert (fresh(announcement).told, len(told())) == (3, 3)
    monkeypatch.setattr(announcing, "send_policy_letter", written)
    announce_due(now=NOW + timedelta(minutes=1))
    assert told() == sorted(one.email for one in holders)


def test_publishing_announces_where_wanted_and_the_page_shows_how_far_it_has_come():
    cast.policy()
    for _ in range(4):
        cast.account()
    draft = PolicyVersion.objects.create(number=2, text="Notice is {notice_days}.", notice_days=7)
    mara = Client()
    cast.at_desk(cast.staff("manager"), mara)
    page = reverse("admin:cancellations_policyversion_verb", args=[draft.pk, "publish"])
    mara.post(page, {"change_summary": "Seven days.", "tell_holders": "on"})
    next(announcing.ANNOUNCEMENTS.results(Run(NOW)))
    shown = mara.get(reverse("admin:cancellations_policyversion_change", args=[draft.pk])).content.decode()
    assert "3 of 4 messages written; the workers go on" in " ".join(shown.split())
    announce_due(now=NOW)
    letter = OutgoingMessage.objects.filter(kind="policy_changed").first().text
    assert "Seven days." in letter
    assert "/policy/compare/1/2/" in letter
    again = mara.post(reverse("admin:cancellations_policyversion_verb", args=[draft.pk, "announce"]), follow=True)
    assert "is not possible now" in again.content.decode()


def test_a_terminated_account_gets_no_letter():
    cast.policy()
    holder, bob = cast.account(), cast.account("Bob")
    cast.terminated(bob)
    announce(version=cast.policy(), by=None, now=NOW)
    announce_due(now=NOW)
    assert told() == [holder.email]


def test_an_address_gets_one_letter_also_if_its_first_account_closes_midway():
    holders = [cast.account() for _ in range(4)]
    other = cast.account(email=holders[0].email.upper())
    announce(version=cast.policy(), by=None, now=NOW)
    next(announcing.ANNOUNCEMENTS.results(Run(NOW)))
    type(other).objects.filter(pk=holders[0].pk).update(status="closed")
    announce_due(now=NOW)
    assert told() == sorted(one.email for one in holders)


def test_an_account_that_cannot_be_told_does_not_hold_up_the_others():
    holders = [cast.account() for _ in range(4)]
    type(holders[1]).objects.filter(pk=holders[1].pk).update(time_zone="No/Where")
    announcement = announce(version=cast.policy(), by=None, now=NOW)
    announce_due(now=NOW)
    assert (fresh(announcement).told, fresh(announcement).total, len(told())) == (3, 4, 3)
    assert fresh(announcement).finished_at == NOW


def test_neither_a_draft_nor_the_same_version_twice():
    with pytest.raises(RequestRefused, match="Publish it first"):
        announce(version=PolicyVersion.objects.create(number=9, text="x"), by=None, now=NOW)
    version = cast.policy()
    announce(version=version, by=None, now=NOW)
    with pytest.raises(RequestRefused, match="already"):
        announce(version=version, by=None, now=NOW)
    assert Announcement.objects.count() == 1

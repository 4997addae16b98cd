"""A published version is recalled before its day, and stays in the history."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, InternalError, transaction
from django.urls import reverse

from billing.models.states import IllegalTransition
from cancellations.models import Announcement, PolicyVersion
from cancellations.queries.policies import policy_in_force
from cancellations.services.announcing import announce_due
from cancellations.services.common import RequestRefused
from cancellations.services.policies import publish, recall
from tests import cast
from tests.cast import NOW, fresh
from tests.databases import as_owner

pytestmark = pytest.mark.django_db
LATER = NOW.replace(year=2040)  # also by the clock of the desk
GROUND = "The figures were wrong."


def announced(number=2, **figures):
    draft = PolicyVersion.objects.create(number=number, text=cast.policy_text(), **figures)
    return publish(version=draft, change_summary="More notice", effective_from=LATER, now=NOW, by=cast.staff("manager"))


@pytest.fixture
def first():
    return cast.policy(text=cast.policy_text())


def test_it_never_comes_into_force(first):
    version = announced()
    assert policy_in_force(LATER) == version
    recall(version=version, ground=GROUND, by=cast.staff("manager"), now=NOW)
    assert policy_in_force(LATER) == first
    version = fresh(version)
    assert (version.state, version.recall_ground, version.recalled_at) == ("recalled", GROUND, NOW)


@pytest.mark.parametrize("ground", ["", "  "])
def test_it_needs_a_ground(first, ground):
    with pytest.raises(RequestRefused, match="Say why"):
        recall(version=announced(), ground=ground, by=cast.staff("manager"), now=NOW)


@pytest.mark.parametrize("now", [LATER, LATER + timedelta(days=1)])
def test_not_from_its_day_on(first, now):
    with pytest.raises(RequestRefused, match="in force already"):
        recall(version=announced(), ground=GROUND, by=cast.staff("manager"), now=now)


def test_only_once_and_no_draft(first):
    version = announced()
    recall(version=version, ground=GROUND, by=cast.staff("manager"), now=NOW)
    draft = PolicyVersion.objects.create(number=3, text="x")
    for other in (version, draft):
        with pytest.raises(IllegalTransition):
            recall(version=other, ground=GROUND, by=cast.staff("manager"), now=NOW)


def test_the_database_refuses_the_rest(first):
    version = announced()
    rows = PolicyVersion.objects.filter(pk=version.pk)
    for change in ({"notice_days": 3}, {"recall_ground": GROUND}, {"state": "recalled", "text": "y"}):
        with pytest.raises(InternalError, match="Cannot update"), transaction.atomic():
            rows.update(**change)
    with pytest.raises(IntegrityError, match="policy_recalled_before_its_day"), transaction.atomic():
        rows.update(state="recalled", recalled_at=LATER, recall_ground=GROUND)
    recall(version=version, ground=GROUND, by=cast.staff("manager"), now=NOW)
    for forbidden in (lambda: rows.update(recall_ground="z"), lambda: rows.update(state="published"), rows.delete):
        with pytest.raises(InternalError, match=r"Cannot|Invalid"), transaction.atomic(), as_owner():
            forbidden()


def test_a_running_announcement_stops(first):
    cast.account("Zoe")
    draft = PolicyVersion.objects.create(number=2, text=cast.policy_text())
    by = cast.staff("manager")
    version = publish(
        version=draft, change_summary="More notice", effective_from=LATER, now=NOW, by=by, tell_holders=True
    )
    recall(version=version, ground=GROUND, by=by, now=NOW)
    announce_due(now=NOW)
    announcement = Announcement.objects.get()
    assert (announcement.told, announcement.finished_at) == (0, NOW)


def test_the_history_keeps_it(first, client):
    version = announced()
    recall(version=version, ground=GROUND, by=cast.staff("manager"), now=NOW)
    history = client.get(reverse("policy_history")).content.decode()
    assert "recalled" in history
    assert GROUND in history
    page = client.get(reverse("policy_version", args=[2]))
    assert page.status_code == 200
    assert "never comes into force" in page.content.decode()
    assert client.get(reverse("policy_compare", args=[1, 2])).status_code == 200
    assert "recalled before it came into force" in client.get(reverse("policy_feed")).content.decode()


class TestPublishing:
    def page(self, desk, version):
        change = reverse("admin:cancellations_policyversion_change", args=[version.pk])
        return f"{change.removesuffix('change/')}do/publish/"

    def test_says_which_announced_versions_follow_and_recalls_them(self, first):
        later = announced()
        draft = PolicyVersion.objects.create(number=3, text=cast.policy_text())
        desk = cast.at_desk(cast.staff("manager"))
        page = self.page(desk, draft)
        form = {"change_summary": "Less notice", "effective_from": ""}
        with_it = desk.get(page).content.decode()
        assert "version 2, in force from" in with_it
        assert "still comes into force on its day" in with_it
        desk.post(page, {**form, "recalled": [later.pk]})
        assert (fresh(draft).state, fresh(later).state) == ("published", "recalled")
        assert fresh(later).recall_ground == "Version 3 was published instead."

    def test_keeps_what_is_not_chosen(self, first):
        later = announced()
        draft = PolicyVersion.objects.create(number=3, text=cast.policy_text())
        desk = cast.at_desk(cast.staff("manager"))
        desk.post(self.page(desk, draft), {"change_summary": "Less notice", "effective_from": ""})
        assert (fresh(draft).state, fresh(later).state) == ("published", "published")

    def test_offers_nothing_where_nothing_is_announced(self, first):
        draft = PolicyVersion.objects.create(number=3, text=cast.policy_text())
        desk = cast.at_desk(cast.staff("manager"))
        assert "announced for later" not in desk.get(self.page(desk, draft)).content.decode()


def test_recalling_at_the_desk(first):
    version = announced()
    desk = cast.at_desk(cast.staff("manager"))
    change = reverse("admin:cancellations_policyversion_change", args=[version.pk])
    desk.post(f"{change.removesuffix('change/')}do/recall/", {"ground": GROUND})
    assert fresh(version).state == "recalled"
    assert GROUND in desk.get(change).content.decode()
    assert "/do/recall/" not in desk.get(change).content.decode()

"""One verb on many requests: each row with its result, none twice, whatever is killed."""

import pytest
from django.urls import reverse

from cancellations.models import BulkJob, BulkRow, BulkVerb
from cancellations.services import bulk
from cancellations.services.bulk import order, process_due
from cancellations.services.common import RequestRefused
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh
from tests.desk.test_exports import body
from tests.desk.test_permissions import person
from tests.desk.test_review import at_desk

pytestmark = pytest.mark.django_db
QUEUE = reverse("admin:cancellations_cancellationrequest_changelist")


@pytest.fixture
def mixed():
    return [cast.in_review(), cast.in_review(), cast.in_review(kind="for_cause", cause="Broken"), cast.scheduled()]


def keys(rows):
    return [row.pk for row in rows]


def test_each_row_is_done_or_refused_because(mixed):
    job = order(verb=BulkVerb.SCHEDULE, requests=keys(mixed), by=cast.staff("support"), now=NOW, words="Farewell.")
    assert process_due(now=NOW) == 4
    told = {row.request_id: (row.state, row.said) for row in job.rows.all()}
    assert [told[row.pk][0] for row in mixed] == ["done", "done", "refused", "refused"]
    assert "ground has to be reviewed" in told[mixed[2].pk][1]
    assert "is scheduled" in told[mixed[3].pk][1]
    assert [fresh(row).state for row in mixed] == ["scheduled", "scheduled", "in_review", "scheduled"]
    assert OutgoingMessage.objects.filter(kind="scheduled", text__contains="Farewell.").count() == 2
    assert fresh(job).finished_at == NOW
    assert process_due(now=NOW) == 0


def test_one_bad_row_holds_nothing_up(mixed, monkeypatch):
    real = bulk.schedule

    def failing(*, request, **given):
        if request.pk == mixed[0].pk:
            raise ZeroDivisionError
        return real(request=request, **given)

    monkeypatch.setattr(bulk, "schedule", failing)
    job = order(verb=BulkVerb.SCHEDULE, requests=keys(mixed[:2]), by=cast.staff("support"), now=NOW)
    process_due(now=NOW)
    assert [row.state for row in job.rows.all()] == ["refused", "done"]
    assert "ZeroDivisionError" in job.rows.first().said


def test_who_lost_the_right_meanwhile_does_nothing(mixed):
    sam = cast.staff("support")
    order(verb=BulkVerb.SCHEDULE, requests=keys(mixed), by=sam, now=NOW)
    sam.groups.clear()
    process_due(now=NOW)
    assert {row.state for row in BulkRow.objects.all()} == {"refused"}
    assert fresh(mixed[0]).state == "in_review"


def test_assign_and_ask_again():
    proof, reviewed, mara = cast.unverified(cast.account()), cast.in_review(), cast.staff("manager")
    sam = cast.staff("support")
    order(verb=BulkVerb.ASSIGN, requests=keys([proof, reviewed]), to=mara, by=sam, now=NOW)
    order(verb=BulkVerb.ASK_AGAIN, requests=keys([proof, reviewed]), by=sam, now=NOW)
    process_due(now=NOW + cast.timedelta(hours=2))
    assert fresh(proof).assigned_to == fresh(reviewed).assigned_to == mara
    assert OutgoingMessage.objects.filter(kind="prove_address").count() == 2
    assert BulkRow.objects.filter(state="refused").get().request_id == reviewed.pk


def test_limits():
    sam = cast.staff("support")
    for wrong in ({"requests": []}, {"requests": range(1, bulk.MAX_REQUESTS + 2)}):
        with pytest.raises(RequestRefused):
            order(verb=BulkVerb.SCHEDULE, by=sam, now=NOW, **wrong)
    with pytest.raises(RequestRefused, match="Choose a person"):
        order(verb=BulkVerb.ASSIGN, requests=keys([cast.in_review()]), by=sam, now=NOW)


class TestAtTheDesk:
    def test_from_the_selection_to_the_results(self, mixed):
        sam = at_desk(cast.staff("support"))
        told = {"action": "schedule_selected", "_selected_action": [str(row.pk) for row in mixed[:3]]}
        page = sam.post(QUEUE, told)
        assert "Schedule: 3 requests" in page.content.decode()
        assert not BulkJob.objects.exists(), "nothing is ordered before the button is pressed"
        answer = sam.post(reverse("admin:bulk", args=["schedule"]), {"keys": page.context["form"]["keys"].value()})
        job = BulkJob.objects.get()
        assert answer.url == reverse("admin:cancellations_bulkjob_change", args=[job.pk])
        assert "0 of 3" in sam.get(answer.url).content.decode()
        process_due(now=NOW)
        page = sam.get(answer.url).content.decode()
        assert "3 of 3" in page
        assert "2 done" in page
        assert "ground has to be reviewed" in sam.get(answer.url + "?only=refused").content.decode()
        assert sam.get(reverse("admin:cancellations_bulkjob_changelist")).status_code == 200

    def test_all_that_match_the_filters(self, mixed):
        sam = at_desk(cast.staff("support"))
        told = {"action": "schedule_selected", "_selected_action": [str(mixed[0].pk)], "select_across": "1"}
        page = sam.post(QUEUE + "?state__exact=in_review", told)
        assert set(page.context["form"]["keys"].value().split(",")) == {str(row.pk) for row in mixed[:3]}

    def test_export_of_the_selection(self, mixed):
        sam = at_desk(cast.staff("support"))
        told = {"action": "export_selected", "_selected_action": [str(row.pk) for row in mixed[:2]]}
        text = body(sam.post(QUEUE, told)).decode()
        assert [row.reference in text for row in mixed] == [True, True, False, False]

    @pytest.mark.parametrize("role", ["finance", "auditor", "administrator"])
    def test_forged_by_whoever_may_not(self, mixed, role):
        client = at_desk(person(role))
        told = {"action": "schedule_selected", "_selected_action": [str(mixed[0].pk)]}
        client.post(QUEUE, told)
        for verb in BulkVerb.values:
            assert client.post(reverse("admin:bulk", args=[verb]), {"keys": str(mixed[0].pk)}).status_code == 403
        assert not BulkJob.objects.exists()

    @pytest.mark.parametrize("forged", ["x", "", "1,2;3", "9" * 30, "-1"])
    def test_a_forged_selection(self, mixed, forged):
        sam = at_desk(cast.staff("support"))
        assert sam.post(reverse("admin:bulk", args=["schedule"]), {"keys": forged}).status_code == 422
        assert sam.post(reverse("admin:bulk", args=["approve"]), {"keys": "1"}).status_code == 302
        assert not BulkJob.objects.exists()


def test_refunds_have_no_bulk_at_all():
    page = at_desk(cast.staff("finance")).get(reverse("admin:billing_refund_changelist"))
    assert page.context["action_form"] is None

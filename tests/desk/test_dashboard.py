"""The dashboard: each figure right, each with the rows behind it, the same as CSV; abandoned forms are our fault."""

import csv
import io
import re
from html import unescape

import pytest
import time_machine
from django.urls import reverse

from billing.services.review import approve, propose
from cancellations.figures.requests import requests_figures
from cancellations.figures.spans import Span, span_of
from cancellations.models import BegunForm
from cancellations.services.reminders import notify_staff
from cancellations.services.review import decline, schedule
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW
from tests.desk.test_permissions import person
from tests.desk.test_review import at_desk

pytestmark = pytest.mark.django_db
DAYS = {"from": "2026-02-01", "to": "2026-02-28"}
SPAN = Span(cast.date(2026, 2, 1), cast.date(2026, 2, 28))


def hours(count):
    return cast.timedelta(hours=count)


@pytest.fixture
def cases():
    sam = cast.staff("support")
    rows = [cast.in_review(at=NOW, reason=reason) for reason in ("unused", "unused", "too_expensive")]
    late = cast.in_review(cast.subscription(billing_anchor=cast.date(2025, 1, 15)), at=NOW)
    schedule(request=rows[0], by=sam, now=NOW + hours(1))
    schedule(request=rows[1], by=sam, now=NOW + hours(2))
    decline(request=rows[2], by=sam, ground="duplicate", now=NOW + hours(9))
    cast.in_review(at=NOW - cast.timedelta(days=40))
    return [*rows, late]


def figures(groups):
    return {figure.name: figure for group in groups for figure in group.figures}


def test_each_figure_is_right(cases):
    told = figures(requests_figures(SPAN, NOW + hours(10)))
    assert told["received"].value == "4"
    assert told["on time"].value == "75 %"
    assert told["median time to decision"].value == "2.0 h"
    assert told["90th percentile"].value == "7.6 h"
    assert told["I don’t use it enough"].value == "2"
    assert told["12 Feb"].value == "4"
    assert told["11 Feb"].value == "0"
    assert told["in review"].value == "2", "also those of before: they are open now"


def test_a_day_is_a_day_of_the_companys_zone():
    cast.in_review(at=cast.datetime(2026, 2, 11, 23, 30, tzinfo=cast.UTC))
    told = figures(requests_figures(SPAN, NOW))
    assert (told["11 Feb"].value, told["12 Feb"].value) == ("0", "1")


def test_each_figure_leads_to_just_its_rows(cases):
    desk = at_desk(cast.staff("manager"))
    for group in requests_figures(SPAN, NOW + hours(10)):
        for figure in group.figures:
            if figure.url and figure.value.isdigit() and not figure.name.startswith("overdue"):
                rows = desk.get(figure.url).context["cl"].result_list
                assert len(rows) == int(figure.value), figure


def test_refunds_against_their_targets():
    refund = cast.refund_requested()
    propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW)
    approve(refund=refund, by=cast.staff("finance", "Frank"), now=NOW + hours(5))
    page = at_desk(cast.staff("manager")).get(reverse("admin:index"), DAYS).content.decode()
    text = re.sub(r"\s+", " ", unescape(re.sub("<[^>]+>", " ", page)))
    assert "Median time to decision 5.0 h 1 of 1 by the target" in text
    assert "EUR, unused part (pro rata) €20.00 1 refunds" in text


def test_the_same_as_csv(cases):
    desk = at_desk(cast.staff("manager"))
    answer = desk.get(reverse("admin:dashboard_csv"), DAYS)
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    told = {(row["Group"], row["Figure"]): row["Value"] for row in rows}
    assert told[("Requests", "received")] == "4"
    assert told[("Requests per day", "12 Feb")] == "4"


@pytest.mark.parametrize(
    "wrong", [{"from": "yesterday"}, {"from": "2026-03-01", "to": "2026-02-01"}, {"from": "1999-01-01"}]
)
def test_wrong_days_say_so(wrong):
    span, trouble = span_of(wrong, NOW)
    assert trouble
    assert (span.last - span.first).days == 29
    assert at_desk(cast.staff("manager")).get(reverse("admin:index"), wrong).status_code == 200


@pytest.mark.parametrize("role", ["support", "finance", "manager", "auditor", "administrator"])
def test_each_role_has_a_first_page(role, cases):
    desk = at_desk(person(role))
    page = desk.get(reverse("admin:index"))
    assert page.status_code == 200
    assert ("On time" in page.content.decode()) == (role != "administrator")
    assert desk.get(reverse("admin:dashboard_csv")).status_code == (403 if role == "administrator" else 200)


def test_nothing_yet_is_no_error():
    assert at_desk(cast.staff("manager")).get(reverse("admin:index")).status_code == 200


class TestAbandonedForms:
    GUEST = {"account_number": "AT-1", "username": "x", "email": "x@customer.example", "reason": "unused", "words": ""}

    @pytest.fixture(autouse=True)
    def policy(self, db):
        cast.policy()

    def test_what_stopped_them_is_counted_and_nothing_else_is_kept(self, client):
        with time_machine.travel(NOW, tick=False):
            client.post("/cancel/", {**self.GUEST, "email": "no address"})
            client.post("/cancel/", self.GUEST)
        told = figures(requests_figures(SPAN, NOW + hours(2)))
        assert told["abandoned"].value == "2"
        assert told["left at the check of answers"].value == "1"
        assert told["stopped by: email"].value == "1"
        assert "customer.example" not in str(list(BegunForm.objects.values()))

    def test_not_while_somebody_may_still_be_at_it(self, client):
        with time_machine.travel(NOW, tick=False):
            client.post("/cancel/", self.GUEST)
        assert figures(requests_figures(SPAN, NOW + cast.timedelta(minutes=59)))["abandoned"].value == "0"

    def test_a_finished_form_is_one_form_whatever_was_mended_in_between(self, client):
        with time_machine.travel(NOW, tick=False):
            page = client.post("/cancel/", {**self.GUEST, "email": "no address"})
            page = client.post("/cancel/", {**self.GUEST, "draft": page.context["draft"]})
            client.post("/cancel/", {"draft": page.context["draft"], "step": "confirm"})
        assert BegunForm.objects.get().finished_at is not None
        assert figures(requests_figures(SPAN, NOW + hours(2)))["abandoned"].value == "0"

    def test_counting_never_stands_in_the_way(self, client, monkeypatch):
        from django.db import DatabaseError

        from cancellations.services import begun_forms

        def broken(*args, **kwargs):
            raise DatabaseError

        monkeypatch.setattr(begun_forms.BegunForm.objects, "bulk_create", broken)
        page = client.post("/cancel/", self.GUEST)
        assert client.post("/cancel/", {"draft": page.context["draft"], "step": "confirm"}).status_code == 302


def test_the_first_page_and_the_mail_list_the_same_as_overdue(settings):
    settings.STAFF_DIGEST_HOUR = -1
    request, refund = cast.proven_but_unmatched(), cast.refund_requested()
    conversation = cast.waits_for_an_answer(cast.account())
    manager, later = cast.staff("manager"), cast.datetime(2026, 2, 20, 12, tzinfo=cast.UTC)
    with time_machine.travel(later, tick=False):
        page = cast.at_desk(manager).get("/admin/").content.decode()
    notify_staff(now=later)
    mail = OutgoingMessage.objects.filter(kind="staff_overdue").first()
    for row in (request, refund, conversation):
        assert row.reference in page
        assert row.reference in mail.text

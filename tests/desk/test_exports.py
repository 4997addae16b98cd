"""Exports: safe for spreadsheets, whole, permissioned, noted; and the audit as it is read."""

import csv
import io
import re
import zipfile
from types import SimpleNamespace

import pytest
from django.urls import reverse

from accounts.audit import faults, seal_audit
from accounts.desk import exports, lists
from accounts.models import AuditEntry, StaffAction
from cancellations.services.review import decline
from tests import cast
from tests.cast import NOW
from tests.desk.test_permissions import person
from tests.desk.test_review import at_desk

pytestmark = pytest.mark.django_db
EXPORT = "admin:cancellations_cancellationrequest_export"


def body(answer):
    return b"".join(answer.streaming_content)


@pytest.mark.parametrize(
    "dangerous",
    [
        "=1+1",
        "+49 30 1",
        "-2",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1+1",
        "＝1",
        "\u00a0=1",
        "\u200e=1",
        "\ufeff@x",
        "\n=cmd|'/c calc'!A0",
    ],
)
def test_no_text_is_taken_for_a_formula(dangerous):
    (_, line) = exports.csv_lines([("x", lambda row: row.x)], [SimpleNamespace(x=dangerous)])
    (cell,) = next(csv.reader(io.StringIO(line, newline="")))
    assert cell[0] == "'"
    assert dangerous.replace("\r", "\n") in cell  # direction marks are isolated, and line ends are LF


def test_numbers_and_harmless_texts_stay_as_they_are():
    rows = [
        SimpleNamespace(x=value) for value in (-5, cast.Decimal("-1.50"), "a=b", "", None, True, cast.date(2026, 1, 2))
    ]
    _, *lines = exports.csv_lines([("x", lambda row: row.x)], rows)
    assert [line.strip() for line in lines] == ["-5", "-1.50", "a=b", '""', '""', "yes", "2026-01-02"]


def test_every_row_of_the_filtered_list_and_no_other(monkeypatch):
    monkeypatch.setattr(lists, "EXPORT_PAGE_SIZE", 2)
    rows = [cast.in_review(words="=HYPERLINK(1)") for _ in range(5)]
    gone = decline(request=cast.in_review(), by=cast.staff("support"), ground="duplicate", now=NOW)
    answer = at_desk(cast.staff("support")).get(reverse(EXPORT, args=["csv"]) + "?state__exact=in_review")
    told = list(csv.DictReader(io.StringIO(body(answer).decode("utf-8-sig"))))
    assert {row["Reference"] for row in told} == {row.reference for row in rows}
    assert gone.reference not in str(told)
    assert {row["Words"] for row in told} == {"'=HYPERLINK(1)"}
    assert answer["Content-Disposition"].startswith("attachment")
    deed = StaffAction.objects.get(verb="export")
    assert (deed.by, deed.about) == (cast.staff("support"), "cancellations.cancellationrequest")
    assert "state__exact=in_review" in deed.why
    assert deed.address == "127.0.0.1"


def test_xlsx_holds_text_and_no_formula():
    cast.in_review(words="=1+1")
    answer = at_desk(cast.staff("support")).get(reverse(EXPORT, args=["xlsx"]))
    with zipfile.ZipFile(io.BytesIO(body(answer))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "=1+1" in sheet


@pytest.mark.parametrize(
    ("role", "may"), [("support", True), ("finance", False), ("auditor", True), ("administrator", False)]
)
def test_only_who_may(role, may):
    cast.in_review()
    client = at_desk(person(role))
    assert (client.get(reverse(EXPORT, args=["csv"])).status_code == 200) == may
    page = client.get(reverse("admin:cancellations_cancellationrequest_changelist"))
    assert ("/export/csv/" in page.content.decode()) == may
    assert StaffAction.objects.filter(verb="export").exists() == may


def test_an_unknown_form_is_not_found():
    assert at_desk(cast.staff("support")).get(reverse(EXPORT, args=["pdf"])).status_code == 404


class TestReadingTheAudit:
    LIST = "admin:accounts_auditentry_changelist"

    @pytest.fixture
    def auditor(self):
        request = cast.in_review()
        decline(request=request, by=cast.staff("support"), ground="duplicate", now=NOW)
        return at_desk(person("auditor")), request

    def test_who_what_whom_why(self, auditor):
        client, request = auditor
        page = client.get(reverse(self.LIST), {"verb": "decline"}).content.decode()
        for part in ("Sam", "decline", "cancellation request", request.reference, "Another request for the same"):
            assert part in page, part

    @pytest.mark.parametrize(
        ("query", "found"), [("verb=decline", 1), ("verb=submit", 1), ("who=customer", 1), ("q=CR-", 2)]
    )
    def test_filters(self, auditor, query, found):
        client, _ = auditor
        rows = client.get(reverse(self.LIST) + "?" + query + "&table=cancellations_cancellationrequestevent")
        assert len(rows.context["cl"].result_list) == found

    def test_the_page_of_an_entry_says_what_changed(self, auditor):
        client, _ = auditor
        entry = AuditEntry.objects.get(verb="decline", table_name="cancellations_cancellationrequestevent")
        page = client.get(reverse("admin:accounts_auditentry_change", args=[entry.pk])).content.decode()
        assert re.search(
            r'<tr class="changed">\s*<th scope="row">state</th>\s*<td>in_review</td>\s*<td><strong>declined</strong>',
            page,
        )

    def test_is_exported_and_stays_whole(self, auditor):
        client, _ = auditor
        seal_audit(now=NOW)
        answer = client.get(reverse("admin:accounts_auditentry_export", args=["csv"]))
        told = list(csv.DictReader(io.StringIO(body(answer).decode("utf-8-sig"))))
        assert {"decline", "submit", "export"} <= {row["Done"] for row in told}
        assert list(faults()) == []

    def test_nobody_else_reads_it(self, auditor):
        for role in ("support", "finance"):
            assert at_desk(person(role)).get(reverse(self.LIST)).status_code == 403

"""A CRM export is taken in: again and again, bad rows set aside with a reason, portal facts kept."""

import csv
import re
from collections import Counter
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from billing.crm_import.rows import ACCOUNT_COLUMNS, PAYMENT_COLUMNS, SUBSCRIPTION_COLUMNS
from billing.models import Payment, Subscription
from billing.queries import quote
from billing.services.subscriptions import end_subscription
from config.local import demo
from tests import cast

pytestmark = pytest.mark.django_db

ACCOUNT = [
    "AT-1",
    "alice",
    "Alice",
    "alice@customer.example",
    "DE",
    "Europe/Berlin",
    "de",
    "EUR",
    "2024-01-01",
    "active",
]
SOLD = ["S-1", "AT-1", "team", "Team", "1", "30.00", "EUR", "month", "1", "2025-01-31", "2025-01-31", "", ""]
PAID = ["P-1", "S-1", "2026-01-31", "2026-02-28", "30.00", "EUR", "2026-01-31T08:00:00Z", "card", "stripe", "ch_1", "0"]


def changed(row, columns, **cells):
    return [cells.get(name, cell) for name, cell in zip(columns, row, strict=True)]


def account(**cells):
    return changed(ACCOUNT, ACCOUNT_COLUMNS, **cells)


def sold(**cells):
    return changed(SOLD, SUBSCRIPTION_COLUMNS, **cells)


def paid(**cells):
    return changed(PAID, PAYMENT_COLUMNS, **cells)


@pytest.fixture
def export(tmp_path):
    """Writes the three files, each a good row unless others are given, and imports them."""

    def run(accounts=(ACCOUNT,), subscriptions=(SOLD,), payments=(PAID,)):
        files = {
            "accounts.csv": (ACCOUNT_COLUMNS, accounts),
            "subscriptions.csv": (SUBSCRIPTION_COLUMNS, subscriptions),
            "payments.csv": (PAYMENT_COLUMNS, payments),
        }
        for name, (columns, rows) in files.items():
            with (tmp_path / name).open("w", encoding="utf-8", newline="") as handle:
                csv.writer(handle).writerows([columns, *rows])
        return take(tmp_path)

    return run


def take(folder):
    out, rejects = StringIO(), folder / "rejects.csv"
    call_command("import_crm", folder, rejects=rejects, stdout=out)
    counts = {
        line.split()[0]: [int(n) for n in line.split()[1:]]
        for line in out.getvalue().splitlines()
        if ".csv " in line and line[0] in "asp"
    }
    rows = list(csv.DictReader(rejects.open(encoding="utf-8"))) if rejects.exists() else []
    return counts, [(row["file"], int(row["line"]), row["reason"]) for row in rows]


def test_a_row_becomes_a_row(export):
    counts, rejects = export()
    assert counts == {"accounts.csv": [1, 0, 0, 0], "subscriptions.csv": [1, 0, 0, 0], "payments.csv": [1, 0, 0, 0]}
    assert rejects == []
    row = Payment.objects.get()
    assert (row.amount, row.paid_at, row.account.username) == (
        cast.euros("30"),
        datetime(2026, 1, 31, 8, tzinfo=UTC),
        "alice",
    )


def test_the_same_export_again_changes_nothing(export):
    export()
    counts, _ = export()
    assert all(outcome == [0, 0, 1, 0] for outcome in counts.values())
    assert not Account.pgh_event_model.objects.exists()


def test_its_rows_are_locked_in_the_order_of_the_services(export):
    """In another order, an import and a proposal of a refund could wait for each other."""
    with CaptureQueriesContext(connection) as queries:
        export()
    locks = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
    assert len(locks) == 3
    assert all(re.search(r'ORDER BY "\w+"."id" ASC FOR UPDATE', sql) for sql in locks)


def test_a_newer_export_updates(export):
    export()
    counts, _ = export(accounts=[account(email="new@customer.example")], payments=[paid(amount_refunded="5.00")])
    assert (counts["accounts.csv"], counts["payments.csv"]) == ([0, 1, 0, 0], [0, 1, 0, 0])
    assert Account.objects.get().email == "new@customer.example"
    assert Account.pgh_event_model.objects.get().pgh_context.metadata["verb"] == "import"


def test_an_end_made_by_the_portal_is_kept(export):
    export()
    end_subscription(subscription=Subscription.objects.get(), ended_on=date(2026, 2, 28))
    export(subscriptions=[sold(plan_name="Team 2")])
    export(subscriptions=[sold(plan_name="Team 3", ended_on="2030-01-01")])
    row = Subscription.objects.get()
    assert (row.plan_name, row.ended_on, row.ended_by) == ("Team 3", date(2026, 2, 28), "portal")


def test_a_later_start_after_our_end_is_a_new_contract(export):
    export()
    end_subscription(subscription=Subscription.objects.get(), ended_on=date(2026, 2, 28))
    export(subscriptions=[sold(started_on="2026-05-01", billing_anchor="2026-05-01")])
    row = Subscription.objects.get()
    assert (row.started_on, row.ended_on, row.ended_by) == (date(2026, 5, 1), None, "")
    old = Payment.objects.get()
    paid_again = cast.payment(row, date(2026, 5, 1), date(2026, 6, 1))
    lines = quote(row, ended_on=date(2026, 5, 3), basis="full", whole_contract=True)
    assert [line.payment for line in lines] == [paid_again]
    assert [line.payment for line in quote(row, ended_on=date(2026, 2, 10))] == [paid_again, old]


def test_a_payment_for_a_time_after_our_end_is_marked_in_any_order_of_imports(export):
    after_the_end = paid(payment_ref="P-2", period_start="2026-02-28", period_end="2026-03-31")
    export()
    end_subscription(subscription=Subscription.objects.get(), ended_on=date(2026, 2, 28))
    export(payments=[PAID])
    assert not Payment.objects.filter(is_to_check=True).exists()
    export(payments=[after_the_end])
    assert Payment.objects.get(is_to_check=True).reference == "P-2"
    Payment.objects.update(is_to_check=False)
    counts, _ = export(payments=[after_the_end, PAID])
    assert counts["payments.csv"] == [0, 0, 2, 0]
    assert not Payment.objects.filter(is_to_check=True).exists()


def test_our_end_before_the_start_may_come_back(export):
    future = {"started_on": "2026-03-01", "billing_anchor": "2026-03-01"}
    export(subscriptions=[sold(**future)], payments=[])
    end_subscription(subscription=Subscription.objects.get(), ended_on=date(2026, 2, 12))
    moved = {"started_on": "2026-03-10"}  # it stays cancelled
    for cells in ({}, {"ended_on": "2026-02-12"}, moved):
        _, rejects = export(subscriptions=[sold(**(future | cells))], payments=[])
        assert rejects == []
        assert Subscription.objects.get().ended_on == date(2026, 2, 12)


def test_an_end_made_by_the_crm_follows_the_crm(export):
    export(subscriptions=[sold(ended_on="2026-02-28")])
    assert Subscription.objects.get().ended_by == "crm"
    export()
    assert Subscription.objects.get().ended_on is None


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"account_number": ""}, "account_number is empty"),
        ({"email": "no-address"}, "is not an e-mail address"),
        ({"email": "a" * 65 + "@customer.example"}, "is too long for e-mail"),
        ({"country": "Germany"}, "two-letter country code"),
        ({"time_zone": "Mars/Olympus"}, "time zone name"),
        ({"currency": "XXQ"}, "currency code"),
        ({"customer_since": "31/02/2026"}, "is not a date"),
        ({"status": "zombie"}, "active or closed"),
        ({"name": "x" * 201}, "201 characters; the limit is 200"),
        ({"name": "a\x00b"}, "U+0000"),
        ({"username": "a\x0bb"}, "U+000B"),
        ({"name": "a\ufffeb"}, "U+FFFE"),
        ({"name": "a\x1b[31mb"}, "U+001B"),
    ],
)
def test_a_bad_account_is_rejected_with_its_line_and_reason(export, cells, reason):
    good = account(account_number="AT-2", username="bob")
    counts, rejects = export(accounts=[good, account(**cells)], subscriptions=[], payments=[])
    assert counts["accounts.csv"] == [1, 0, 0, 1]
    ((file, line, told),) = rejects
    assert (file, line) == ("accounts.csv", 3)
    assert reason in told


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"account_number": "AT-9"}, "'AT-9' is not known"),
        ({"price": "-5.00"}, "not an amount of zero or more"),
        ({"price": "12,50"}, "with a point"),
        ({"price": "1e9"}, "not an amount"),
        ({"price": "NaN"}, "not an amount"),
        ({"price": "1.005"}, "more decimals than EUR has (2)"),
        ({"interval_unit": "fortnight"}, "day, week, month or year"),
        ({"interval_count": "0"}, "whole number from 1"),
        ({"quantity": "1.5"}, "whole number from 1"),
        ({"billing_anchor": "2026-13-01"}, "is not a date"),
        ({"ended_on": "2001-01-01"}, "is before started_on"),
    ],
)
def test_a_bad_subscription_is_rejected(export, cells, reason):
    counts, rejects = export(subscriptions=[sold(**cells)], payments=[])
    assert counts["subscriptions.csv"] == [0, 0, 0, 1]
    assert reason in rejects[0][2]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"subscription_ref": "S-9"}, "'S-9' is not known"),
        ({"period_end": "2026-01-31"}, "is not after period_start"),
        ({"amount": "0.001"}, "more decimals"),
        ({"currency": ""}, "currency is empty"),
        ({"paid_at": "yesterday"}, "is not a time"),
        ({"amount_refunded": "999"}, "more than the amount"),
    ],
)
def test_a_bad_payment_is_rejected(export, cells, reason):
    counts, rejects = export(payments=[paid(**cells)])
    assert counts["payments.csv"] == [0, 0, 0, 1]
    assert reason in rejects[0][2]


def test_the_second_of_two_equal_keys_is_rejected(export):
    _, rejects = export(accounts=[ACCOUNT, account(name="Again"), account(account_number="AT-3")])
    assert [(line, "is already in line 2" in reason) for _, line, reason in rejects] == [(3, True), (4, True)]
    assert Account.objects.get().name == "Alice"


def test_a_username_that_somebody_holds_is_rejected_and_the_batch_goes_on(export):
    cast.account(username="taken")
    bob = account(account_number="AT-2", username="bob")
    counts, rejects = export(accounts=[account(username="taken"), bob], subscriptions=[], payments=[])
    assert counts["accounts.csv"] == [1, 0, 0, 1]
    assert "username taken is already used by another row" in rejects[0][2]


def test_a_torn_row_is_rejected_with_its_line(export):
    _, rejects = export(accounts=[ACCOUNT[:6], account(name="Two\nlines"), ACCOUNT[:1]], subscriptions=[], payments=[])
    assert [line for _, line, _ in rejects] == [2, 5]
    assert "the row has 6 cells, the header 10" in rejects[0][2]


def test_a_subscription_does_not_change_accounts(export):
    other = account(account_number="AT-2", username="bob")
    export(accounts=[ACCOUNT, other])
    _, rejects = export(accounts=[ACCOUNT, other], subscriptions=[sold(account_number="AT-2")], payments=[])
    assert "belongs to another account" in rejects[0][2]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        ("payment_ref,müll\n".encode("latin-1"), "line 1, column 2: the byte 0xFC is not UTF-8"),
        (b"payment_ref;subscription_ref\n", "lacks the columns"),
        (None, "lacks payments.csv"),
    ],
)
def test_a_wrong_file_is_refused_whole(export, tmp_path, content, sentence):
    export()
    (tmp_path / "accounts.csv").write_text((tmp_path / "accounts.csv").read_text().replace("Alice", "Changed"))
    target = tmp_path / "payments.csv"
    if content is None:
        target.unlink()
    else:
        target.write_bytes(content)
    with pytest.raises(CommandError, match="Nothing was imported") as refused:
        take(tmp_path)
    assert sentence in str(refused.value)
    assert Account.objects.get().name == "Alice"


def test_the_sample_export_goes_in_whole(tmp_path):
    demo.write_export(tmp_path, date(2026, 2, 12))
    counts, rejects = take(tmp_path)
    assert rejects == []
    assert counts["subscriptions.csv"][0] == len(demo.SOLD)
    again, _ = take(tmp_path)
    assert Counter(sum(n[:2]) for n in again.values()) == {0: 3}
    assert Path(tmp_path / "accounts.csv").read_text(encoding="utf-8").count("\n") == Account.objects.count() + 1


class TestFactsOfLaw:
    """Optional columns: who the customer is, and what the law looks at of the contract."""

    @pytest.fixture
    def optional(self, tmp_path):
        def run(of_account=None, of_subscription=None):
            files = {
                "accounts.csv": (ACCOUNT_COLUMNS, ACCOUNT, of_account),
                "subscriptions.csv": (SUBSCRIPTION_COLUMNS, SOLD, of_subscription),
                "payments.csv": (PAYMENT_COLUMNS, PAID, None),
            }
            for name, (columns, row, cells) in files.items():
                country = (cells or {}).pop("country", None)
                row = changed(row, columns, **({"country": country} if country else {}))
                with (tmp_path / name).open("w", encoding="utf-8", newline="") as handle:
                    csv.writer(handle).writerows([[*columns, *(cells or {})], [*row, *(cells or {}).values()]])
            return take(tmp_path)

        return run

    def test_they_are_kept(self, optional):
        days = {"concluded_on": "2025-01-20", "minimum_term_ends_on": "2026-01-31", "reminded_on": "2025-12-01"}
        optional(
            {"country": "US", "customer_type": "business", "region": "US-MN"},
            {**days, "start_requested_on": "2025-01-21"},
        )
        row = Subscription.objects.select_related("account").get()
        assert (row.account.customer_type, row.account.region) == ("business", "MN")
        assert {name: str(getattr(row, name)) for name in days} == days
        assert row.start_requested_on == date(2025, 1, 21)

    def test_a_column_that_is_left_out_changes_nothing_and_an_empty_cell_clears(self, optional):
        optional({"customer_type": "consumer"}, {"reminded_on": "2025-12-01"})
        optional()
        row = Subscription.objects.select_related("account").get()
        assert (row.account.customer_type, row.reminded_on) == ("consumer", date(2025, 12, 1))
        optional({"customer_type": ""}, {"reminded_on": ""})
        row = Subscription.objects.select_related("account").get()
        assert (row.account.customer_type, row.reminded_on) == ("unknown", None)

    @pytest.mark.parametrize(
        ("of_account", "of_subscription", "reason"),
        [
            ({"country": "US", "region": "ZZ"}, None, "region 'ZZ' is not a state of the United States"),
            ({"region": "Bavaria"}, None, "region 'Bavaria' is not a region code (ISO 3166-2)"),
            ({"customer_type": "person"}, None, "customer_type 'person' is not a valid type"),
            (None, {"minimum_term_ends_on": "2025-01-30"}, "minimum_term_ends_on 2025-01-30 is before started_on"),
            (None, {"concluded_on": "soon"}, "concluded_on 'soon' is not a date"),
            (None, {"reminded_on": "0001-01-01"}, "leave the cell empty for none"),
        ],
    )
    def test_a_fact_that_cannot_be_is_rejected_by_line(self, optional, of_account, of_subscription, reason):
        _, rejects = optional(of_account, of_subscription)
        file, line, told = rejects[0]
        assert (file, line) == ("accounts.csv" if of_account else "subscriptions.csv", 2)
        assert reason in told

    def test_a_column_twice_refuses_the_file(self, optional, tmp_path):
        optional({"region": ""})
        (tmp_path / "accounts.csv").write_text(",".join([*ACCOUNT_COLUMNS, "region", "region"]))
        with pytest.raises(CommandError, match="has the columns region more than once"):
            take(tmp_path)

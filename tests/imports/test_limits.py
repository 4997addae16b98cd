"""Values at the limits of their types, and files that are no export: always a sentence, never a traceback."""

import csv
from datetime import UTC, date, datetime, timedelta, timezone
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from billing.crm_import import files
from billing.crm_import.files import FileRefused, check_file, read_file
from billing.crm_import.rows import (
    ACCOUNT_COLUMNS,
    PAYMENT_COLUMNS,
    SUBSCRIPTION_COLUMNS,
    RowRejected,
    account_values,
    payment_values,
    subscription_values,
)
from tests.imports.test_import import ACCOUNT, PAID, SOLD, account, export, paid, sold, take

__all__ = ["export"]
READERS = {
    "accounts": (ACCOUNT_COLUMNS, ACCOUNT, account_values),
    "subscriptions": (SUBSCRIPTION_COLUMNS, SOLD, subscription_values),
    "payments": (PAYMENT_COLUMNS, PAID, payment_values),
}
HOSTILE = st.sampled_from(
    [
        "", " ", "\x00", "a\x00b", "\ufeff", "\ud800", "\udcff", "\ufffe", "\u202e", "\x0b", "\x85", "=1+1",
        "0001-01-01", "9999-12-31", "1899-12-31", "2200-01-01", "2026-02-30", "２０２６-01-01", "0000-00-00",
        "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-01-01T24:00:00Z", "2026-W01-1", "-1",
        "NaN", "Infinity", "1e400", "9" * 12, "9" * 13, "999999999999.9999", "0.00001", "1.5", "٣", "1_000",
        "ZWG", "XCG", "XXX", "CLF", "localtime", "Factory", "../UTC", "zz", "x@y", "a@b.de" * 60, "x" * 131_073,
    ]
)  # fmt: skip
CELLS = HOSTILE | st.text(max_size=50) | st.dates().map(str) | st.datetimes().map(str) | st.decimals().map(str)


def row_of(name, place, value):
    columns, good, read = READERS[name]
    return read, dict(zip(columns, [*good[:place], value, *good[place + 1 :]], strict=True))


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(list(READERS)), st.integers(0, 9), CELLS)
@example("payments", 6, "9999-12-31T23:59:59-23:59")
@example("payments", 5, "ZWG")
def test_a_row_with_any_cell_is_read_or_rejected_with_the_name_of_the_column(name, place, value):
    read, row = row_of(name, place, value)
    values, reason = {}, ""
    try:
        values = read(row)
    except RowRejected as error:
        reason = str(error)
    assert bool(values) != any(column in reason for column in row)
    assert reason.encode() is not None
    for each in values.values():
        if isinstance(each, str):
            assert each.encode() == each.strip().encode()
        if isinstance(each, date):
            assert 1899 < each.year < 2201


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.lists(st.lists(CELLS, max_size=12), max_size=4))
@example(b'"')
@example(b"\xff\xfea\x00")
@example(b"account_number\r\r\r\n\x00")
def test_a_file_with_any_bytes_is_read_or_refused(tmp_path, content):
    path = tmp_path / "accounts.csv"
    if isinstance(content, list):
        written = StringIO(newline="")
        csv.writer(written).writerows([ACCOUNT_COLUMNS, *content])
        content = written.getvalue().encode(errors="surrogatepass")
    path.write_bytes(content)
    rows, reason = 0, ""
    try:
        rows = check_file(path, ACCOUNT_COLUMNS)
    except FileRefused as error:
        reason = str(error)
    assert str(path) in reason if reason else len(list(read_file(path))) == rows


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a,b\n1,\xfc\n", "line 2, column b: the byte 0xFC is not UTF-8"),
        (b'a,b\n1,"x\ny\xe4"\n', "line 2, column b: the byte 0xE4 is not UTF-8"),
        (b"a,\xfc\n", "line 1, column 2: the byte 0xFC"),
        (b"a,b\n1,\xed\xa0\x80\n", "line 2, column b: the byte 0xED"),
        ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "probably UTF-16"),
        (b"a,b,a\n1,2,3\n", "has the columns a more than once"),
        (b"\xef\xbb\xbf\xef\xbb\xbfa,b\n", "lacks the columns a"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b'a,b\n1,2\n3,"' + b"x" * 1_000_001, "line 3: the row is longer than 1,000,000 characters"),
        (b'a,b\n1,2\n3,"' + b"x\n" * 500_001, "line 3: the row is longer than 1,000,000 characters"),
        (b"a,b\n1," + b"x" * 1_000_001, "line 2: the row is longer"),
        (b"a,b\n" + b"x," * 500_001, "line 2: the row is longer"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_refused_with_the_line(tmp_path, content, sentence):
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    with pytest.raises(FileRefused) as refused:
        check_file(path, ("a", "b"))
    assert sentence in str(refused.value)


def test_a_file_with_a_byte_order_mark_old_line_ends_and_a_long_cell_is_read(tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r1,2\r\r\n3,"4\n5"\n6,' + b"x" * 200_000)
    assert [(line.number, line.row["a"]) for line in read_file(path)] == [(2, "1"), (4, "3"), (6, "6")]


def test_the_limit_of_the_csv_module_is_as_it_was():
    assert csv.field_size_limit() != files.MOST_CHARACTERS


@pytest.mark.django_db
class TestImporting:
    def test_a_long_cell_rejects_its_row_alone(self, export):
        bob = account(account_number="AT-2", username="bob", name="x" * 200_000)
        counts, rejects = export(accounts=[ACCOUNT, bob], payments=[], subscriptions=[])
        assert counts["accounts.csv"] == [1, 0, 0, 1]
        assert rejects == [("accounts.csv", 3, "name has 200000 characters; the limit is 200")]

    @pytest.mark.parametrize(
        ("cells", "reason"),
        [
            ({"paid_at": "9999-12-31T23:59:59-23:59"}, "paid_at '9999-12-31T23:59:59-23:59' is not in the years"),
            ({"paid_at": "0001-01-01T00:00:00+23:59"}, "is not in the years 1900 to 2199; correct it"),
            ({"period_end": "9999-12-31"}, "period_end '9999-12-31' is not in the years"),
            ({"currency": "ZWG"}, "is not a valid currency code"),
            ({"subscription_ref": "S\x00"}, "subscription_ref holds the character U+0000"),
            ({"subscription_ref": "x" * 131_073}, "subscription_ref has 131073 characters; the limit is 40"),
            ({"method": "a\x0bb"}, "method holds the character U+000B"),
        ],
    )
    def test_a_payment_at_a_limit_is_rejected_with_what_to_correct(self, export, cells, reason):
        counts, rejects = export(payments=[PAID, paid(payment_ref="P-2", **cells)])
        assert counts["payments.csv"] == [1, 0, 0, 1]
        assert rejects[0][:2] == ("payments.csv", 3)
        assert reason in rejects[0][2]

    def test_an_end_that_means_never_is_left_empty(self, export):
        _, rejects = export(subscriptions=[sold(ended_on="9999-12-31")], payments=[])
        assert "or leave the cell empty for none" in rejects[0][2]

    def test_the_greatest_values_are_kept(self, export):
        counts, rejects = export(
            subscriptions=[sold(price="999999999999.99", quantity="1000000", interval_count="1000")],
            payments=[paid(amount="999999999999.99", paid_at="2199-12-31T23:59:59-23:59", period_end="2199-12-31")],
        )
        assert (rejects, counts["payments.csv"]) == ([], [1, 0, 0, 0])

    def test_nothing_is_written_if_the_last_file_breaks_off(self, export, tmp_path):
        export()
        (tmp_path / "accounts.csv").write_text((tmp_path / "accounts.csv").read_text().replace("Alice", "Changed"))
        with (tmp_path / "payments.csv").open("a") as handle:
            handle.write('P-2,S-1,"' + "x" * 1_000_001)
        with pytest.raises(CommandError, match=r"Nothing was imported. .*payments.csv, line 3: the row is longer"):
            take(tmp_path)
        assert Account.objects.get().name == "Alice"

    def test_a_file_that_changed_since_it_was_checked_ends_with_a_sentence(self, export, tmp_path, monkeypatch):
        export()
        from billing.crm_import import load
        from billing.management.commands import import_crm

        def check_then_break(folder):
            rows = load.check_export(folder)
            (folder / "payments.csv").write_bytes(b"payment_ref\n\xff\n")
            return rows

        monkeypatch.setattr(import_crm, "check_export", check_then_break)
        with pytest.raises(CommandError, match="Only a part was imported"):
            call_command("import_crm", tmp_path, rejects=tmp_path / "r.csv", stdout=StringIO())


def test_a_zone_far_from_utc_at_the_last_moment():
    read, row = row_of("payments", 6, "2199-12-31T23:59:59-23:59")
    expected = datetime(2199, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=23, minutes=59)))
    assert read(row)["paid_at"] == expected.astimezone(UTC)

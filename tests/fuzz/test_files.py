"""Hostile text in an export of the CRM, and in the files of a bank: read, or refused with a sentence."""

import csv
from contextlib import suppress
from functools import partial
from io import StringIO
from xml.sax.saxutils import escape

import pytest
from django.core.management import CommandError, call_command
from hypothesis import strategies as st

from accounts.models import Account
from billing.bank_files.statements import Booking, UnreadableFile, read_here
from billing.crm_import.rows import ACCOUNT_COLUMNS, PAYMENT_COLUMNS, SUBSCRIPTION_COLUMNS
from messaging.text import is_keepable
from tests import cast
from tests.fuzz.hostile import FILES, TEXT, as_bytes, repeat
from tests.fuzz.rows import everything_allowed
from tests.fuzz.site import check
from tests.imports.test_import import ACCOUNT, PAID, SOLD

EXPORT = {
    "accounts.csv": (ACCOUNT_COLUMNS, ACCOUNT),
    "subscriptions.csv": (SUBSCRIPTION_COLUMNS, SOLD),
    "payments.csv": (PAYMENT_COLUMNS, PAID),
}
CAMT = """<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Ntry>
<Amt Ccy="{}">{}</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{}</Dt></BookgDt>
<AcctSvcrRef>{}</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>{}</EndToEndId></Refs></TxDtls></NtryDtls>
</Ntry></Stmt></BkToCstmrStmt></Document>"""
BANK_CSV = ("reference", "amount", "currency", "paid_on", "bank_reference")
BOOKED = ["EUR", "20.00", "2026-02-13", "B-1", "RF-AAAA-AAAA"]


@pytest.mark.django_db
def test_an_export_is_imported_or_refused(tmp_path):
    desk = cast.at_desk(everything_allowed())
    repeat(40, partial(take, tmp_path, desk))


def take(folder, desk, draw) -> None:
    for name, (columns, row) in EXPORT.items():
        hostile = draw(st.dictionaries(st.sampled_from(columns), TEXT, max_size=2))
        cells = [hostile.get(column, cell) for column, cell in zip(columns, row, strict=True)]
        lines = StringIO(newline="")
        csv.writer(lines).writerows([columns, cells])
        content = as_bytes(lines.getvalue()) + draw(st.sampled_from([b"", b"", b"\xff\xfe,\r\n", b'"', b"\x00\n"]))
        (folder / name).write_bytes(content)
    with suppress(CommandError):
        call_command("import_crm", folder, rejects=folder / "rejects.csv", stdout=StringIO())
    for row in Account.objects.all():
        assert is_keepable(row.username + row.name + row.email)
        check(desk.get(f"/admin/accounts/account/{row.pk}/change/"), "the page of the account")
    check(desk.get("/admin/cancellations/cancellationrequest/export/csv/"), "the export")


@pytest.mark.django_db
def test_a_file_of_the_bank_is_read_or_refused():
    repeat(150, read_statement)


def read_statement(draw) -> None:
    values = [draw(TEXT) if draw(st.integers(0, 3)) == 0 else value for value in BOOKED]
    as_csv = StringIO(newline="")
    csv.writer(as_csv).writerows([BANK_CSV, [values[4], *values[:4]]])
    as_xml = CAMT.format(*(escape(value, {'"': "&quot;"}) for value in values))
    content = draw(
        st.sampled_from([as_bytes(as_csv.getvalue()), as_bytes(as_xml), as_bytes(as_xml).replace(b"<Dt>", b"<Dt><a>")])
        | FILES
    )
    with suppress(UnreadableFile):
        assert all(isinstance(booking, Booking) for booking in read_here(content))

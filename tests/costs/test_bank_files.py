"""Bank files made to cost much are refused in words. No test looks at a clock: the kernel ends what takes too long."""

import pytest

from billing.bank_files.statements import UnreadableFile, read
from billing.services.transfers import read_back
from tests import cast

NAMESPACE = b'xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"'
BOOKED = b"<Sts><Cd>BOOK</Cd></Sts><CdtDbtInd>DBIT</CdtDbtInd>"
DETAILS = b"<TxDtls><Refs><EndToEndId>RF-%d</EndToEndId></Refs></TxDtls>"


def statement(entries: bytes) -> bytes:
    return b"<Document %s><BkToCstmrStmt><Stmt>%s</Stmt></BkToCstmrStmt></Document>" % (NAMESPACE, entries)


def nested(tag: bytes, times: int, content: bytes = b"") -> bytes:
    return b"<%s>" % tag * times + content + b"</%s>" % tag * times


DEEP = {
    "entries in entries": statement(nested(b"Ntry", 4_000, BOOKED)),
    "details in details": statement(b"<Ntry>" + nested(b"TxDtls", 200_000) + b"</Ntry>"),
    "rejections in rejections": b"<Document><CstmrPmtStsRpt>" + nested(b"TxInfAndSts", 90_000),
    "never closed": statement(b"<Ntry>")[:-40] + b"<a>" * 1_500_000,
}
LARGE = {
    "a million elements": statement(b"<a/>" * 2_400_000),
    "columns without end": b"reference,amount,currency,paid_on,bank_reference,"
    + b"," * 4_000_000
    + b"\nx,1\n" * 900_000,
    "attributes": statement(b"<a " + b" ".join(b"a%d=''" % number for number in range(600_000)) + b"/>"),
}


@pytest.mark.parametrize("content", DEEP.values(), ids=DEEP)
def test_depth_is_refused(content):
    with pytest.raises(UnreadableFile, match=r"nested|not valid XML"):
        read(content)


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_size_is_refused_or_read(content):
    try:
        assert read(content) == []
    except UnreadableFile as error:
        assert str(error)  # noqa: PT017


@pytest.mark.django_db
class TestOneEntryWithManyDetails:
    """As a bank books a file with many transfers: the details share what stands once in the entry."""

    def content(self, count: int) -> bytes:
        head = b"<Ntry><Amt Ccy='EUR'>1.50</Amt>" + BOOKED + b"<BookgDt><Dt>2026-04-21</Dt></BookgDt>"
        details = b"".join(DETAILS % number for number in range(count))
        return statement(head + b"<NtryDtls>" + details + b"</NtryDtls><AcctSvcrRef>B-1</AcctSvcrRef></Ntry>")

    def test_is_read_at_once(self, django_assert_max_num_queries):
        bookings = read(self.content(20_000))
        assert len(bookings) == 20_000
        assert {(booking.amount, booking.bank_reference) for booking in bookings} == {(None, "B-1")}
        fiona = cast.staff("finance", "Fiona")
        with django_assert_max_num_queries(60):
            results = read_back(bookings=bookings, by=fiona, now=cast.NOW)
        assert {result.what for result in results} == {"not ours"}

    def test_has_a_limit(self):
        with pytest.raises(UnreadableFile, match="more than 20,000 transfers"):
            read(self.content(20_001))


@pytest.mark.parametrize("amount", ["1e999999", "NaN", "Infinity", "9" * 100_000, "1.000000001", "١٢", "1_000", ""])
def test_an_amount_that_is_none_is_refused(amount):
    with pytest.raises(UnreadableFile, match="Line 2: write the amount like"):
        read(f"reference,amount,currency,paid_on,bank_reference\nRF-1,{amount},EUR,2026-04-21,\n".encode())

"""Bank transfers: four eyes on the account, the file for the bank, and reading back what it paid."""

import csv
import io
import zipfile
from xml.etree import ElementTree

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import InternalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from moneyed import Money

from accounts.models import StaffAction
from billing.bank_files.orders import Transfer, as_csv, is_iban, plain_account
from billing.bank_files.statements import Booking, UnreadableFile, read
from billing.models import Refund, TransferBatch, TransferItem
from billing.models.states import IllegalTransition
from billing.services.common import RefundRefused
from billing.services.review import approve, propose
from billing.services.sending import settle
from billing.services.transfers import (
    cancel_batch,
    enter_bank_details,
    make_batch,
    payee_warnings,
    read_back,
    ready_for_transfer,
)
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh
from tests.databases import behind_the_back
from tests.desk.test_review import at_desk, url

pytestmark = pytest.mark.django_db
IBAN = "DE89370400440532013000"
TODAY = cast.datetime(2026, 4, 20, 12, tzinfo=cast.UTC)


def approved(amount=None, account=IBAN, name="Zoë Bäcker"):
    refund = cast.refund_requested(amount=amount)
    enter_bank_details(refund=refund, name=name, account=account, by=cast.staff("manager"), now=NOW)
    propose(refund=refund, basis="unused", by=cast.staff("finance", "Frank"), now=NOW)
    done = approve(refund=refund, by=cast.staff("manager"), now=NOW)
    return done if done.state == "approved" else approve(refund=done, by=cast.staff("finance"), now=NOW)


def warned(*refunds):
    warnings = payee_warnings([fresh(refund) for refund in refunds])
    return {refund: warnings.get(refund.pk, []) for refund in refunds}


@pytest.fixture
def fiona(db):
    return cast.staff("finance")


@pytest.fixture
def with_company(settings):
    settings.COMPANY_NAME, settings.COMPANY_IBAN = "Atnt CRM GmbH", "NL91ABNA0417164300"


class TestAccount:
    @pytest.mark.parametrize(
        "typed", ["DE89 3704 0044 0532 0130 00", "de89370400440532013000", "GB29 NWBK 6016 1331 9268 19"]
    )
    def test_is_kept_plain(self, typed):
        assert is_iban(plain_account(typed))

    @pytest.mark.parametrize("typed", ["DE89370400440532013001", "DE8", "", "12;DROP", "GB29NWBK", "=1+1"])
    def test_wrong_digits_are_refused(self, typed, fiona):
        with pytest.raises(RefundRefused):
            enter_bank_details(refund=cast.refund_requested(), name="Zoë", account=typed, by=fiona, now=NOW)

    @pytest.mark.parametrize("name", ["", "  ", "\u2069\u202e"])
    def test_a_holder_has_a_name(self, name, fiona):
        with pytest.raises(RefundRefused, match="name of the account holder"):
            enter_bank_details(refund=cast.refund_requested(), name=name, account=IBAN, by=fiona, now=NOW)

    def test_other_accounts_are_taken(self):
        assert plain_account("0123 4567") == "01234567"

    def test_not_once_it_is_on_its_way(self, fiona):
        refund = approved()
        make_batch(refunds=[refund], by=fiona, now=TODAY)
        with pytest.raises(IllegalTransition):
            enter_bank_details(refund=refund, name="Eve", account=IBAN, by=fiona, now=TODAY)


class TestFile:
    def test_who_entered_the_account_does_not_order_the_transfer(self, fiona):
        refund, mara = approved(), cast.staff("manager")
        assert ready_for_transfer("EUR", by=mara) == []
        with pytest.raises(RefundRefused, match="You entered the bank details"):
            make_batch(refunds=[refund], by=mara, now=TODAY)
        assert fresh(refund).state == "approved"
        assert ready_for_transfer("EUR", by=fiona) == [refund]

    def test_the_list_asks_as_often_for_many_as_for_one(self, fiona, django_assert_num_queries):
        approved()
        ready_for_transfer("EUR", by=fiona)  # reads the permissions
        with CaptureQueriesContext(connection) as for_one:
            assert len(ready_for_transfer("EUR", by=fiona)) == 1
        approved(), approved()
        with django_assert_num_queries(len(for_one)):
            assert len(ready_for_transfer("EUR", by=fiona)) == 3

    def test_all_or_none(self, fiona):
        good, bare = approved(), cast.refund_requested()
        propose(refund=bare, basis="unused", by=cast.staff("finance", "Frank"), now=NOW)
        bare = approve(refund=bare, by=cast.staff("manager"), now=NOW)
        with pytest.raises(RefundRefused, match="has no bank details"):
            make_batch(refunds=[good, bare], by=fiona, now=TODAY)
        assert {fresh(good).state, fresh(bare).state} == {"approved"}
        assert not TransferBatch.objects.exists()

    def test_one_currency(self, fiona):
        with pytest.raises(RefundRefused, match="one currency"):
            make_batch(refunds=[approved(), approved(Money("30.00", "CHF"))], by=fiona, now=TODAY)

    def test_pain_001_by_the_schema(self, fiona, with_company):
        refunds = [approved(), approved(Money("0.03", "EUR"), name="山田 =SUM(A1)")]
        batch = make_batch(refunds=refunds, by=fiona, now=TODAY)
        assert batch.form == "pain.001"
        root = ElementTree.fromstring(bytes(batch.file))
        space = {"p": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}

        def told(path):
            return [one.text for one in root.iterfind(f".//p:{path}", space)]

        assert told("MsgId") == [batch.reference]
        assert sorted(told("EndToEndId")) == sorted(f"{one.reference}-1" for one in refunds)
        assert sorted(told("InstdAmt")) == ["0.02", "20.00"]
        assert told("GrpHdr/p:CtrlSum") == ["20.02"]
        assert told("ReqdExctnDt/p:Dt") == ["2026-04-20"]
        assert "Zoe Backer" in told("Cdtr/p:Nm")
        assert {fresh(one).state for one in refunds} == {"sending"}
        assert batch.total == Money("20.02", "EUR")

    @pytest.mark.parametrize(
        ("amount", "shown"), [("1000 JPY", "667"), ("10.000 BHD", "6.667"), ("30.00 CHF", "20.00")]
    )
    def test_other_currencies_as_csv_with_their_own_decimals(self, fiona, with_company, amount, shown):
        figure, currency = amount.split()
        batch = make_batch(refunds=[approved(Money(figure, currency), "01234567", "=cmd()")], by=fiona, now=TODAY)
        (row,) = csv.DictReader(io.StringIO(bytes(batch.file).decode("utf-8-sig")))
        assert (batch.form, row["amount"], row["currency"], row["name"]) == ("csv", shown, currency, "'=cmd()")

    @pytest.mark.parametrize("text", ["=1", "＝1", "\u200e=1", " +1", "-1", "@x", "\n=1"])
    def test_no_text_of_the_csv_is_taken_for_a_formula(self, text):
        lines = as_csv([Transfer(text, text, text, Money("1", "CHF"), text)]).decode("utf-8-sig")
        (row,) = csv.DictReader(io.StringIO(lines, newline=""))
        assert all(row[name].startswith("'") for name in ("reference", "name", "account", "purpose"))

    def test_without_the_companys_account_as_csv(self, fiona):
        assert make_batch(refunds=[approved()], by=fiona, now=TODAY).form == "csv"

    def test_the_same_refund_is_not_ordered_twice(self, fiona):
        refund = approved()
        make_batch(refunds=[refund], by=fiona, now=TODAY)
        with pytest.raises(IllegalTransition):
            make_batch(refunds=[refund], by=fiona, now=TODAY)


CAMT = """<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08">
<BkToCstmrDbtCdtNtfctn><Ntfctn>
<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>{status}</Cd></Sts>
<BookgDt><Dt>2026-04-21</Dt></BookgDt><AcctSvcrRef>BANK-77</AcctSvcrRef><NtryDtls><TxDtls>
<Refs><EndToEndId>{reference}</EndToEndId></Refs><Amt Ccy="EUR">{amount}</Amt>{more}</TxDtls></NtryDtls></Ntry>
</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"""
PAIN_002 = """<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt><OrgnlPmtInfAndSts>
<TxInfAndSts><OrgnlEndToEndId>{reference}</OrgnlEndToEndId><TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC01</Cd></Rsn>
<AddtlInf>Account closed</AddtlInf></StsRsnInf></TxInfAndSts></OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>"""


_GROUP = """<StsRsnInf><Rsn><Cd>FF01</Cd></Rsn><AddtlInf>Unreadable</AddtlInf></StsRsnInf>"""
_ANSWER = """<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>
<OrgnlGrpInfAndSts><OrgnlMsgId>{reference}</OrgnlMsgId>%s</OrgnlGrpInfAndSts>%s</CstmrPmtStsRpt></Document>"""
REJECTED_BATCH = {
    "message": _ANSWER % (f"<GrpSts>RJCT</GrpSts>{_GROUP}", ""),
    "block": _ANSWER
    % (
        "",
        "<OrgnlPmtInfAndSts><OrgnlPmtInfId>{reference}</OrgnlPmtInfId><PmtInfSts>RJCT</PmtInfSts>"
        f"{_GROUP}</OrgnlPmtInfAndSts>",
    ),
}
BOOKED_BATCH = """<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Ntry>
<Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-04-21</Dt></BookgDt>
<AcctSvcrRef>BANK-77</AcctSvcrRef><NtryDtls><Btch><{tag}>{reference}</{tag}></Btch></NtryDtls></Ntry></Stmt>
</BkToCstmrStmt></Document>"""
MT940 = """:20:STARTUMS
:25:ABNANL2A/0417164300
:28C:1/1
:60F:C260420EUR100,00
:61:2604210421{mark}20,00NTRFNONREF//BANK-77
:86:177?00SEPA TRANSFER?20EREF+{reference}?21SVWZ+Refund?32ZOE BACKER
:61:2604210421D1,00NMSCNONREF//BANK-78
:86:Fees
:62F:C260421EUR79,00
"""


def zipped(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("statements/1.xml", content)
    return out.getvalue()


CAMT_FIELDS = {"amount": "20.00", "side": "DBIT", "status": "BOOK", "more": ""}


def camt(refund, amount="20.00", side="DBIT", status="BOOK", more=""):
    told = {"amount": amount, "side": side, "status": status, "more": more, "reference": fresh(refund).end_to_end_id}
    return CAMT.format(**told).encode()


class TestReadingBack:
    LATER = TODAY + cast.timedelta(days=2)

    @pytest.fixture
    def sent(self, fiona):
        refund = approved()
        make_batch(refunds=[refund], by=fiona, now=TODAY)
        return refund

    def back(self, content, fiona):
        return [(one.what, one.why) for one in read_back(bookings=read(content), by=fiona, now=self.LATER)]

    def test_a_booking_is_paid(self, sent, fiona):
        assert self.back(camt(sent), fiona) == [("paid", "BANK-77")]
        paid = fresh(sent)
        assert (paid.state, paid.settlement_reference, str(paid.paid_on)) == ("paid", "BANK-77", "2026-04-21")
        assert paid.credit_note

    def test_the_same_file_twice_changes_nothing(self, sent, fiona):
        self.back(camt(sent), fiona)
        assert self.back(camt(sent), fiona)[0][0] == "known before"
        assert fresh(sent).credit_note_number == 1

    def test_another_sum_is_left_alone(self, sent, fiona):
        ((what, why),) = self.back(camt(sent, amount="19.99"), fiona)
        assert what == "refused"
        assert "19.99" in why
        assert fresh(sent).state == "sending"

    def test_what_is_not_booked_yet_is_no_payment(self, sent, fiona):
        assert self.back(camt(sent, status="PDNG"), fiona) == [("no answer", "It is not booked yet (PDNG).")]
        assert fresh(sent).state == "sending"

    @pytest.mark.parametrize(
        "change",
        [
            {"side": "CRDT"},
            {"more": "<RtrInf><Rsn><Prtry>closed</Prtry></Rsn></RtrInf>"},
            {"more": "<BkTxCd><Domn><Fmly><Cd>ICDT</Cd><SubFmlyCd>RRTN</SubFmlyCd></Fmly></Domn></BkTxCd>"},
        ],
        ids=["a credit", "return information", "transaction code"],
    )
    def test_what_comes_back_after_it_was_paid_is_owed_again(self, sent, fiona, change):
        booked, returned = camt(sent), camt(sent, **change)
        self.back(booked, fiona)
        ((what, why),) = self.back(returned, fiona)
        assert (what, fresh(sent).state) == ("came back", "failed")
        assert ("closed" in why) == ("closed" in str(change))
        assert [str(note.reverses or "") for note in fresh(sent).credit_notes.all()] == ["", "CN-000001"]
        assert self.back(returned, fiona)[0][0] == "known before"
        ((what, why),) = self.back(booked, fiona)
        assert (what, fresh(sent).state) == ("known before", "failed")
        assert "came back later (CN-000002)" in why

        make_batch(refunds=[sent], by=fiona, now=self.LATER)
        assert {self.back(file, fiona)[0][0] for file in (booked, returned)} == {"known before"}
        self.back(camt(sent).replace(b"BANK-77", b"BANK-78"), fiona)
        assert {self.back(file, fiona)[0][0] for file in (booked, returned)} == {"known before"}
        assert (fresh(sent).state, fresh(sent).credit_note) == ("paid", "CN-000003")

    def test_what_was_paid_by_hand_after_a_return_is_not_touched_by_the_old_file(self, sent, fiona):
        returned = camt(sent, side="CRDT")
        self.back(camt(sent), fiona)
        self.back(returned, fiona)
        settle(refund=sent, by=fiona, reference="SEPA 9", paid_on=self.LATER.date(), now=self.LATER)
        assert self.back(returned, fiona) == [("known before", "This return was recorded already.")]
        assert fresh(sent).state == "paid"

    def test_more_than_was_ordered_does_not_come_back(self, sent, fiona):
        self.back(camt(sent), fiona)
        assert self.back(camt(sent, side="CRDT", amount="20.01"), fiona)[0][0] == "refused"

    def test_a_reversed_credit_is_for_a_person(self, sent, fiona):
        content = camt(sent).replace(b"<Sts>", b"<RvslInd>true</RvslInd><Sts>")
        assert self.back(content, fiona) == [("no answer", "It reverses a credit. Look at it by hand.")]
        content = content.replace(b"DBIT", b"CRDT")
        assert self.back(content, fiona)[0][0] == "failed"

    def test_the_amount_in_the_currency_of_the_order_counts(self, sent, fiona):
        account = b'<AmtDtls><InstdAmt><Amt Ccy="EUR">20.00</Amt></InstdAmt></AmtDtls>'
        content = camt(sent, amount="18.71").replace(b'</Refs><Amt Ccy="EUR">', b'</Refs><Amt Ccy="CHF">')
        content = content.replace(b"</TxDtls>", account + b"</TxDtls>")
        assert self.back(content, fiona) == [("paid", "BANK-77")]

    @pytest.mark.parametrize(
        ("instant", "day"),
        [
            ("2026-04-20T22:30:00Z", "2026-04-21"),
            ("2026-04-21T01:00:00+02:00", "2026-04-21"),
            ("2026-04-21T23:59:59", "2026-04-21"),
        ],
    )
    def test_an_instant_is_a_day_in_our_zone(self, sent, instant, day):
        content = camt(sent).replace(b"<Dt>2026-04-21</Dt>", f"<DtTm>{instant}</DtTm>".encode())
        (booking,) = read(content, zone="Europe/Berlin")
        assert str(booking.booked_on) == day

    @pytest.mark.parametrize("text", ["Refund {0} CR-ABCD-EFGH", "REFUND {0}\nCR", "SVWZ+{1}"])
    def test_a_reference_in_the_text_alone_is_found(self, sent, fiona, text):
        reference = fresh(sent).end_to_end_id
        broken = f"{reference[:6]}\n{reference[6:]}"
        remittance = f"<RmtInf><Ustrd>{text.format(reference, broken)}</Ustrd></RmtInf>".encode()
        content = (
            camt(sent).replace(reference.encode(), b"NOTPROVIDED").replace(b"</TxDtls>", remittance + b"</TxDtls>")
        )
        assert self.back(content, fiona) == [("paid", "BANK-77")]

    def test_each_entry_that_helps_nothing_says_why(self, sent, fiona):
        content = camt(sent).replace(fresh(sent).end_to_end_id.encode(), b"NOTPROVIDED")
        assert self.back(content, fiona) == [("no answer", "It names no reference of a transfer.")]
        accepted = PAIN_002.format(reference=sent.reference).replace("RJCT", "ACSP").encode()
        assert self.back(accepted, fiona) == [("no answer", "The bank answers ACSP, which is no booking.")]

    @pytest.mark.parametrize(
        ("code", "words"), [("RVNM", "is not that"), ("RVMC", "is nearly that"), ("RCVC", "is that")]
    )
    def test_what_the_payees_bank_says_about_the_name_is_shown_and_kept(self, sent, fiona, code, words):
        content = PAIN_002.format(reference=fresh(sent).end_to_end_id).replace("RJCT", code).encode()
        ((what, why),) = self.back(content, fiona)
        assert (what, fresh(sent).state) == ("payee", "sending")
        assert words in why
        assert StaffAction.objects.get(verb="payee_checked").about == sent.reference

    def test_the_words_of_a_refusal_are_those_of_the_desk(self, sent, fiona):
        ((_, why),) = self.back(camt(sent, amount="19.99"), fiona)
        assert why == "The bank booked €19.99, we ordered €20.00. Check it by hand."

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda content: b"\r\n\n" + content,
            lambda content: b"\xef\xbb\xbf" + content,
            lambda content: content.decode().encode("utf-16"),
            lambda content: content.decode().replace("?>", " encoding='UTF-16'?>", 1).encode("utf-16"),
            lambda content: content.decode().encode("utf-16-le"),
            lambda content: zipped(content),
        ],
        ids=["a blank line first", "a mark of UTF-8", "UTF-16", "UTF-16 that says so", "UTF-16 without a mark", "ZIP"],
    )
    def test_however_it_is_packed(self, sent, fiona, wrap):
        assert self.back(wrap(camt(sent)), fiona) == [("paid", "BANK-77")]

    @pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x03\x04" + 200 * b"x"])
    def test_an_archive_that_is_none_says_so(self, content):
        with pytest.raises(UnreadableFile, match="ZIP"):
            read(content)

    def test_an_archive_that_grows_without_end_is_refused(self):
        with pytest.raises(UnreadableFile, match="larger than"):
            read(zipped(b" " * 50_000_000))

    @pytest.mark.parametrize(
        ("mark", "result"), [("D", "paid"), ("C", "failed"), ("RD", "failed"), ("RC", "no answer")]
    )
    def test_mt940(self, sent, fiona, mark, result):
        content = MT940.format(mark=mark, reference=fresh(sent).end_to_end_id).encode()
        results = self.back(content, fiona)
        assert [what for what, _ in results] == [result, "no answer"]
        if result == "paid":
            assert str(fresh(sent).paid_on) == "2026-04-21"

    def test_what_comes_back_has_failed(self, sent, fiona):
        returned = camt(sent, side="CRDT", more="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>")
        assert self.back(returned, fiona) == [("failed", "returned by the bank (AC04)")]
        assert fresh(sent).state == "failed"

    def test_what_was_rejected_has_failed_and_is_ordered_again(self, sent, fiona):
        told = self.back(PAIN_002.format(reference=sent.reference).encode(), fiona)
        assert told == [("failed", "rejected by the bank (AC01): Account closed")]
        assert ready_for_transfer("EUR", by=fiona) == [fresh(sent)]
        assert make_batch(refunds=[sent], by=fiona, now=self.LATER).count == 1

    def test_an_answer_to_an_earlier_order_does_not_touch_the_current_one(self, sent, fiona):
        """A rejection, a second order, then the old file once more: nobody may order a third."""
        first = fresh(sent).end_to_end_id
        rejection = PAIN_002.format(reference=first).encode()
        self.back(rejection, fiona)
        assert self.back(rejection, fiona) == [("known before", "This was recorded already.")]
        make_batch(refunds=[sent], by=fiona, now=self.LATER)
        second = fresh(sent).end_to_end_id
        assert len({first, second, sent.reference}) == 3
        for reference in (first, sent.reference):
            ((what, _),) = self.back(PAIN_002.format(reference=reference).encode(), fiona)
            assert what == "known before"
        assert fresh(sent).state == "sending"
        ((what, why),) = self.back(CAMT.format(**CAMT_FIELDS, reference=first).encode(), fiona)
        assert (what, fresh(sent).state) == ("refused", "sending")
        assert "paid twice" in why
        assert self.back(camt(sent), fiona) == [("paid", "BANK-77")]
        assert self.back(PAIN_002.format(reference=first).encode(), fiona)[0][0] == "known before"
        assert fresh(sent).state == "paid"

    def test_a_booking_that_is_read_after_its_return_changes_nothing(self, sent, fiona):
        booked = camt(sent)
        self.back(camt(sent, side="CRDT", more="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"), fiona)
        assert self.back(booked, fiona)[0][0] == "refused"
        assert fresh(sent).state == "failed"

    def test_an_order_of_the_release_before_is_read_back(self, sent, fiona):
        """It had no reference of its own and was not counted."""
        with behind_the_back():
            Refund.objects.filter(pk=sent.pk).update(attempts=0)
            TransferItem.objects.update(end_to_end_id="")
        assert self.back(camt(sent), fiona) == [("paid", "BANK-77")]

    def test_a_refund_that_nobody_ordered_is_not_paid_by_a_booking(self, fiona):
        refund = approved()
        assert self.back(camt(refund), fiona)[0][0] == "refused"
        assert fresh(refund).state == "approved"

    def test_csv_and_strangers(self, sent, fiona):
        lines = [
            "reference,amount,currency,paid_on,bank_reference",
            f"{sent.reference},20.00,EUR,2026-04-21,X1",
            "RF-NONE,1.00,EUR,2026-04-21,X2",
        ]
        assert [what for what, _ in self.back("\n".join(lines).encode("utf-8-sig"), fiona)] == ["paid", "not ours"]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"<a",
            b"<a/>",
            b"\xff\xfe\x00",
            b"reference,amount\nx,1",
            b"reference,amount,currency,paid_on,bank_reference\nx,eleven,EUR,2026-04-21,",
            b"reference,amount,currency,paid_on,bank_reference\nx,1,EURO,2026-04-21,",
            b"reference,amount,currency,paid_on,bank_reference\nx,1,EUR,21.4.2026,",
            b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        ],
    )
    def test_a_file_that_is_none_says_so(self, content):
        with pytest.raises(UnreadableFile):
            read(content)

    @pytest.mark.parametrize("level", ["message", "block"])
    def test_a_batch_that_the_bank_rejects_has_failed_as_a_whole(self, fiona, level):
        refunds = [approved(), approved()]
        batch = make_batch(refunds=refunds, by=fiona, now=TODAY)
        content = REJECTED_BATCH[level].format(reference=batch.reference).encode()
        assert self.back(content, fiona) == 2 * [("failed", "rejected by the bank (FF01): Unreadable")]
        assert {fresh(refund).state for refund in refunds} == {"failed"}
        make_batch(refunds=refunds, by=fiona, now=self.LATER)
        assert [what for what, _ in self.back(content, fiona)] == 2 * ["known before"]

    @pytest.mark.parametrize("tag", ["MsgId", "PmtInfId"])
    @pytest.mark.parametrize("count", [1, 2])
    def test_a_batch_that_is_booked_in_one_entry_is_paid(self, fiona, tag, count):
        refunds = [approved() for _ in range(count)]
        batch = make_batch(refunds=refunds, by=fiona, now=TODAY)
        content = BOOKED_BATCH.format(tag=tag, reference=batch.reference, amount=batch.total.amount).encode()
        assert self.back(content, fiona) == count * [("paid", "BANK-77")]
        assert {fresh(refund).state for refund in refunds} == {"paid"}
        assert self.back(content, fiona)[0][0] == "known before"

    def test_a_batch_that_is_booked_with_another_sum_is_left_alone(self, fiona):
        batch = make_batch(refunds=[approved(), approved()], by=fiona, now=TODAY)
        content = BOOKED_BATCH.format(tag="MsgId", reference=batch.reference, amount="20.00").encode()
        assert self.back(content, fiona) == [
            ("refused", "The bank booked €20.00, the file orders €40.00. Check it by hand.")
        ]

    def test_a_day_that_the_bank_does_not_name(self, sent, fiona):
        bookings = [Booking(sent.reference, Money("20.00", "EUR"), None, "")]
        assert read_back(bookings=bookings, by=fiona, now=self.LATER)[0].what == "refused"
        self.back(camt(sent), fiona)
        assert read_back(bookings=bookings, by=fiona, now=self.LATER)[0].what == "refused"  # and after it is paid


class TestCancelling:
    def test_a_file_that_the_bank_did_not_get(self, fiona):
        refunds = [approved(), approved()]
        batch = make_batch(refunds=refunds, by=fiona, now=TODAY)
        booked, mails = camt(refunds[0]), OutgoingMessage.objects.count()
        cancel_batch(batch=batch, ground="Wrong execution date", by=fiona, now=TODAY)
        assert [(fresh(one).state, "Wrong execution date" in fresh(one).failure) for one in refunds] == 2 * [
            ("failed", True)
        ]
        assert OutgoingMessage.objects.count() == mails
        with pytest.raises(RefundRefused, match="already"):
            cancel_batch(batch=batch, ground="Again", by=fiona, now=TODAY)
        make_batch(refunds=refunds, by=fiona, now=TODAY)
        (result,) = read_back(bookings=read(booked), by=fiona, now=TestReadingBack.LATER)
        assert (result.what, "paid twice" in result.why) == ("refused", True)

    def test_not_once_the_bank_answered(self, fiona):
        refunds = [approved(), approved()]
        batch = make_batch(refunds=refunds, by=fiona, now=TODAY)
        read_back(bookings=read(camt(refunds[0])), by=fiona, now=TestReadingBack.LATER)
        with pytest.raises(RefundRefused, match="the bank has answered"):
            cancel_batch(batch=batch, ground="Wrong date", by=fiona, now=TODAY)
        assert fresh(refunds[1]).state == "sending"

    def test_with_a_ground(self, fiona):
        batch = make_batch(refunds=[approved()], by=fiona, now=TODAY)
        with pytest.raises(RefundRefused, match="Say why"):
            cancel_batch(batch=batch, ground=" ", by=fiona, now=TODAY)

    @pytest.mark.parametrize("change", [{"file": b"x"}, {"count": 9}])
    def test_the_file_itself_never_changes(self, fiona, change):
        batch = make_batch(refunds=[approved()], by=fiona, now=TODAY)
        with pytest.raises(InternalError, match="Cannot update"), transaction.atomic():
            TransferBatch.objects.filter(pk=batch.pk).update(**change)

    def test_at_the_desk(self, fiona):
        batch = make_batch(refunds=[approved()], by=fiona, now=TODAY)
        desk, page = at_desk(fiona), reverse("admin:transfer_cancel", args=[batch.pk])
        assert desk.get(page).status_code == 200
        assert desk.post(page, {"ground": ""}).status_code == 422
        assert desk.post(page, {"ground": "Wrong date"}).url == reverse(
            "admin:billing_transferbatch_change", args=[batch.pk]
        )
        shown = desk.get(reverse("admin:billing_transferbatch_change", args=[batch.pk])).content.decode()
        assert "Wrong date" in shown
        assert page not in shown


class TestAtTheDesk:
    def test_from_the_account_to_the_credit_note(self, fiona, with_company):
        refund = approved(account="0123456789")
        frank = at_desk(cast.staff("finance", "Frank"))
        answer = frank.post(url(refund, "bank-details"), {"name": "Alice", "account": "DE89370400440532013001"})
        assert "check digits" in answer.content.decode()
        frank.post(url(refund, "bank-details"), {"name": "Alice", "account": IBAN})
        desk = at_desk(fiona)
        page = desk.get(reverse("admin:billing_transferbatch_add"))
        assert refund.reference in page.content.decode()
        made = desk.post(reverse("admin:billing_transferbatch_add"), {"currency": "EUR", "refunds": [str(refund.pk)]})
        batch = TransferBatch.objects.get()
        assert made.url == reverse("admin:billing_transferbatch_change", args=[batch.pk])
        assert "Save the file" in desk.get(made.url).content.decode()
        file = desk.get(reverse("admin:transfer_file", args=[batch.pk]))
        assert file.content == bytes(batch.file)
        assert StaffAction.objects.get(verb="download").about == batch.reference
        today = fresh(refund).state_changed_at.date().isoformat()
        content = f"reference,amount,currency,paid_on,bank_reference\n{refund.reference},20.00,EUR,{today},X\n"
        told = desk.post(reverse("admin:transfers_read"), {"file": SimpleUploadedFile("bank.csv", content.encode())})
        assert "<td>paid</td>" in told.content.decode()
        assert fresh(refund).state == "paid"
        assert desk.get(url(refund)).status_code == 200
        assert desk.get(reverse("admin:billing_transferbatch_changelist")).status_code == 200

    def test_what_to_check_before_the_money_goes(self, fiona):
        own, other, third = approved(name="Alice Bäcker"), approved(name="Dr. Mallory"), approved(account="0123456789")
        for refund, name in ((own, "Alice BAECKER"), (other, "Bob"), (third, "Zoë")):
            refund.account.name = name
            refund.account.save()
        shared = "Refunds of 2 customers go to this account."
        rows = {refund: warnings for refund, warnings in warned(own, other, third).items() if warnings}
        assert rows == {own: [shared], other: [shared, "The account holder is not the customer, Bob."]}
        page = at_desk(fiona).get(reverse("admin:billing_transferbatch_add")).content.decode()
        assert page.count(shared) == 2
        assert shared in at_desk(fiona).get(url(own)).content.decode()

    def test_nothing_waits(self, fiona):
        assert "No transfer waits" in at_desk(fiona).get(reverse("admin:billing_transferbatch_add")).content.decode()

    def test_a_wrong_file_says_so(self, fiona):
        told = at_desk(fiona).post(reverse("admin:transfers_read"), {"file": SimpleUploadedFile("x.pdf", b"%PDF-1.4")})
        assert told.status_code == 422

    @pytest.mark.parametrize("role", ["support", "manager"])
    def test_only_who_may(self, role, fiona):
        refund = approved()
        batch = make_batch(refunds=[refund], by=fiona, now=TODAY)
        desk = at_desk(cast.staff(role))
        pages = [reverse("admin:billing_transferbatch_add"), reverse("admin:transfers_read")]
        pages.append(reverse("admin:transfer_file", args=[batch.pk]))
        allowed = 200 if role == "manager" else 403
        assert [desk.get(page).status_code for page in pages] == [allowed] * 3


def test_the_file_says_nothing_of_another_currency():
    assert b"EUR" in as_csv([Transfer("RF-1", "A", IBAN, Money("1.00", "EUR"), "x")])

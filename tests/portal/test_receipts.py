"""The receipt: sealed in a chain, the same to the byte whenever it is fetched, and checked by anybody."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from io import StringIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import InternalError, connection, transaction
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from cancellations.letters.proof import proof_token
from cancellations.models import Receipt
from cancellations.receipts.pdf import receipt_pdf
from cancellations.receipts.seal import canonical, seal_of
from cancellations.services.receipts import broken_receipts, is_genuine, is_intact, pdf_of
from cancellations.wording.explanation import sentences
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW
from tests.databases import behind_the_back

pytestmark = pytest.mark.django_db
WORDS = 'Zoë: «Grüße», <b>no</b> #markup *here* $x$ @ref \\ "quoted"\n'
WORDS += "山田 健一, شركة النور, Ελληνικά, Жук, שלום, हिन्दी, ไทย 😀"


@pytest.fixture
def policy(db):
    return cast.policy()


def check(client, **given):
    return client.post(reverse("verify"), given).content.decode()


class TestTheSeal:
    def test_it_covers_what_was_declared_word_for_word_and_the_answer(self, policy):
        request = cast.in_review(words=WORDS)
        told = json.loads(Receipt.objects.get().content)
        assert (told["words"], told["received"]) == (WORDS, "12 February 2026, 14:07:31 (Europe/Berlin)")
        assert told["subscriptions"][0]["explanation"] == sentences(request.explanation)
        assert told["subscriptions"][0]["ends_on"] == "2026-02-28"

    def test_each_seal_covers_the_one_before(self, policy):
        for _ in range(3):
            cast.in_review()
        first, second, third = Receipt.objects.all()
        assert [one.number for one in (first, second, third)] == [1, 2, 3]
        assert first.previous_seal == "0" * 64
        assert (second.previous_seal, third.previous_seal) == (first.seal, second.seal)
        assert all(one.seal == seal_of(one.previous_seal, one.content) for one in (first, second, third))

    def test_a_guest_gets_it_with_the_proof_and_not_before(self, client, policy):
        request = cast.unverified(cast.subscription().account)
        assert not Receipt.objects.exists()
        client.post(reverse("request_proof", args=[proof_token(request)]))
        assert Receipt.objects.get().declaration == request.reference

    def test_several_subscriptions_have_one(self, policy):
        holder = cast.account("Bob")
        cast.of_several(cast.subscription(holder), cast.subscription(holder))
        assert len(json.loads(Receipt.objects.get().content)["subscriptions"]) == 2

    def test_nothing_of_it_changes_by_sql_and_it_stays(self, policy):
        cast.in_review()
        later = {"issued_at": datetime(2027, 1, 1, tzinfo=UTC)}
        for change in ({"content": "{}"}, {"seal": "0" * 64}, {"number": 9}, later):
            with pytest.raises(InternalError, match="Cannot"), transaction.atomic():
                Receipt.objects.update(**change)
        with pytest.raises(InternalError, match="Cannot delete"), transaction.atomic():
            Receipt.objects.all().delete()

    def test_what_was_changed_behind_the_guards_is_found(self, policy):
        for _ in range(3):
            cast.in_review()
        middle = Receipt.objects.get(number=2)
        with behind_the_back() as cursor:
            cursor.execute(
                "UPDATE cancellations_receipt SET content = replace(content, 'dear', 'fine') WHERE number = 2"
            )
        assert not is_intact(Receipt.objects.get(number=2))
        with behind_the_back() as cursor:  # somebody who also makes a new seal breaks the chain behind it
            forged = Receipt.objects.get(number=2)
            new = seal_of(forged.previous_seal, forged.content)
            cursor.execute("UPDATE cancellations_receipt SET seal = %s WHERE number = 2", [new])
        assert not is_intact(Receipt.objects.get(number=2))
        assert not is_intact(Receipt.objects.get(number=3))
        assert is_intact(Receipt.objects.get(number=1))
        assert not is_genuine(reference=middle.declaration, seal=middle.seal)
        assert [line.split(" (")[0] for line in broken_receipts()] == ["Receipt 3"]
        with pytest.raises(CommandError, match="1 fault"):
            call_command("verify_receipts", stdout=StringIO())

    def test_one_that_was_taken_away_is_missed(self, policy):
        for _ in range(3):
            cast.in_review()
        call_command("verify_receipts", stdout=(out := StringIO()))
        assert "3 receipts, each sealed" in out.getvalue()
        with behind_the_back() as cursor:
            cursor.execute("DELETE FROM cancellations_receipt WHERE number = 2")
        assert list(broken_receipts()) == ["Receipts 2 to 2 are missing."]


@given(st.dictionaries(st.text(min_size=1), st.text() | st.booleans() | st.integers(-(10**9), 10**9)))
def test_one_content_has_one_text(content):
    text = canonical(content)
    assert json.loads(text) == content
    assert canonical(dict(reversed(content.items()))) == text


@pytest.mark.django_db(transaction=True)
def test_receipts_of_the_same_moment_make_one_chain():
    cast.policy()
    subscriptions = [cast.subscription() for _ in range(8)]

    def ask(of):
        try:
            cast.in_review(of)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, subscriptions))
    assert sorted(Receipt.objects.values_list("number", flat=True)) == list(range(1, 9))
    assert all(is_intact(one) for one in Receipt.objects.all())


class TestThePdf:
    def test_it_is_the_same_to_the_byte_whenever_it_is_fetched(self, policy):
        request = cast.in_review(words=WORDS, at=NOW.replace(microsecond=123456))
        client = Client()
        client.force_login(cast.customer(request.account))
        address = reverse("request_receipt", args=[request.reference])
        first = client.get(address)
        assert first["Content-Type"] == "application/pdf"
        assert first["Content-Disposition"] == f'attachment; filename="{request.reference}.pdf"'
        assert first.content[:5] == b"%PDF-"
        assert client.get(address).content == first.content

    def test_it_keeps_the_standards_of_archives_and_screen_readers_in_every_script(self, policy):
        cast.in_review(words=WORDS)
        pdf = pdf_of(Receipt.objects.get())
        assert b"<pdfaid:part>2</pdfaid:part>" in pdf
        assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf

    @pytest.mark.parametrize("words", ["😀" * 50, "\u200b\u2028 zero", "\ue000 private", "x" * 5000, "𒀀𒁀", "ﷺ ͏"])
    def test_marks_that_no_font_has_do_not_break_it(self, policy, words):
        cast.in_review(words=words)
        assert pdf_of(Receipt.objects.get()).startswith(b"%PDF-")

    def test_the_same_content_gives_the_same_file_on_every_run(self, policy):
        cast.in_review()
        told = Receipt.objects.get()
        given = {"number": 1, "seal": told.seal, "issued": NOW}
        assert receipt_pdf(told.content, **given) == receipt_pdf(told.content, **given)

    def test_only_its_holder_gets_it(self, policy, client):
        request = cast.in_review()
        mallory = Client()
        mallory.force_login(cast.customer(cast.account("Mallory")))
        address = reverse("request_receipt", args=[request.reference])
        assert {client.get(address).status_code, mallory.get(address).status_code} == {403}
        assert client.get(reverse("request_receipt", args=["CR-2222-2222"])).status_code == 403

    def test_the_receipt_of_an_unproven_request_is_not_there_yet(self, policy, client):
        request = cast.unverified(cast.account())
        assert client.get(reverse("request_receipt", args=[request.reference])).status_code == 403


class TestChecking:
    def test_by_file_and_by_reference_and_seal(self, policy, client):
        request = cast.in_review()
        receipt = Receipt.objects.get()
        pdf = pdf_of(receipt)
        assert "This receipt is genuine" in check(client, file=SimpleUploadedFile("r.pdf", pdf))
        spaced = f" {receipt.seal[:32].upper()} {receipt.seal[32:]}\n"
        assert "This receipt is genuine" in check(client, reference=request.reference.lower(), seal=spaced)

    def test_what_was_changed_or_never_was_looks_the_same(self, policy, client):
        request, receipt = cast.in_review(), Receipt.objects.get()
        changed = pdf_of(receipt).replace(b"%PDF-1.7", b"%PDF-1.6")
        answers = {
            check(client, file=SimpleUploadedFile("r.pdf", changed)).split("<form")[0],
            check(client, file=SimpleUploadedFile("r.pdf", b"anything")).split("<form")[0],
            check(client, reference=request.reference, seal="0" * 64).split("<form")[0],
            check(client, reference="CR-2222-2222", seal=receipt.seal).split("<form")[0],
        }
        assert len(answers) == 1
        assert "We can’t confirm this receipt" in answers.pop()

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({}, "Choose the file, or enter the reference"),
            ({"reference": "CR-2222-2222"}, "Enter the seal, too"),
            ({"reference": "CR-2222-2222", "seal": "0" * 300}, "64 digits and letters"),
            ({"file": SimpleUploadedFile("empty.pdf", b"")}, "This file is empty"),
        ],
    )
    def test_bad_input_says_what_to_do(self, policy, client, given, sentence):
        answer = client.post(reverse("verify"), given)
        assert answer.status_code == 422
        assert sentence in answer.content.decode()

    def test_the_mail_and_the_pages_lead_there(self, policy):
        request = cast.in_review()
        letter = OutgoingMessage.objects.get(kind="received").text
        receipt = Receipt.objects.get()
        for part in (receipt.seal, "/verify/", f"/requests/{request.reference}/receipt.pdf"):
            assert part in letter, part
        client = Client()
        client.force_login(cast.customer(request.account))
        assert receipt.seal in client.get(f"/requests/{request.reference}/").content.decode()
        assert date(2026, 2, 28) == request.effective_on

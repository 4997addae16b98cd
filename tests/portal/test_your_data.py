"""A customer reads and downloads all that the portal keeps."""

import json
from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from cancellations.services.review import waive_notice
from tests import cast
from tests.cast import NOW

pytestmark = pytest.mark.django_db


def signed_in(holder):
    client = Client()
    client.force_login(cast.customer(holder))
    return client


@pytest.fixture
def alice(db):
    """Everything that there can be: a payment, a late request with words and a file, a refund, a termination."""
    cast.policy()
    of = cast.subscription()
    cast.payment(of, date(2026, 1, 31), date(2026, 2, 28))
    late = NOW.replace(day=20)
    request = cast.in_review(of, at=late, words="Because <b>so</b>", refund_wanted=True, refund_reason="Broken")
    waive_notice(request=request, by=cast.staff("support"), ground="Staff only: in hospital", now=late)
    signed_in(of.account).post(
        reverse("request_files", args=[request.reference]), {"file": SimpleUploadedFile("proof.txt", b"proof")}
    )
    cast.terminated(of.account, at=late, evidence="Staff only: log")
    return of.account


def client_of(holder):
    client = Client()
    client.force_login(cast.User.objects.get(email=holder.email))
    return client


def test_all_of_it_as_a_file_and_to_be_read(alice):
    client = client_of(alice)
    answer = client.get("/your-data.json")
    assert answer["Content-Disposition"] == 'attachment; filename="your-data.json"'
    (told,) = json.loads(answer.content)["accounts"]
    assert told["account"]["account_number"] == alice.account_number
    (request,) = told["cancellation_requests"]
    assert (request["words"], request["state"]) == ("Because <b>so</b>", "superseded")
    assert [entry["what"] for entry in request["history"]] == ["submit", "waive", "terminate"]
    counts = {name: len(rows) for name, rows in told.items() if isinstance(rows, list)}
    assert counts == {
        "subscriptions": 1, "payments": 1, "cancellation_requests": 1, "receipts": 1, "refunds": 1, "terminations": 1,
        "files": 1, "messages": 3, "mails": 0, "passkeys": 0, "sessions": 2,
    }  # fmt: skip
    page = client.get("/your-data/").content.decode()
    for part in ("Because &lt;b&gt;so&lt;/b&gt;", "proof.txt", "Mass mailings on 3 February 2026.", "€30.00"):
        assert part in page, part


def test_what_the_holder_wrote_to_us(alice):
    cast.waits_for_an_answer(alice, "Where is my <b>invoice</b>?")
    cast.waits_for_an_answer(cast.account("Mallory"), "Somebody else's words")
    client = client_of(alice)
    (told,) = json.loads(client.get("/your-data.json").content)["accounts"]
    assert [one["text"] for one in told["mails"]] == ["Where is my <b>invoice</b>?"]
    assert "Where is my &lt;b&gt;invoice&lt;/b&gt;?" in client.get("/your-data/").content.decode()


def test_what_staff_wrote_for_staff_and_secrets_are_not_in_it(alice):
    client = client_of(alice)
    for address in ("/your-data/", "/your-data.json"):
        text = client.get(address).content.decode()
        assert "Staff only" not in text
    cast.unverified(alice)
    assert "/requests/proof/" not in client.get("/your-data.json").content.decode()


def test_nobody_reads_anothers(alice, client):
    mallory = signed_in(cast.account("Mallory"))
    assert alice.account_number not in mallory.get("/your-data/").content.decode()
    assert alice.account_number not in mallory.get("/your-data.json").content.decode()
    for address in ("/your-data/", "/your-data.json"):
        assert client.get(address).status_code == 302
    staff = Client()
    staff.force_login(cast.staff("support"))
    assert json.loads(staff.get("/your-data.json").content) == {"accounts": []}
    nobody = Client()
    nobody.force_login(cast.User.objects.create_user("nobody@else.example"))
    assert "We have no account with" in nobody.get("/your-data/").content.decode()

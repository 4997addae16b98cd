"""Words that a customer writes are evidence: kept, and shown, just as they were written."""

import re

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from cancellations.models import CancellationRequest, Receipt
from cancellations.receipts import pdf
from cancellations.services.submission import verify
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh
from tests.portal.test_cancelling import confirm, guest_form

pytestmark = pytest.mark.django_db
WORDS = "\n  \tFirst line  \n\n\n   Alice \u202enrut\n\t \n"
SENT = WORDS.replace("\n", "\r\n")  # as browsers send it (HTML, form submission)


@pytest.fixture(autouse=True)
def policy(db):
    with time_machine.travel(NOW):
        yield cast.policy()


def the_request():
    return CancellationRequest.objects.get()


def test_in_the_form_of_a_guest_and_after_a_change(client):
    holder = cast.subscription().account
    checked = client.post("/cancel/", guest_form(holder, words=SENT, refund_reason=SENT))
    draft = checked.context["draft"]
    edited = client.post("/cancel/", {"step": "edit", "draft": draft})
    form = edited.context["form"]
    again = guest_form(holder, words=form["words"].value(), refund_reason=form["refund_reason"].value(), draft=draft)
    client.get(confirm(client, client.post("/cancel/", again)).url)
    assert (the_request().words, the_request().refund_reason) == (WORDS, WORDS)


@pytest.mark.parametrize("law", ["DE", "FR", "default"])
def test_in_the_ground_for_leaving_at_once(client, law):
    holder = cast.subscription().account
    form = guest_form(holder, law=law, kind="for_cause", cause=SENT, name="Alice")
    answer = client.post("/cancel/?kind=for_cause", form | {"step": "confirm" if law == "DE" else "check"})
    if law != "DE":
        confirm(client, answer)
    assert the_request().cause == WORDS


def test_signed_in_and_in_the_answer_to_why():
    of = cast.subscription()
    client = Client()
    client.force_login(cast.customer(of.account))
    form = {"subscription": of.reference, "reason": "other", "words": SENT, "step": "check"}
    confirm(client, client.post("/cancel/", form))
    assert the_request().words == WORDS
    french = cast.in_review(cast.subscription(of.account), reason="", words="", jurisdiction="FR")
    answer = {"survey_reason": "unused", "survey_words": SENT}
    client.post(reverse("request_question", args=[french.declaration]), answer)
    assert fresh(french).survey_words == WORDS


def test_only_white_space_is_no_words(client):
    holder = cast.subscription().account
    assert client.post("/cancel/", guest_form(holder, reason="other", words=" \r\n\t ")).status_code == 422


class TestTheyTurnNothingElse:
    """A direction mark in them ends where they end: everywhere where they are shown."""

    MARKED = "\u202eafter"
    ISOLATED = "\u2068\u202eafter\u2069"

    @pytest.fixture
    def request_(self):
        of = cast.subscription()
        request = cast.unverified(of.account, words=self.MARKED, refund_wanted=True, refund_reason=self.MARKED)
        verify(request=request, now=NOW)
        return fresh(request)

    def test_in_mail(self, request_):
        mail = OutgoingMessage.objects.get(kind="received")
        assert mail.text.count(self.ISOLATED) == mail.text.count("\u202e") == 2
        assert mail.html.count(self.ISOLATED) == mail.html.count("\u202e") == 2

    def test_in_the_text_file_and_on_pages(self, request_):
        client = Client()
        client.force_login(cast.customer(request_.account))
        text = client.get(reverse("request_declaration", args=[request_.declaration])).content.decode()
        assert text.count(self.ISOLATED) == text.count("\u202e") == 2
        for page in (reverse("request_status", args=[request_.declaration]), "/your-data/"):
            assert not list(turning(client.get(page).content.decode()))

    def test_in_the_receipt_as_pdf(self, request_):
        content = Receipt.objects.get().content
        assert self.MARKED in content
        shown = pdf._NAMED.search(self.MARKED)
        assert shown is not None  # it is shown by its code point, and does nothing

    def test_at_the_desk_and_in_exports(self, request_):
        desk = cast.at_desk(cast.staff("support"))
        page = desk.get(f"/admin/cancellations/cancellationrequest/{request_.pk}/change/").content.decode()
        assert self.MARKED in page
        assert not list(turning(page))


def turning(page):
    """What stands before a mark that is not isolated: by itself, or by the element that it stands in."""
    for match in re.finditer("\u202e", page):
        before = page[: match.start()]
        element = before[before.rindex("<") :]
        if not (before.endswith("\u2068") or 'dir="auto"' in element or "words" in element):
            yield before[-150:]

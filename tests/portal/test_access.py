"""Who may see a guest's request, in which browser, and until when."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.tasks import tidy
from cancellations.letters.proof import Link, follow_code, is_follow_code, proof_token
from cancellations.web import access
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_(db):
    return cast.unverified(cast.subscription().account)


def link(request):
    return reverse("request_proof", args=[proof_token(fresh(request))])


def page(request):
    return reverse("request_status", args=[request.declaration])


def asked_for(request):
    """The link and the code of the mail that the sender asked for."""
    OutgoingMessage.objects.filter(kind="follow_link").delete()
    client = Client()
    sent = client.post("/requests/", {"reference": request.reference, "email": request.email_given})
    text = OutgoingMessage.objects.get(kind="follow_link").text
    code = re.search(r"\*\*([0-9A-Z]{4}-[0-9A-Z]{4})\*\*|\b([0-9A-Z]{4}-[0-9A-Z]{4})\n", text)[0].strip("*\n")
    form = {"signed_request": re.search(r'signed_request" value="([^"]+)', sent.content.decode())[1], "code": code}
    return re.search(r"http\S+?(/requests/proof/[^>\s]+)", text)[1], client, form


class TestALinkOfAMail:
    def test_opens_a_request_once(self, request_):
        address, first, second = link(request_), Client(), Client()
        assert first.post(address, follow=True).status_code == 200
        assert first.get(page(request_)).status_code == 200
        for answer in (second.get(address), second.post(address)):
            assert answer.status_code == 410
            assert "used already" in answer.content.decode()
        assert second.get(page(request_)).status_code == 403

    def test_pressed_twice_in_one_browser_is_one_use(self, request_):
        address, browser = link(request_), Client()
        browser.get(address)
        twin = Client()
        twin.cookies.load({name: morsel.value for name, morsel in browser.cookies.items()})
        browser.post(address)  # its answer, and the session with it, are lost because the button is pressed again
        assert twin.post(address).url == page(request_)
        assert twin.get(page(request_)).status_code == 200

    def test_sent_before_another_was_used_is_used_up_too(self, request_):
        earlier, later = link(request_), link(request_)
        Client().post(later)
        assert Client().post(earlier).status_code == 410

    def test_sent_later_opens_a_proven_request_by_its_button_alone(self, request_):
        Client().post(link(request_))
        address, *_ = asked_for(request_)
        scanner = Client()
        assert "Show the request" in scanner.get(address).content.decode()
        assert scanner.get(page(request_)).status_code == 403
        reader = Client()
        assert reader.post(address).url == page(request_)
        assert reader.get(page(request_)).status_code == 200
        assert scanner.get(address).status_code == 410

    def test_or_its_code_opens_it_but_not_both(self, request_):
        Client().post(link(request_))
        address, browser, form = asked_for(request_)
        assert browser.post("/requests/code/", form).url == page(request_)
        assert browser.get(page(request_)).status_code == 200
        assert Client().post(address).status_code == 410
        assert Client().post("/requests/code/", form).status_code == 422

    def test_wrong_codes_have_to_wait_but_the_link_and_other_visitors_do_not(self, request_):
        Client().post(link(request_))
        address, _, form = asked_for(request_)
        stranger, visitor = Client(REMOTE_ADDR="198.51.100.7"), Client(REMOTE_ADDR="203.0.113.9")
        with time_machine.travel(timezone.now().replace(minute=3, second=0, microsecond=0), tick=False):
            answers = [stranger.post("/requests/code/", {**form, "code": "2222-2222"}) for _ in range(6)]
            assert [answer.status_code for answer in answers] == [422] * 5 + [429]
            assert "Too many wrong codes" in answers[5].content.decode()
            assert answers[5].headers["Retry-After"] == "720"
            assert stranger.post("/requests/code/", form).status_code == 429
            assert visitor.post("/requests/code/", {**form, "code": "2222-2222"}).status_code == 422
        assert stranger.post(address).url == page(request_)

    def test_of_a_declaration_that_was_proven_along_opens_it_once(self, db):
        holder = cast.subscription().account
        first, second = (cast.unverified(holder, at=timezone.now()) for _ in range(2))
        address = link(second)
        Client().post(link(first))
        assert fresh(second).verified_at
        reader = Client()
        assert reader.post(address).url == page(second)
        assert Client().post(address).status_code == 410

    def test_works_if_it_was_sent_before_links_were_counted(self, request_):
        token = signing.dumps([request_.declaration, request_.email_given], salt="cancellations.proof")
        assert Client().post(reverse("request_proof", args=[token])).status_code == 302


class TestSigningOut:
    def test_takes_all_that_a_guest_may_see(self, client, request_):
        client.post(link(request_))
        kept = dict(client.cookies)
        assert "Sign out" in client.get(page(request_)).content.decode()
        answer = client.post("/signout/")
        assert answer["Clear-Site-Data"] == '"cache", "storage"'
        assert client.get(page(request_)).status_code == 403
        thief = Client()
        thief.cookies.load({name: morsel.value for name, morsel in kept.items()})
        assert thief.get(page(request_)).status_code == 403
        assert not Session.objects.exists()

    def test_takes_what_was_only_posted(self, client, db):
        cast.policy()
        holder = cast.subscription().account
        request = cast.unverified(holder)
        client.cookies[access.COOKIE] = signing.dumps([request.reference], salt=access.SALT, compress=True)
        assert client.get(page(request)).status_code == 200
        client.post("/signout/")
        assert client.get(page(request)).status_code == 403

    def test_takes_it_from_a_customer_who_signed_in_later(self, client, request_):
        client.post(link(request_))
        client.force_login(cast.User.objects.create_user("other@customer.example"))
        client.post("/signout/")
        assert client.get(page(request_)).status_code == 403

    def test_of_staff_clears_the_browser(self, db):
        answer = cast.at_desk(cast.staff("support")).post("/admin/logout/")
        assert answer["Clear-Site-Data"] == '"cache", "storage"'


def test_what_a_guest_has_proven_is_seen_under_a_new_session_key(client, request_):
    session = client.session
    session["something"] = 1
    session.save()
    before = session.session_key
    client.cookies["portal_session_8000"] = before
    client.post(link(request_))
    assert client.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


def test_a_guest_who_has_proven_nothing_has_no_session(client, db):
    cast.policy()
    holder = cast.subscription().account
    request = cast.unverified(holder, at=NOW)
    client.get(page(request))
    client.get(link(request))
    assert not Session.objects.exists()


def test_sessions_that_have_ended_are_deleted(client, request_):
    client.post(link(request_))
    Session.objects.update(expire_date=NOW)
    tidy()
    assert not Session.objects.exists()


def test_a_code_works_for_ten_minutes():
    link = Link("CR-AAAA-AAAA", "zoe@customer.example")
    code = follow_code(link, cast.NOW)
    assert is_follow_code(code, link, cast.NOW + timedelta(minutes=9, seconds=45))
    assert not is_follow_code(code, link, cast.NOW + timedelta(minutes=10))

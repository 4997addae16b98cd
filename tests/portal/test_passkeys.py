"""Passkeys: whose they are, and what is refused. The ceremonies themselves run in tests/browser/test_places.py."""

import json
import time

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client

from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob():
    cast.policy()
    holder = cast.account("Bob")
    person = cast.customer(holder)
    client = Client()
    client.force_login(person)
    return person, client


def test_nobody_without_a_sign_in_gets_to_them(client):
    for path in ("/passkeys/", "/passkeys/add/"):
        assert client.get(path).url.startswith("/signin/")
    assert client.post("/passkeys/1/remove/").url.startswith("/signin/")


def test_staff_have_none_here():
    cast.policy()
    client = Client()
    client.force_login(cast.staff("support"))
    assert client.get("/passkeys/").url == "/admin/"
    assert client.get("/passkeys/add/").url == "/passkeys/"


def test_somebody_elses_is_not_removed(bob):
    _, client = bob
    other = cast.customer(cast.account("Carol"))
    kept = Authenticator.objects.create(user=other, type="webauthn", data={"name": "hers", "credential": {}})
    assert client.post(f"/passkeys/{kept.pk}/remove/").status_code == 404
    assert client.get(f"/passkeys/{kept.pk}/remove/").status_code == 405
    assert Authenticator.objects.filter(pk=kept.pk).exists()


@pytest.mark.parametrize("credential", ["", "x", "{}", "[]", "null", '{"id": 1}', json.dumps({"id": "a" * 2000})])
def test_what_is_no_credential_adds_nothing_and_signs_nobody_in(bob, credential):
    _, client = bob
    client.get("/passkeys/add/")
    assert client.post("/passkeys/add/", {"credential": credential}).url == "/passkeys/add/"
    assert not Authenticator.objects.exists()
    stranger = Client()
    answer = stranger.post("/signin/passkey/", {"credential": credential})
    assert answer.url == "/signin/"
    assert stranger.get("/subscriptions/").url.startswith("/signin/")


def test_opened_by_hand_it_leads_to_the_sign_in(client):
    assert client.get("/signin/passkey/").url == "/signin/"


class TestWhoeverFindsABrowserOpen:
    def signed_in(self, bob, minutes=0, **kwargs):
        person, _ = bob
        client = Client(**kwargs)
        client.force_login(person)
        session = client.session
        session["signed_in_at"] -= minutes * 60
        session.save()
        return client

    def test_has_to_sign_in_again_to_add_or_remove_one(self, bob):
        person, _ = bob
        passkey = Authenticator.objects.create(user=person, type="webauthn", data={"name": "mine", "credential": {}})
        for method, path in (("get", "add/"), ("post", "add/"), ("post", f"{passkey.pk}/remove/")):
            client = self.signed_in(bob, minutes=11)
            answer = getattr(client, method)(f"/passkeys/{path}")
            assert answer.url == "/signin/?next=%2Fpasskeys%2F"
            assert "Please sign in again" in client.get(answer.url).content.decode()
            assert client.get("/passkeys/").url.startswith("/signin/")
        assert Authenticator.objects.filter(pk=passkey.pk).exists()

    def test_one_who_removes_a_passkey_stays_signed_in_here_alone(self, bob):
        person, _ = bob
        passkey = Authenticator.objects.create(user=person, type="webauthn", data={"name": "mine", "credential": {}})
        here, elsewhere = self.signed_in(bob), self.signed_in(bob)
        here.post(f"/passkeys/{passkey.pk}/remove/")
        assert here.get("/passkeys/").status_code == 200
        assert elsewhere.get("/passkeys/").url.startswith("/signin/")


class TestSessions:
    def clients(self, person):
        clients = []
        for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64"):
            client = Client(headers={"user-agent": f"Mozilla/5.0 ({system}; rv:140.0) Gecko/20100101 Firefox/140.0"})
            client.force_login(person)
            client.get("/passkeys/")
            clients.append(client)
        return clients

    def test_are_shown_and_one_is_ended(self, bob):
        here, elsewhere = self.clients(bob[0])
        page = here.get("/passkeys/")
        assert "Firefox (Windows)" in page.content.decode()
        [other] = [session for session in page.context["sessions"] if session.system == "Windows"]
        assert here.post("/passkeys/sessions/", {"session": other.key}).url == "/passkeys/"
        assert here.get("/passkeys/").status_code == 200
        assert elsewhere.get("/passkeys/").url.startswith("/signin/")

    def test_all_others_are_ended(self, bob):
        here, elsewhere = self.clients(bob[0])
        here.post("/passkeys/sessions/")
        assert here.get("/passkeys/").status_code == 200
        assert elsewhere.get("/passkeys/").url.startswith("/signin/")

    def test_of_somebody_else_are_not(self, bob):
        carol = Client()
        carol.force_login(cast.customer(cast.account("Carol")))
        carol.get("/passkeys/")
        [session] = carol.get("/passkeys/").context["sessions"]
        bob[1].post("/passkeys/sessions/", {"session": session.key})
        assert carol.get("/passkeys/").status_code == 200

    def test_nobody_else_ends_any(self, client):
        assert client.post("/passkeys/sessions/").url.startswith("/signin/")
        assert Client(enforce_csrf_checks=True).post("/passkeys/sessions/").status_code == 403

    def test_end_after_some_hours_whatever_is_done(self, bob, settings):
        _, client = bob
        start = time.time()
        for hour in range(8):
            with time_machine.travel(start + hour * 3600, tick=False):
                session = client.session
                session["used"] = hour  # which moves the end of Django's session
                session.save()
                assert client.get("/passkeys/").status_code == 200
        with time_machine.travel(start + settings.SESSION_COOKIE_AGE + 5, tick=False):
            assert client.get("/passkeys/").url.startswith("/signin/")

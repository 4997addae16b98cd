"""Passkeys: whose they are, and what is refused. The ceremonies themselves run in tests/browser/test_places.py."""

import json

import pytest
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

"""Mails with sign-in codes: anybody can type any address, so few go to one of them, and strangers keep nobody out."""

import pytest
from django.test import Client

from messaging.models import OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
SENTENCE = "We sent several codes to this address"


@pytest.fixture(autouse=True)
def policy(db, settings):
    settings.ACCOUNT_RATE_LIMITS = False  # allauth's own are for bursts
    settings.BEHIND_PROXY = 1
    return cast.policy()


def ask(email, network):
    return Client().post("/signin/", {"email": email}, headers={"x-forwarded-for": network})


def sent(email):
    return OutgoingMessage.objects.filter(recipient__same_address=email).count()


def test_five_an_hour_go_to_one_address_from_one_network():
    email = cast.account().email
    answers = [ask(email, "203.0.113.7") for _ in range(7)]
    assert sent(email) == 5
    assert [answer.status_code for answer in answers[:5]] == [302] * 5
    assert SENTENCE in answers[-1].content.decode()
    assert ask(email, "198.51.100.9").status_code == 302  # what a stranger did does not keep the customer out
    assert sent(email) == 6


def test_twenty_an_hour_go_to_one_address_from_many_networks():
    email = cast.account().email
    for n in range(30):
        ask(email, f"203.0.113.{n}")
    assert sent(email) == 20


def test_sixty_an_hour_go_out_for_one_network():
    for n in range(70):
        ask(f"somebody{n}@elsewhere.example", "203.0.113.7")
    assert OutgoingMessage.objects.count() == 60


def test_an_address_without_an_account_is_told_so_twice_a_day_and_the_page_says_the_same():
    known = cast.account().email
    pages = {email: [ask(email, f"203.0.113.{n}") for n in range(6)] for email in (known, "nobody@else.example")}
    assert sent("nobody@else.example") == 2
    assert sent(known) == 6
    assert len({(page.status_code, page.get("Location")) for answers in pages.values() for page in answers}) == 1

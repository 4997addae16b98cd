"""Mails with sign-in codes: anybody can type any address, so few go to one of them, and strangers keep nobody out."""

import math

import pytest
import time_machine
from django.test import Client

from accounts.attempts import Limit
from config.sign_in import limits
from messaging.models import OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
MIDDLE_OF_AN_HOUR = "2026-02-12T13:30:00Z"


@pytest.fixture(autouse=True)
def policy(db, settings):
    settings.BEHIND_PROXY = 1
    return cast.policy()


def ask(email, network, **headers):
    with time_machine.travel(MIDDLE_OF_AN_HOUR, tick=False):
        return Client().post("/signin/", {"email": email}, headers={"x-forwarded-for": network}, **headers)


def sent(email):
    return OutgoingMessage.objects.filter(recipient__same_address=email).count()


def test_five_an_hour_go_to_one_address_from_one_network():
    email = cast.account().email
    answers = [ask(email, "203.0.113.7") for _ in range(7)]
    assert sent(email) == 5
    assert [answer.status_code for answer in answers[:5]] == [302] * 5
    assert answers[-1].status_code == 429
    minutes = math.ceil(int(answers[-1].headers["Retry-After"]) / 60)
    assert f"Try again in {minutes} minutes" in answers[-1].content.decode()
    assert ask(email, "198.51.100.9").status_code == 302  # what a stranger did does not keep the customer out
    assert sent(email) == 6


def test_twenty_an_hour_go_to_one_address_from_many_networks():
    email = cast.account().email
    for n in range(30):
        ask(email, f"203.0.113.{n}")
    assert sent(email) == 20


def test_sixty_people_in_one_office_sign_in_and_ask_twice():
    people = [cast.account().email for _ in range(60)]
    assert {ask(email, "203.0.113.7").status_code for email in people * 2} == {302}
    assert OutgoingMessage.objects.count() == 120


def test_one_network_does_not_send_mail_to_everybody(monkeypatch):
    monkeypatch.setattr(limits, "CODES_OF_NETWORK", Limit("codes of network", 5, limits.HOUR))
    answers = [ask(f"somebody{n}@elsewhere.example", "203.0.113.7").status_code for n in range(7)]
    assert answers == [302] * 5 + [429] * 2
    assert OutgoingMessage.objects.count() == 5


class TestBehindTwoProxies:
    """The client's address is what the outermost of our own two proxies saw; the rest anybody can write."""

    @pytest.fixture(autouse=True)
    def proxies(self, settings):
        settings.BEHIND_PROXY = 2

    def test_sixty_people_count_each_for_themselves(self):
        for n in range(60):
            email = cast.account().email
            answers = [ask(email, f"203.0.113.{n}, 10.0.0.2", REMOTE_ADDR="10.0.0.1") for _ in range(6)]
            assert [answer.status_code for answer in answers] == [302] * 5 + [429]

    def test_a_forged_address_changes_nothing(self):
        email = cast.account().email
        answers = [ask(email, f"198.51.100.{n}, 203.0.113.7, 10.0.0.2", REMOTE_ADDR="10.0.0.1") for n in range(6)]
        assert [answer.status_code for answer in answers] == [302] * 5 + [429]


@pytest.mark.parametrize(
    ("language", "words"), [("de", "Versuchen Sie es in 30 Minuten"), ("fr", "Réessayez dans 30 minutes")]
)
def test_the_page_says_when_to_try_again_in_the_language_of_the_visitor(language, words):
    email = cast.account().email
    for _ in range(6):
        answer = ask(email, "203.0.113.7", HTTP_ACCEPT_LANGUAGE=language)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1800"
    assert words in answer.content.decode()


def test_an_address_without_an_account_is_told_so_twice_a_day_and_the_page_says_the_same():
    known = cast.account().email
    pages = {email: [ask(email, f"203.0.113.{n}") for n in range(6)] for email in (known, "nobody@else.example")}
    assert sent("nobody@else.example") == 2
    assert sent(known) == 6
    assert len({(page.status_code, page.get("Location")) for answers in pages.values() for page in answers}) == 1

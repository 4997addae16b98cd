"""Wrong passwords and codes of staff: slowed down where they come from, and nobody else is locked out."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.attempts import Counter, Limit, TooManyAttempts, limited, network_of
from accounts.models import StaffAction
from config.sign_in import hashing
from config.sign_in.limits import BY_ADDRESS, BY_NETWORK, CODE, PASSWORD, RECORDED_IN_ALL, RECORDED_OF_ADDRESS
from messaging.models import OutgoingMessage
from tests import cast
from tests.desk.test_signing_in import LOGIN, SECRET, code

pytestmark = pytest.mark.django_db
WRONG = {**LOGIN, "password": "wrong"}


@pytest.fixture(autouse=True)
def middle_of_a_window():
    """Counting begins anew every quarter of an hour, which no test may meet by chance."""
    with time_machine.travel(datetime(2026, 2, 12, 14, 3, tzinfo=UTC)) as clock:
        yield clock


@pytest.fixture
def sam(db):
    sam = cast.staff("support")
    TOTP.activate(sam, SECRET)
    return sam


def at(address, **kwargs):
    return Client(REMOTE_ADDR=address, **kwargs)


def sign_in(client, clock):
    clock.shift(30)  # a code works once
    client.post("/admin/login/", LOGIN)
    return client.post("/admin/second/", {"code": code(time.time())})


def failures():
    return StaffAction.objects.filter(verb="sign_in_failed").count()


class TestPasswords:
    def test_the_fifth_wrong_one_is_the_last_and_the_page_says_when_to_try_again(self, sam):
        stranger = at("198.51.100.7")
        answers = [stranger.post("/admin/login/", WRONG) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [422] * 5 + [429]
        assert "Try again at 15:15" in answers[5].content.decode()  # in Berlin
        assert 0 < int(answers[5].headers["Retry-After"]) <= 900

    def test_and_the_right_one_works_again_then(self, sam, middle_of_a_window):
        stranger = at("198.51.100.7")
        for _ in range(6):
            stranger.post("/admin/login/", WRONG)
        assert stranger.post("/admin/login/", LOGIN).status_code == 429
        middle_of_a_window.shift(timedelta(minutes=15))
        assert stranger.post("/admin/login/", LOGIN).status_code == 302

    def test_a_stranger_elsewhere_locks_nobody_out(self, sam):
        for _ in range(6):
            at("198.51.100.7").post("/admin/login/", WRONG)
        assert at("203.0.113.9").post("/admin/login/", LOGIN).status_code == 302

    def test_nor_one_beside_me_where_my_browser_is_known(self, sam, middle_of_a_window):
        mine = at("198.51.100.7")
        sign_in(mine, middle_of_a_window)
        mine.post("/admin/logout/")
        for _ in range(6):
            at("198.51.100.7").post("/admin/login/", WRONG)
        assert at("198.51.100.7").post("/admin/login/", LOGIN).status_code == 429
        assert sign_in(mine, middle_of_a_window).url == "/admin/"

    def test_nor_many_strangers(self, sam, middle_of_a_window, monkeypatch):
        mine = at("203.0.113.9")
        sign_in(mine, middle_of_a_window)
        mine.post("/admin/logout/")
        monkeypatch.setitem(BY_ADDRESS, PASSWORD, Limit("address", 3))
        for number in range(4):
            at(f"198.51.100.{number}").post("/admin/login/", WRONG)
        assert at("192.0.2.1").post("/admin/login/", LOGIN).status_code == 429
        assert sign_in(mine, middle_of_a_window).url == "/admin/"

    def test_a_known_browser_guesses_no_more_than_others(self, sam, middle_of_a_window):
        mine = at("203.0.113.9")
        sign_in(mine, middle_of_a_window)
        mine.post("/admin/logout/")
        answers = [mine.post("/admin/login/", WRONG).status_code for _ in range(6)]
        assert answers == [422] * 5 + [429]
        assert at("203.0.113.9").post("/admin/login/", LOGIN).status_code == 302

    def test_a_forged_cookie_makes_no_browser_known(self, sam, middle_of_a_window):
        from config.sign_in.limits import COOKIE

        forged = at("198.51.100.7")
        forged.cookies[COOKIE] = '{"1":"x"}:abc'
        assert [forged.post("/admin/login/", WRONG).status_code for _ in range(6)] == [422] * 5 + [429]

    def test_a_signed_in_customer_is_a_stranger_to_staff(self, sam):
        customer = at("198.51.100.7")
        customer.force_login(cast.customer(cast.account()))
        for _ in range(5):
            customer.post("/admin/login/", WRONG)
        assert at("198.51.100.7").post("/admin/login/", LOGIN).status_code == 429

    def test_one_network_tries_few_names(self, sam):
        answers = []
        for number in range(BY_NETWORK.most + 1):
            wrong = {"username": f"name{number}@atntcrm.example", "password": "wrong"}
            answers.append(at("198.51.100.7").post("/admin/login/", wrong).status_code)
        assert answers == [422] * BY_NETWORK.most + [429]

    def test_who_signs_in_often_is_not_counted(self, sam):
        for _ in range(8):
            assert at("198.51.100.7").post("/admin/login/", LOGIN).status_code == 302

    def test_a_busy_server_is_no_wrong_password(self, sam, monkeypatch):
        def is_busy(*args, **kwargs):
            raise hashing.HashingBusy

        with monkeypatch.context() as patched:
            patched.setattr("config.sign_in.staff.authenticate", is_busy)
            assert [at("198.51.100.7").post("/admin/login/", LOGIN).status_code for _ in range(6)] == [503] * 6
        assert at("198.51.100.7").post("/admin/login/", LOGIN).status_code == 302

    def test_after_the_link_of_a_mail_nobody_waits(self, sam):
        from accounts.services.people import send_password_link
        from tests.desk.test_own_access import PASSWORD as NEW
        from tests.desk.test_own_access import link_in

        mine = at("198.51.100.7")
        for _ in range(6):
            mine.post("/admin/login/", WRONG)
        send_password_link(of=sam, by=None, now=cast.NOW)
        mail = OutgoingMessage.objects.get(kind="password_link")
        page = mine.get(link_in(mail)).url
        mine.post(page, {"new_password1": NEW, "new_password2": NEW})
        assert mine.post("/admin/login/", {**LOGIN, "password": NEW}).status_code == 302


class TestCodes:
    def second_step(self, address):
        client = at(address)
        client.post("/admin/login/", LOGIN)
        return client

    def test_all_networks_together_try_few_codes_and_the_person_is_told_once(self, sam):
        allowed = BY_ADDRESS[CODE].most
        answers = []
        for number in range(allowed + 2):
            client = self.second_step(f"198.51.100.{number}")
            answers.append(client.post("/admin/second/", {"code": "000000"}).status_code)
        assert answers == [422] * allowed + [429] * 2
        [mail] = OutgoingMessage.objects.filter(kind="wrong_codes")
        assert mail.recipient == sam.email
        assert reverse("admin:password_forgotten") in mail.text

    def test_wrong_codes_of_strangers_do_not_stop_a_living_session(self, sam, middle_of_a_window):
        desk = at("203.0.113.9")
        sign_in(desk, middle_of_a_window)
        for number in range(25):
            self.second_step(f"198.51.100.{number}").post("/admin/second/", {"code": "000000"})
            at(f"198.51.100.{number}").post("/admin/login/", WRONG)
        middle_of_a_window.shift(30)
        answer = desk.post("/admin/confirm/", {"code": code(time.time()), "next": "/admin/security/"})
        assert answer.url == "/admin/security/"

    def test_a_living_session_tries_few_codes(self, sam, middle_of_a_window):
        desk = at("203.0.113.9")
        sign_in(desk, middle_of_a_window)
        answers = [desk.post("/admin/confirm/", {"code": "000000"}).status_code for _ in range(6)]
        assert answers == [422] * 5 + [429]
        answer = desk.post(reverse("admin:second_passkey"), {"credential": "{}", "next": "/admin/"})
        assert answer.url.startswith("/admin/confirm/")
        assert "Too many wrong attempts" in desk.get(answer.url).content.decode()
        assert not OutgoingMessage.objects.filter(kind="wrong_codes").exists()


class TestTheAuditLog:
    def test_failures_of_one_address_fill_it_to_a_limit(self, sam):
        for number in range(RECORDED_OF_ADDRESS.most + 5):
            at(f"198.51.100.{number}").post("/admin/login/", WRONG)
        assert failures() == RECORDED_OF_ADDRESS.most

    def test_and_those_of_all_together(self, sam, monkeypatch, caplog):
        monkeypatch.setattr("config.sign_in.limits.RECORDED_IN_ALL", Limit("recorded", 3, RECORDED_IN_ALL.window))
        for number in range(5):
            wrong = {"username": f"name{number}@atntcrm.example", "password": "wrong"}
            at(f"198.51.100.{number}").post("/admin/login/", wrong)
        assert failures() == 3
        assert "Sign-in failed (password) for Nobody known." in caplog.text


class TestCounting:
    def test_attempts_at_the_same_moment_do_not_pass_together(self):
        limit, now = Counter(Limit("x", 2), "key"), cast.NOW
        with limited(limit, now=now), limited(limit, now=now), pytest.raises(TooManyAttempts), limited(limit, now=now):
            pass
        with limited(limit, now=now), limited(limit, now=now):
            pass

    def test_an_empty_cache_counts_anew_and_fails_nothing(self):
        limit, now = Counter(Limit("x", 1), "key"), cast.NOW
        with limited(limit, now=now) as attempt:
            attempt.has_failed = True
        cache.clear()
        with limited(limit, now=now):
            cache.clear()

    @pytest.mark.parametrize(
        ("address", "network"),
        [
            ("198.51.100.7", "198.51.100.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("", ""),
            ("unix:", ""),
        ],
    )
    def test_a_client_with_many_addresses_is_one(self, address, network):
        assert network_of(address) == network

"""Passwords of staff that somebody who knows the company and the person would soon guess are refused."""

import time

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import User
from tests import cast
from tests.cast import fresh
from tests.desk.test_own_access import PASSWORD
from tests.desk.test_signing_in import SECRET, code

PERSON = User(email="samira.haddad@atntcrm.example", name="Samira Haddad")


@pytest.fixture(autouse=True)
def company(settings):
    settings.BRAND_NAME, settings.COMPANY_NAME = "atntcrm", "Atnt Software GmbH"
    settings.SITE_URL = "https://cancel.atntcrm.example"


@pytest.mark.parametrize(
    "password",
    [
        "123456789012",
        "atntcrm-portal",
        "AtntCRM2026!!",
        "atntcrm-portal-2026",
        "@tntcrm-p0rt4l",
        "mrctnta-latrop",
        "atntsoftware1",
        "samira.haddad1",
        "Haddad-Samira-99",
        "samira-atntcrm-support",
        "password12345678",
        "qwertzuiopü12",
        "qwertyuiop12",
        "aaaaaaaaaaaaaa",
        "samsamsamsamsam",
        "1q2w3e4r5t6y",
        "iloveyou123456",
        "ｐａｓｓｗｏｒｄ1234",
        "heron-violet",
        "a" * 500,
        "".join(f"heron {number} violet " for number in range(40)),
    ],
)
def test_is_refused(password):
    with pytest.raises(ValidationError):
        validate_password(password, PERSON)


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "correct horse battery staple",
        "atntcrm-heron-violet-7-lantern",
        "Xk2$vq9!mB7r",
        "Vier Reiher über dem Fjord",
        "heron violet lantern seven and then some more words, none of which anybody guesses" * 3,
    ],
)
def test_is_taken(password):
    validate_password(password, PERSON)


@pytest.mark.django_db
def test_the_page_says_why(client):
    sam = cast.staff("support")
    weak = {"old_password": "a-long-password", "new_password1": "atntcrm-portal", "new_password2": "atntcrm-portal"}
    answer = cast.at_desk(sam).post("/admin/password_change/", weak)
    assert "easy to guess" in answer.content.decode()
    assert fresh(sam).check_password("a-long-password")


@pytest.mark.django_db
def test_who_chose_a_weak_one_before_reads_so_after_signing_in(client):
    sam = cast.staff("support")
    TOTP.activate(sam, SECRET)
    for password, is_weak in (("atntcrm-portal", True), (PASSWORD, False)):
        sam.set_password(password)
        sam.save()
        client.logout()
        client.post("/admin/login/", {"username": sam.email, "password": password})
        assert client.post("/admin/second/", {"code": code(time.time() + 30 * is_weak)}).url == "/admin/"
        assert ("easy to guess" in client.get("/admin/security/").content.decode()) == is_weak

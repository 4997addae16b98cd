"""Passwords of staff that somebody who knows the company and the person would soon guess are refused."""

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import User
from tests import cast
from tests.cast import fresh
from tests.desk.test_own_access import PASSWORD

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

"""What the log says about sign-ins, wrong codes and refusals (ASVS 5.0, V16.3.1 and V16.3.2)."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from messaging.models import OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
HERE = {"REMOTE_ADDR": "198.51.100.7"}


@pytest.fixture
def bob():
    cast.policy()
    return cast.customer(cast.account("Bob"))


def ask_for_code(client, person):
    client.post(reverse("account_request_login_code"), {"email": person.email})
    return re.search(r"[0-9A-Z]{3,}-?[0-9A-Z]{3,}", OutgoingMessage.objects.get(kind="sign_in_code").text).group()


def enter(client, code):
    return client.post(reverse("account_confirm_login_code"), {"code": code})


def test_a_customer_who_signs_in(bob, caplog):
    client = Client(**HERE)
    enter(client, ask_for_code(client, bob))
    assert f"Customer {bob.pk} signed in by code from 198.51.100.7." in caplog.messages


def test_a_wrong_code(bob, caplog):
    client = Client(**HERE)
    ask_for_code(client, bob)
    enter(client, "WRONG-CODE")
    assert f"A wrong sign-in code for Customer {bob.pk} from 198.51.100.7." in caplog.messages


def test_a_wrong_code_for_an_address_without_an_account(caplog):
    cast.policy()
    client = Client(**HERE)
    client.post(reverse("account_request_login_code"), {"email": "nobody@example.com"})
    enter(client, "WRONG-CODE")
    assert "A wrong sign-in code for Nobody known from 198.51.100.7." in caplog.messages


def test_a_passkey_that_is_refused(caplog):
    cast.policy()
    Client(**HERE).post(reverse("mfa_login_webauthn"), {"credential": "{}"})
    assert "A passkey was refused at the sign-in from 198.51.100.7." in caplog.messages


def test_staff_who_may_not_do_what_they_ask(caplog):
    sam = cast.staff("support")
    page = reverse("admin:accounts_user_add")
    assert cast.at_desk(sam, Client(**HERE)).get(page).status_code == 403
    assert f"403: GET {page} for Staff {sam.pk} from 198.51.100.7." in caplog.messages


def test_a_page_of_somebody_else(bob, caplog):
    request = cast.in_review()
    page = reverse("request_status", args=[request.declaration])
    client = Client(**HERE)
    client.force_login(bob)
    assert client.get(page).status_code == 403
    assert f"403: GET {page} for Customer {bob.pk} from 198.51.100.7." in caplog.messages


def test_a_forged_form(caplog):
    Client(enforce_csrf_checks=True, **HERE).post("/admin/login/", {"username": "x"})
    assert "403: POST /admin/login/ for Nobody known from 198.51.100.7." in caplog.messages


def test_no_log_says_who_it_is_by_address(bob, caplog):
    client = Client(**HERE)
    ask_for_code(client, bob)
    enter(client, "WRONG-CODE")
    assert bob.email not in caplog.text

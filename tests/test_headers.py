"""What each response lets a browser do and keep."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from tests import cast

pytestmark = pytest.mark.django_db
ANYBODY = ["/", "/policy/", "/policy/feed/", "/law/", "/cancel/", "/signin/", "/requests/", "/verify/", "/healthz"]
NO_PAGE = ["/nothing/", "/requests/CR-1/", "/requests/proof/x/", "/admin/", "/api/v1/requests", "/static/css/desk.css"]


@pytest.fixture
def holder(db):
    cast.policy()
    return cast.subscription().account


@pytest.fixture
def customer(holder):
    client = Client()
    client.force_login(cast.customer(holder))
    return client


@pytest.mark.parametrize("address", [*ANYBODY, *NO_PAGE])
def test_every_response_has_the_headers_of_a_browser_that_trusts_nothing(client, holder, address):
    headers = client.get(address).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"]


@pytest.mark.parametrize(
    "address", ["/subscriptions/", "/your-data/", "/your-data.json", "/passkeys/", "/cancel/", "/policy/", "/"]
)
def test_nobody_stores_a_page_of_a_customer_who_is_signed_in(customer, address):
    response = customer.get(address)
    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize("address", ["/admin/", "/admin/security/", "/admin/dashboard.csv", "/api/v1/openapi.json"])
def test_nobody_stores_a_page_of_staff(holder, address):
    assert "no-store" in cast.at_desk(cast.staff("manager")).get(address).headers["Cache-Control"]


def test_nobody_stores_a_page_of_a_guest(client, holder):
    request = cast.unverified(holder)
    for address in (f"/requests/{request.reference}/", f"/requests/{request.reference}/receipt.pdf"):
        assert "no-store" in client.get(address).headers["Cache-Control"]


def test_a_page_for_all_is_asked_for_again_each_time(client, holder):
    assert client.get("/policy/").headers["Cache-Control"] == "private, no-cache"


def test_what_never_changes_is_kept(client, holder):
    address = client.get("/").context["style_url"]
    assert "immutable" in client.get(address).headers["Cache-Control"]


def test_cookies_of_a_public_site_belong_to_its_host_alone():
    """A browser takes a cookie named __Host- only if it is Secure, for the path / and for no domain (RFC 6265bis)."""
    program = """
import django
django.setup()
from django.conf import settings
from config.web.cookies import MessageCookie
from cancellations.web import access, places
print(settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.LANGUAGE_COOKIE_NAME)
print(MessageCookie.cookie_name, access.COOKIE, places.COOKIE)
print(settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SECURE)
print(settings.SESSION_COOKIE_DOMAIN, settings.CSRF_COOKIE_DOMAIN, settings.SESSION_COOKIE_PATH)
"""
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings"}
    environment |= {"DATABASE_URL": "postgres://u:p@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
    environment |= {"SECRET_KEY": "0123456789abcdefghij" * 3, "SITE_URL": "https://cancel.example.com"}
    root = Path(__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", program], env=environment, cwd=root, capture_output=True, text=True)
    assert ended.stdout.splitlines() == [
        "__Host-portal_session __Host-portal_csrf __Host-portal_language",
        "__Host-portal_messages __Host-portal_requests __Host-portal_country",
        "True True True",
        "None None /",
    ], ended.stderr


class TestWithoutHttps:
    @pytest.fixture(autouse=True)
    def public_site(self, settings):
        settings.SECURE = settings.SECURE_SSL_REDIRECT = True
        settings.SITE_URL = "https://cancel.example.com"

    @pytest.mark.parametrize("path", ["/api/v1/requests", "/api/v1/openapi.json", "/mail-provider/sendgrid/inbound/"])
    def test_calls_of_machines_are_refused_and_not_redirected(self, client, path):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/json")
        assert "https://cancel.example.com" in answer.json()["detail"]
        assert client.get(path, secure=True).status_code in (200, 401, 404)

    def test_people_are_redirected(self, client):
        assert client.get("/law/").status_code == 301


@pytest.mark.parametrize("path", ["/", "/admin/", "/api/v1/requests", "/static/css/base.css"])
def test_trace_is_not_answered(client, path):
    assert client.trace(path).status_code == 405

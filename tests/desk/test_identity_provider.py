"""An identity provider that is down, answers nonsense, or says too little: a sentence, and the other ways in stay."""

from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.urls import reverse

from accounts.models import StaffAction
from tests import cast
from tests.desk.test_signing_in import LOGIN, Provider, provider  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
BEGIN = "/admin/sign-in/oidc/staff/login/"


@pytest.fixture(autouse=True)
def sam(db):
    return cast.staff("support")


def come_back(client, following="/admin/billing/refund/", **parameters):
    begun = client.post(f"{BEGIN}?next={following}")
    state = parse_qs(urlsplit(begun.url).query)["state"][0]
    return client.get(f"{BEGIN}callback/", {"state": state, **(parameters or {"code": "abc"})})


def page_after(client, answer):
    assert answer.status_code == 302
    assert answer.url.startswith("/admin/login/")
    return client.get(answer.url).content.decode()


def why():
    return StaffAction.objects.get(verb="sign_in_failed").why


def test_the_addresses_of_the_pages_stay():
    assert reverse("openid_connect_login", args=["staff"]) == BEGIN
    assert reverse("openid_connect_callback", args=["staff"]) == f"{BEGIN}callback/"


class TestDown:
    def test_before_anybody_goes_there(self, client, settings, provider):  # noqa: F811
        settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://127.0.0.1:9"
        answer = client.post(f"{BEGIN}?next=/admin/billing/refund/")
        page = page_after(client, answer)
        assert "Atnt ID cannot be reached. Try again in a few minutes, or sign in with your password." in page
        assert 'value="/admin/billing/refund/"' in page, "and the way on is not lost"
        assert why() == "identity provider: it cannot be reached"
        assert client.post("/admin/login/", LOGIN).status_code == 302

    @pytest.mark.parametrize("path", ["/.well-known", "/token", "/userinfo"])
    def test_after_somebody_was_there(self, client, provider, monkeypatch, path):  # noqa: F811
        begun = client.post(BEGIN)
        state = parse_qs(urlsplit(begun.url).query)["state"][0]
        send = requests.Session.send

        def fail(session, prepared, **kwargs):
            if urlsplit(prepared.url).path.startswith(path):
                raise requests.ConnectTimeout("no answer")
            return send(session, prepared, **kwargs)

        monkeypatch.setattr(requests.Session, "send", fail)
        answer = client.get(f"{BEGIN}callback/", {"state": state, "code": "abc"})
        assert "cannot be reached" in page_after(client, answer)


class TestNonsense:
    @pytest.mark.parametrize("body", [{}, [], "x", {"access_token": "x", "id_token": "y"}, {"access_token": "x"}])
    @pytest.mark.parametrize("path", ["/.well-known", "/token", "/userinfo"])
    def test_of_any_kind_is_a_sentence(self, client, provider, monkeypatch, path, body):  # noqa: F811
        answered = Provider.answer

        def answer(self, content):
            answered(self, body if self.path.startswith(path) else content)

        monkeypatch.setattr(Provider, "answer", answer)
        begun = client.post(BEGIN)
        if path != "/.well-known":
            state = parse_qs(urlsplit(begun.url).query)["state"][0]
            begun = client.get(f"{BEGIN}callback/", {"state": state, "code": "abc"})
        assert "cannot be used" in page_after(client, begun)
        assert client.get("/admin/").status_code == 302

    def test_two_people_in_one_answer(self, client, provider):  # noqa: F811
        provider.userinfo = {"sub": "another"}
        assert "cannot be used" in page_after(client, come_back(client))
        assert "two people" in why()

    def test_nobody_in_the_second_answer(self, client, provider):  # noqa: F811
        provider.userinfo = {"sub": None}
        assert "cannot be used" in page_after(client, come_back(client))

    def test_who_turns_back_there_reads_so(self, client, provider):  # noqa: F811
        answer = come_back(client, error="access_denied")
        assert "You left the sign-in page" in page_after(client, answer)


class TestAnAddressThatIsNotVerified:
    def test_the_claim_is_missing(self, client, provider):  # noqa: F811
        del provider.claims["email_verified"]
        assert "does not say that it verified sam@atntcrm.example" in page_after(client, come_back(client))
        assert why() == "identity provider: no «email_verified» in the answer"

    def test_the_claim_says_no(self, client, provider):  # noqa: F811
        provider.claims["email_verified"] = False
        page_after(client, come_back(client))
        assert why() == "identity provider: the provider has not verified the address"

    def test_the_operator_vouches_for_a_provider_that_never_sends_it(self, client, provider, settings):  # noqa: F811
        settings.OIDC_TRUST_EMAIL = True
        provider.claims["email_verified"] = False
        page_after(client, come_back(client))
        del provider.claims["email_verified"]
        assert come_back(client).url == "/admin/second/set-up/"

    def test_there_is_no_address(self, client, provider):  # noqa: F811
        del provider.claims["email"]
        assert "did not say what your address is" in page_after(client, come_back(client))

    def test_a_text_counts_like_a_boolean(self, client, provider):  # noqa: F811
        provider.claims["email_verified"] = "true"
        assert come_back(client).url == "/admin/second/set-up/"

    def test_who_has_signed_in_before_needs_no_address(self, client, provider):  # noqa: F811
        come_back(client)
        provider.claims = {"sub": "4711"}
        assert come_back(client).url == "/admin/second/set-up/"

    def test_who_has_no_access_reads_so(self, client, provider):  # noqa: F811
        provider.claims["email"] = "nobody@atntcrm.example"
        assert "You have no access to the staff pages" in page_after(client, come_back(client))

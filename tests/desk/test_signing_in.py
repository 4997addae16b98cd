"""How staff sign in: a password or the identity provider, always a second factor, and again before money."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.audit import faults
from accounts.models import StaffAction
from billing.services.review import approve, propose
from config.sign_in.factors import verify_code
from config.sign_in.recovery_codes import make_codes
from tests import cast
from tests.cast import fresh
from tests.desk.test_permissions import person
from tests.desk.test_review import url

pytestmark = pytest.mark.django_db
SECRET = generate_totp_secret()
LOGIN = {"username": "sam@atntcrm.example", "password": "a-long-password"}


def code(at: float | None = None, secret: str = SECRET) -> str:
    return format_hotp_value(hotp_value(secret, int(at or time.time()) // 30))


@pytest.fixture
def sam(db):
    made = cast.staff("support")
    TOTP.activate(made, SECRET)
    return made


def deeds(verb):
    return StaffAction.objects.filter(verb=verb)


class TestTheTwoSteps:
    def test_the_password_alone_opens_nothing(self, client, sam):
        assert client.post("/admin/login/", LOGIN).url == "/admin/second/"
        for page in ("/admin/", reverse("admin:cancellations_cancellationrequest_changelist"), "/admin/security/"):
            assert client.get(page).url.startswith("/admin/login/")

    def test_with_the_code_one_is_in_where_one_wanted_to_go(self, client, sam):
        client.post("/admin/login/", {**LOGIN, "next": "/admin/billing/refund/"})
        assert client.post("/admin/second/", {"code": code()}).url == "/admin/billing/refund/"
        assert client.get("/admin/billing/refund/").status_code == 200
        assert deeds("sign_in").get().why == "authenticator app"

    def test_never_to_another_site(self, client, sam):
        client.post("/admin/login/", {**LOGIN, "next": "https://evil.example/"})
        assert client.post("/admin/second/", {"code": code()}).url == "/admin/"

    def test_a_code_counts_once(self, sam):
        assert verify_code(sam, code()) == "authenticator app"
        assert verify_code(sam, code()) == ""

    def test_a_recovery_code_counts_once(self, client, sam):
        codes = make_codes(sam)
        client.post("/admin/login/", LOGIN)
        assert client.post("/admin/second/", {"code": codes[0]}).url == "/admin/"
        assert verify_code(sam, codes[0]) == ""
        assert verify_code(sam, codes[1].lower().replace("-", " ")) == "recovery code"

    def test_only_hashes_of_recovery_codes_are_stored(self, sam):
        codes = make_codes(sam)
        (factor,) = Authenticator.objects.filter(user=sam, type="recovery_codes")
        assert len({code[0] for code in codes}) == len(factor.data["hashes"]) == 10
        assert not any(code.replace("-", "") in str(factor.data) or code in str(factor.data) for code in codes)
        swapped = codes[0][0] + codes[1][1:]  # the rest of another code
        assert [verify_code(sam, wrong) for wrong in ("", codes[0][:-1], codes[0] + "2", swapped)] == [""] * 4
        assert verify_code(sam, codes[0]) == "recovery code"

    def test_the_second_step_alone_is_nothing(self, client, sam):
        assert client.post("/admin/second/", {"code": code()}).url == "/admin/login/"
        assert client.get("/admin/second/set-up/").status_code == 403

    def test_the_first_step_is_forgotten_after_ten_minutes(self, client, sam):
        client.post("/admin/login/", LOGIN)
        with time_machine.travel(time.time() + 601, tick=False):
            assert client.post("/admin/second/", {"code": code()}).url == "/admin/login/"

    def test_wrong_codes_end_after_five(self, client, sam):
        client.post("/admin/login/", LOGIN)
        for _ in range(5):
            assert client.post("/admin/second/", {"code": "000000"}).status_code == 422
        answer = client.post("/admin/second/", {"code": code()})
        assert answer.status_code == 429
        assert "Too many wrong attempts. Try again at" in answer.content.decode()
        assert deeds("sign_in_failed").count() == 5

    def test_wrong_passwords_too_and_an_unknown_address_is_told_the_same(self, client, sam):
        for email in ("sam@atntcrm.example", "nobody@atntcrm.example"):
            wrong = {"username": email, "password": "wrong"}
            pages = [client.post("/admin/login/", wrong) for _ in range(6)]
            assert "address or the password is wrong" in pages[0].content.decode()
            assert "Too many wrong attempts" in pages[5].content.decode()
        assert client.post("/admin/login/", LOGIN).status_code == 429, "the right one does not help meanwhile"

    def test_a_customer_with_a_password_does_not_get_in(self, client, db):
        holder = cast.customer(cast.account())
        holder.set_password("a-long-password")
        holder.save()
        answer = client.post("/admin/login/", {"username": holder.email, "password": "a-long-password"})
        assert answer.status_code == 422

    def test_forged_posts_are_refused(self, sam):
        strict = Client(enforce_csrf_checks=True)
        assert strict.post("/admin/login/", LOGIN).status_code == 403


class TestSettingUp:
    def test_who_has_none_sets_one_up_first(self, client):
        cast.staff("support")
        assert client.post("/admin/login/", LOGIN).url == "/admin/second/set-up/"
        page = client.get("/admin/second/set-up/")
        secret = page.context["secret"].replace(" ", "")
        assert client.post("/admin/second/set-up/", {"code": "123"}).status_code == 422
        assert client.get("/admin/").status_code == 302
        answer = client.post("/admin/second/set-up/", {"code": code(secret=secret)})
        assert answer.url == "/admin/security/codes/"
        codes = client.get(answer.url)
        assert len(codes.context["codes"]) == 10
        assert client.get(answer.url).url == "/admin/security/", "they are shown once"
        assert client.get("/admin/").status_code == 200

    def test_secrets_are_encrypted(self, sam):
        assert SECRET not in json.dumps(Authenticator.objects.get(user=sam).data)

    def test_the_last_one_stays(self, sam):
        desk = cast.at_desk(sam)
        mine = Authenticator.objects.get(user=sam)
        desk.post(reverse("admin:remove_factor", args=[mine.pk]))
        assert Authenticator.objects.filter(user=sam).count() == 1

    def test_nobody_removes_anothers(self, sam):
        desk = cast.at_desk(cast.staff("manager"))
        assert desk.post(reverse("admin:remove_factor", args=[Authenticator.objects.get().pk])).status_code == 404

    def test_an_administrator_resets_a_colleagues_but_not_his_own(self, sam):
        adam = person("administrator")
        desk = cast.at_desk(adam)
        desk.post(reverse("admin:accounts_user_reset", args=[sam.pk]))
        assert not Authenticator.objects.filter(user=sam).exists()
        assert deeds("second_factor_reset").get().by == adam
        assert desk.post(reverse("admin:accounts_user_reset", args=[adam.pk])).status_code == 403
        support = cast.at_desk(cast.staff("support"))
        assert support.post(reverse("admin:accounts_user_reset", args=[adam.pk])).status_code == 403

    def test_the_operator_resets_by_a_command(self, sam):
        call_command("reset_second_factor", "SAM@atntcrm.example")
        assert not Authenticator.objects.exists()
        with pytest.raises(CommandError):
            call_command("reset_second_factor", "nobody@atntcrm.example")


class TestShortSessions:
    def test_ends_when_nothing_is_done(self, sam, settings):
        desk = cast.at_desk(sam)
        later = time.time() + settings.STAFF_IDLE_MINUTES * 60 + 5
        with time_machine.travel(later, tick=False):
            assert desk.get("/admin/").url.startswith("/admin/login/")
            assert "signed out" in desk.get("/admin/login/").content.decode()

    def test_a_page_that_only_lies_open_does_nothing(self, sam, settings):
        request, desk = cast.in_review(), cast.at_desk(sam)
        looking = reverse("admin:cancellations_cancellationrequest_looking", args=[request.pk])
        start = time.time()
        for minute in range(1, settings.STAFF_IDLE_MINUTES + 2):
            with time_machine.travel(start + minute * 60, tick=False):
                answer = desk.post(looking, {"seen": "0"})
        assert answer.status_code == 302

    def test_work_keeps_it_open_for_some_hours(self, sam, settings):
        desk, start = cast.at_desk(sam), time.time()
        for minute in range(0, 120, 20):
            with time_machine.travel(start + minute * 60, tick=False):
                assert desk.get("/admin/").status_code == 200


class TestAgainBeforeMoney:
    @pytest.fixture
    def refund(self):
        refund = cast.refund_requested()
        propose(refund=refund, basis="unused", by=cast.staff("finance", "Frank"), now=cast.NOW)
        return refund

    @pytest.fixture
    def fiona(self, db):
        made = cast.staff("finance")
        TOTP.activate(made, SECRET)
        return made

    def stale(self, desk, settings):
        session = desk.session
        session["second_factor_at"] -= settings.STAFF_REAUTH_MINUTES * 60 + 1
        session.save()

    def test_asked_for_again_and_nothing_typed_is_lost(self, fiona, refund, settings):
        desk = cast.at_desk(fiona)
        self.stale(desk, settings)
        answer = desk.post(url(refund, "approve"), {"ground": "With our apologies."})
        assert answer.url.startswith("/admin/confirm/?next=")
        assert fresh(refund).state == "proposed"
        assert desk.post("/admin/confirm/", {"code": "000000", "next": url(refund, "approve")}).status_code == 422
        back = desk.post("/admin/confirm/", {"code": code(), "next": url(refund, "approve")})
        assert back.url == url(refund, "approve")
        page = desk.get(back.url)
        assert "With our apologies." in page.content.decode()
        assert desk.post(url(refund, "approve"), {"ground": "With our apologies."}).status_code == 302
        assert fresh(refund).state == "approved"

    @pytest.mark.parametrize("verb", ["approve", "send", "settle", "void"])
    def test_each_verb_that_moves_money(self, fiona, refund, settings, verb):
        refund.state = {"approve": "proposed"}.get(verb, "proposed")
        if verb != "approve":
            approve(refund=refund, by=fiona, now=cast.NOW)
        desk = cast.at_desk(fiona)
        assert desk.get(url(refund, verb)).status_code == 200
        self.stale(desk, settings)
        assert desk.get(url(refund, verb)).url.startswith("/admin/confirm/")

    def test_terminations_and_erasure(self, settings):
        desk = cast.at_desk(cast.staff("manager"))
        self.stale(desk, settings)
        for page in ("admin:cancellations_termination_add", "admin:cancellations_erasure_add"):
            assert desk.get(reverse(page)).url.startswith("/admin/confirm/")
            assert desk.post(reverse(page), {}).url.startswith("/admin/confirm/")

    def test_reading_and_proposing_do_not_ask(self, fiona, refund, settings):
        desk = cast.at_desk(fiona)
        self.stale(desk, settings)
        assert desk.get(url(refund)).status_code == 200
        assert desk.get(url(refund, "propose")).status_code == 200


class Provider(BaseHTTPRequestHandler):
    """An identity provider that gives out what the test says."""

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims: dict = {}
    userinfo: dict = {}

    def answer(self, told):
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def base(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def do_GET(self):
        if self.path.startswith("/.well-known"):
            ends = {name: f"{self.base()}/{name}" for name in ("authorize", "token", "userinfo", "jwks")}
            self.answer(
                {
                    "issuer": self.base(),
                    "authorization_endpoint": ends["authorize"],
                    "token_endpoint": ends["token"],
                    "userinfo_endpoint": ends["userinfo"],
                    "jwks_uri": ends["jwks"],
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                }
            )
        else:
            self.answer({name: value for name, value in self.claims.items() if name != "amr"} | self.userinfo)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        now = int(time.time())
        token = {**self.claims, "iss": self.base(), "aud": "portal", "iat": now, "exp": now + 60}
        signed = jwt.encode(token, self.key, algorithm="RS256", headers={"kid": "1"})
        self.answer({"access_token": "x", "token_type": "Bearer", "id_token": signed})

    def log_message(self, *args):
        pass


@pytest.fixture
def provider(settings):
    server = HTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    settings.OIDC_CLIENT_ID, settings.OIDC_NAME = "portal", "Atnt ID"
    app = {"provider_id": "staff", "name": "Atnt ID", "client_id": "portal", "secret": "s"}
    app["settings"] = {"server_url": f"http://127.0.0.1:{server.server_port}", "oauth_pkce_enabled": True}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    Provider.claims = {"sub": "4711", "email": "sam@atntcrm.example", "email_verified": True}
    Provider.userinfo = {}
    yield Provider
    server.shutdown()
    server.server_close()


class TestOpenIDConnect:
    def enter(self, client, following="/admin/billing/refund/"):
        begun = client.post(f"{reverse('openid_connect_login', args=['staff'])}?next={following}")
        state = parse_qs(urlsplit(begun.url).query)["state"][0]
        return client.get(reverse("openid_connect_callback", args=["staff"]), {"code": "abc", "state": state})

    def test_then_the_second_factor_and_in(self, client, sam, provider):
        assert "Sign in with Atnt ID" in client.get("/admin/login/").content.decode()
        assert self.enter(client).url == "/admin/second/"
        assert client.get("/admin/").status_code == 302
        assert client.post("/admin/second/", {"code": code()}).url == "/admin/billing/refund/"
        assert client.get("/admin/billing/refund/").status_code == 200

    def test_trusted_with_the_second_factor_only_if_it_says_that_it_asked(self, client, sam, provider, settings):
        settings.OIDC_TRUST_SECOND_FACTOR = True
        provider.claims["amr"] = ["pwd"]
        assert self.enter(client).url == "/admin/second/"
        provider.claims["amr"] = ["pwd", "mfa"]
        assert self.enter(Client()).url == "/admin/billing/refund/"
        provider.claims["amr"] = ["pwd", "mfa"]
        settings.OIDC_TRUST_SECOND_FACTOR = False
        assert self.enter(Client()).url == "/admin/second/"

    @pytest.mark.parametrize(
        "claims",
        [
            {"email": "nobody@atntcrm.example"},
            {"email_verified": False},
            {"email_verified": None},
            {"email": ""},
        ],
    )
    def test_who_is_not_known_here_stays_out(self, client, sam, provider, claims):
        provider.claims |= claims
        assert self.enter(client).url == "/admin/login/"
        assert client.get("/admin/").status_code == 302
        assert deeds("sign_in_failed").count() == 1

    def test_an_address_belongs_to_one_identity(self, client, sam, provider):
        self.enter(client)
        provider.claims["sub"] = "another"
        assert self.enter(Client()).url == "/admin/login/"

    def test_who_has_left_and_customers_stay_out(self, client, sam, provider):
        sam.is_active = False
        sam.save()
        assert self.enter(client).url == "/admin/login/"
        holder = cast.customer(cast.account())
        provider.claims |= {"sub": "9", "email": holder.email}
        assert self.enter(client).url == "/admin/login/"

    def test_a_callback_that_nobody_asked_for(self, client, provider, db):
        answer = client.get(reverse("openid_connect_callback", args=["staff"]), {"code": "x", "state": "y"})
        assert answer.url == "/admin/login/"

    def test_without_the_settings_there_is_no_such_way(self, client, db):
        assert "Sign in with" not in client.get("/admin/login/").content.decode()
        assert client.post(reverse("openid_connect_login", args=["staff"])).status_code == 404


def test_all_of_it_leaves_the_audit_whole(client, sam):
    client.post("/admin/login/", LOGIN)
    client.post("/admin/second/", {"code": code()})
    assert list(faults()) == []

"""Changes of who may sign in and how: a recent proof first, a mail to the person, and no other session lives on."""

import re
import time

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.audit import faults
from accounts.models import StaffAction, User
from accounts.services import people
from accounts.tasks import tidy
from config.sign_in.factors import Kinds, verify_code
from config.sign_in.recovery_codes import make_codes
from messaging.links import hide_secrets
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, at_desk, fresh
from tests.desk.test_permissions import person
from tests.desk.test_signing_in import LOGIN, SECRET, code

pytestmark = pytest.mark.django_db
PASSWORD = "heron-violet-7-lantern"


@pytest.fixture
def sam(db):
    sam = cast.staff("support")
    TOTP.activate(sam, SECRET)
    return sam


@pytest.fixture
def adam(db):
    return person("administrator")


def make_stale(desk, settings):
    session = desk.session
    session["second_factor_at"] -= settings.STAFF_REAUTH_MINUTES * 60 + 1
    session.save()


def is_signed_in(desk):
    return desk.get(reverse("admin:security")).status_code == 200


def mails(person, kind="security_notice"):
    return list(OutgoingMessage.objects.filter(recipient=person.email, kind=kind).order_by("created_at"))


def link_in(mail):
    return re.search(r"/admin/password/\S+?/\S+?/", mail.text).group()


class TestAProofThatIsRecent:
    def pages(self, sam):
        sara = person("support")
        endpoint = cast.webhook_delivered().endpoint
        webhook = "admin:messaging_webhookendpoint"
        return [
            reverse("admin:set_up"),
            reverse("admin:set_up_passkey"),
            reverse("admin:recovery_codes"),
            reverse("admin:remove_factor", args=[Authenticator.objects.get(user=sam).pk]),
            reverse("admin:password_change"),
            reverse("admin:accounts_user_add"),
            reverse("admin:accounts_user_change", args=[sara.pk]),
            reverse("admin:accounts_user_reset", args=[sara.pk]),
            reverse("admin:accounts_user_password_link", args=[sara.pk]),
            reverse("admin:accounts_user_end_sessions", args=[sara.pk]),
            reverse(f"{webhook}_add"),
            reverse(f"{webhook}_verb", args=[endpoint.pk, "change"]),
            reverse(f"{webhook}_verb", args=[endpoint.pk, "rotate"]),
        ]

    def test_each_page_that_changes_access_asks_for_it(self, sam, settings):
        sam.is_superuser = True
        sam.save()
        desk = at_desk(fresh(sam))
        for page in self.pages(sam):
            make_stale(desk, settings)
            for response in (desk.get(page), desk.post(page, {"code": code()})):
                assert response.status_code == 302, page
                assert response.url.startswith("/admin/confirm/?next="), page
            session = desk.session
            session["second_factor_at"] = time.time()
            session.save()
            assert not desk.get(page).get("Location", "").startswith("/admin/confirm/"), page
        assert not mails(sam)

    def test_new_recovery_codes_do_not_come_without_it(self, sam, settings):
        (before, *_) = make_codes(sam)
        desk = at_desk(sam)
        make_stale(desk, settings)
        desk.post(reverse("admin:recovery_codes"))
        assert verify_code(sam, before) == "recovery code"

    def test_a_form_that_waits_for_the_proof_holds_no_password(self, sam, settings):
        desk = at_desk(sam)
        make_stale(desk, settings)
        desk.post(reverse("admin:password_change"), {"old_password": "a-long-password", "new_password1": PASSWORD})
        kept = str(dict(desk.session))
        assert PASSWORD not in kept
        assert "a-long-password" not in kept

    def test_the_session_has_another_key_afterwards(self, sam, settings):
        desk = at_desk(sam)
        desk.get(reverse("admin:security"))
        make_stale(desk, settings)
        before = desk.session.session_key
        desk.post("/admin/confirm/", {"code": code(), "next": "/admin/"})
        after = desk.session.session_key
        assert after != before
        assert not Session.objects.filter(session_key=before).exists()
        assert [row.session_key for row in UserSession.objects.all()] == [after]
        thief = Client()
        thief.cookies[django_settings.SESSION_COOKIE_NAME] = before
        assert not is_signed_in(thief)
        assert is_signed_in(desk)


class TestOnesOwnFactors:
    def test_another_app_is_told_by_mail_and_ends_the_other_sessions(self, sam):
        desk, other = at_desk(sam), at_desk(sam)
        secret = desk.get(reverse("admin:set_up")).context["secret"].replace(" ", "")
        desk.post(reverse("admin:set_up"), {"code": code(secret=secret)})
        assert [mail.subject for mail in mails(sam)] == ["Your authenticator app was replaced"]
        assert is_signed_in(desk)
        assert not is_signed_in(other)

    def test_new_recovery_codes_too(self, sam):
        desk, other = at_desk(sam), at_desk(sam)
        desk.post(reverse("admin:recovery_codes"))
        assert [mail.subject for mail in mails(sam)] == ["Your recovery codes were renewed"]
        assert is_signed_in(desk)
        assert not is_signed_in(other)

    def test_and_a_factor_that_is_removed(self, sam):
        passkey = Authenticator.objects.create(
            user=sam, type=Kinds.WEBAUTHN, data={"name": "My phone", "credential": {}}
        )
        desk, other = at_desk(sam), at_desk(sam)
        desk.post(reverse("admin:remove_factor", args=[passkey.pk]))
        [mail] = mails(sam)
        assert mail.subject == "A passkey was removed"
        assert "My phone" in mail.text
        assert is_signed_in(desk)
        assert not is_signed_in(other)

    def test_the_mail_is_in_the_language_of_the_person(self, sam):
        sam.language = "de"
        sam.save()
        at_desk(sam).post(reverse("admin:recovery_codes"))
        assert [mail.subject for mail in mails(sam)] == ["Ihre Wiederherstellungscodes wurden erneuert"]

    def test_the_secret_of_an_app_is_not_readable_in_the_session(self, sam):
        desk = at_desk(sam)
        secret = desk.get(reverse("admin:set_up")).context["secret"].replace(" ", "")
        assert secret not in str(dict(desk.session))


class TestOnesOwnPassword:
    def change(self, desk, new=PASSWORD):
        fields = {"old_password": "a-long-password", "new_password1": new, "new_password2": new}
        return desk.post(reverse("admin:password_change"), fields)

    def test_a_change_is_told_by_mail_and_ends_the_other_sessions(self, sam):
        desk, other = at_desk(sam), at_desk(sam)
        assert self.change(desk).url == reverse("admin:security")
        assert [mail.subject for mail in mails(sam)] == ["Your password was changed"]
        assert is_signed_in(desk)
        assert not is_signed_in(other)
        assert fresh(sam).check_password(PASSWORD)

    def test_a_sign_in_that_has_begun_does_not_go_on(self, client, sam):
        client.post("/admin/login/", LOGIN)
        self.change(at_desk(sam))
        assert client.post("/admin/second/", {"code": code()}).url == "/admin/login/"


class TestALinkToChooseAPassword:
    def forgotten(self, client, email):
        return client.post(reverse("admin:password_forgotten"), {"email": email})

    def open(self, client, mail):
        return client.get(link_in(mail)).url

    def test_the_page_does_not_tell_who_is_staff(self, client, sam):
        pages = [self.forgotten(client, email) for email in (sam.email, "nobody@atntcrm.example")]
        texts = [page.content.decode().replace(sam.email, "").replace("nobody@atntcrm.example", "") for page in pages]
        assert [page.status_code for page in pages] == [200, 200]
        assert re.sub("(csrf|nonce)[^>]*", "", texts[0]) == re.sub("(csrf|nonce)[^>]*", "", texts[1])
        assert OutgoingMessage.objects.count() == 1

    def test_it_works_once_and_a_second_factor_is_still_asked_for(self, client, sam):
        self.forgotten(client, sam.email)
        [mail] = mails(sam, "password_link")
        page = self.open(client, mail)
        chosen = {"new_password1": PASSWORD, "new_password2": PASSWORD}
        assert client.post(page, chosen).url == "/admin/login/"
        assert not is_signed_in(client)
        assert client.post("/admin/login/", {**LOGIN, "password": PASSWORD}).url == "/admin/second/"
        assert "no longer works" in Client().get(link_in(mail)).content.decode()
        assert [mail.subject for mail in mails(sam)] == ["Your password was changed"]

    def test_it_ends_with_the_access(self, client, sam):
        people.send_password_link(of=sam, by=None, now=NOW)
        [mail] = mails(sam, "password_link")
        User.objects.filter(pk=sam.pk).update(is_active=False)
        assert "no longer works" in client.get(link_in(mail)).content.decode()

    def test_few_go_out_in_an_hour(self, client, sam):
        with time_machine.travel("2026-02-12 14:03+00:00", tick=False):
            assert {self.forgotten(client, sam.email).status_code for _ in range(5)} == {200}
        assert len(mails(sam, "password_link")) == 3

    def test_customers_get_none(self, client):
        holder = cast.customer(cast.account())
        self.forgotten(client, holder.email)
        assert not OutgoingMessage.objects.exists()

    def test_no_log_holds_it(self):
        link = "/admin/password/MQ/abc-def0123/"
        assert "abc-def0123" not in hide_secrets(f"GET {link} HTTP/1.1")


class TestAColleague:
    def test_nobody_sets_the_password_of_another(self, adam, sam):
        desk = at_desk(adam)
        for page in (f"/admin/accounts/user/{sam.pk}/password/", "/admin/accounts/user/add/"):
            desk.post(page, {"email": "new@desk.example", "password1": PASSWORD, "password2": PASSWORD})
        assert not any(user.check_password(PASSWORD) for user in User.objects.all())

    def test_who_resets_the_factor_still_does_not_get_in(self, adam):
        fiona = cast.staff("finance")
        TOTP.activate(fiona, SECRET)
        desk, hers = at_desk(adam), at_desk(fiona)
        desk.post(reverse("admin:accounts_user_reset", args=[fiona.pk]))
        desk.post(reverse("admin:accounts_user_password_link", args=[fiona.pk]))
        assert fresh(fiona).check_password("a-long-password")
        assert not is_signed_in(hers)
        [notice] = mails(fiona)
        assert notice.subject == "Your second step was reset"
        assert str(adam) in notice.text
        assert len(mails(fiona, "password_link")) == 1
        assert not OutgoingMessage.objects.filter(recipient=adam.email).exists()

    def test_an_administrator_signs_somebody_out_everywhere(self, adam, sam):
        hers = at_desk(sam)
        page = reverse("admin:accounts_user_end_sessions", args=[sam.pk])
        assert at_desk(cast.staff("manager")).post(page).status_code == 403
        assert is_signed_in(hers)
        at_desk(adam).post(page)
        assert not is_signed_in(hers)
        assert [mail.subject for mail in mails(sam)] == ["All your sessions were ended"]

    def test_an_administrator_does_not_move_the_address_to_which_the_link_goes(self, adam, sam):
        page = reverse("admin:accounts_user_change", args=[sam.pk])
        at_desk(adam).post(page, {"email": "adam@elsewhere.example", "name": "Sam", "is_active": "on"})
        assert fresh(sam).email == "sam@atntcrm.example"
        with pytest.raises(PermissionDenied):
            people.change_person(
                person=sam, name="Sam", email="adam@elsewhere.example", language="en", is_active=True,
                is_staff=True, is_superuser=False, roles=[], by=adam, now=NOW,
            )  # fmt: skip

    def test_other_roles_are_told_and_end_the_sessions(self, adam, sam):
        hers = at_desk(sam)
        finance = Group.objects.get(name="finance")
        fields = {"name": "Sam", "language": "en", "is_active": "on", "is_staff": "on", "groups": [finance.pk]}
        response = at_desk(adam).post(reverse("admin:accounts_user_change", args=[sam.pk]), fields)
        assert response.status_code == 302
        [mail] = mails(sam)
        assert "finance" in mail.text
        assert not is_signed_in(hers)

    def test_a_name_alone_ends_nothing(self, adam, sam):
        hers = at_desk(sam)
        support = Group.objects.get(name="support")
        fields = {"name": "Samira", "language": "en", "is_active": "on", "is_staff": "on", "groups": [support.pk]}
        at_desk(adam).post(reverse("admin:accounts_user_change", args=[sam.pk]), fields)
        assert fresh(sam).name == "Samira"
        assert is_signed_in(hers)
        assert not mails(sam)

    def test_who_comes_back_has_no_old_session(self, sam):
        hers = at_desk(sam)
        for is_active in (False, True):
            User.objects.filter(pk=sam.pk).update(is_active=is_active)
        assert not is_signed_in(hers)

    def test_saving_an_old_copy_of_the_row_brings_no_session_back(self, sam):
        hers, copy = at_desk(sam), fresh(sam)
        people.reset_factors(of=sam, by=None, now=NOW)
        copy.save()
        assert not is_signed_in(hers)

    def test_a_new_person_is_invited(self, adam, client):
        support = Group.objects.get(name="support")
        fields = {"email": "Nora@atntcrm.example", "name": "Nora", "language": "en", "groups": [support.pk]}
        assert at_desk(adam).post(reverse("admin:accounts_user_add"), fields).status_code == 302
        nora = User.objects.get(email="nora@atntcrm.example")
        assert nora.is_staff
        assert list(nora.groups.all()) == [support]
        assert not nora.has_usable_password()
        [mail] = mails(nora, "password_link")
        page = client.get(link_in(mail)).url
        client.post(page, {"new_password1": PASSWORD, "new_password2": PASSWORD})
        login = {"username": nora.email, "password": PASSWORD}
        assert client.post("/admin/login/", login).url == "/admin/second/set-up/"

    def test_who_reads_the_audit_log_is_told_of_a_second_name_with_other_roles(self, adam):
        mara = cast.staff("manager")
        finance = Group.objects.get(name="finance")
        fields = {"email": "adam@elsewhere.example", "name": "A", "language": "en", "groups": [finance.pk]}
        at_desk(adam).post(reverse("admin:accounts_user_add"), fields)
        [mail] = mails(mara)
        assert mail.subject == "A person was invited: adam@elsewhere.example (finance)"
        assert str(adam) in mail.text
        second = User.objects.get(email="adam@elsewhere.example")
        fields = {"name": "A", "language": "en", "is_active": "on", "is_staff": "on", "groups": []}
        at_desk(adam).post(reverse("admin:accounts_user_change", args=[second.pk]), fields)
        assert any("access of a person was changed" in mail.subject for mail in mails(mara))

    def test_an_administrator_makes_no_superuser(self, adam):
        fields = {"email": "nora@atntcrm.example", "name": "Nora", "language": "en", "is_superuser": "on"}
        at_desk(adam).post(reverse("admin:accounts_user_add"), fields)
        assert not User.objects.filter(is_superuser=True).exists()
        with pytest.raises(PermissionDenied):
            people.invite(email="n@a.example", name="N", language="en", roles=[], by=adam, now=NOW, is_superuser=True)

    def test_the_operator_resets_by_a_command_and_the_person_is_told(self, sam):
        hers = at_desk(sam)
        call_command("reset_second_factor", sam.email)
        assert "on the server" in mails(sam)[0].text
        assert not is_signed_in(hers)

    def test_all_of_it_is_in_the_audit(self, adam, sam):
        people.reset_factors(of=sam, by=adam, now=NOW)
        people.send_password_link(of=sam, by=adam, now=NOW)
        people.invite(email="n@a.example", name="N", language="en", roles=[], by=adam, now=NOW)
        verbs = set(StaffAction.objects.filter(by=adam).values_list("verb", flat=True))
        assert verbs == {"second_factor_reset", "password_link_sent", "person_invited"}
        assert list(faults()) == []


class TestWebhookSecrets:
    def test_who_manages_webhooks_reads_that_a_secret_changed(self, adam):
        endpoint = cast.webhook_delivered().endpoint
        at_desk(adam).post(reverse("admin:messaging_webhookendpoint_verb", args=[endpoint.pk, "rotate"]), {})
        [mail] = mails(adam)
        assert endpoint.name in mail.subject
        assert "secret" in mail.subject


class TestSessions:
    def desks(self, sam):
        desks = [
            Client(headers={"user-agent": agent})
            for agent in (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                "Version/18.0 Mobile/15E148 Safari/604.1",
            )
        ]
        for desk in desks:
            at_desk(sam, desk).get("/admin/")
        return desks

    def test_the_page_shows_ones_own_and_ends_one(self, sam):
        first, second = self.desks(sam)
        at_desk(cast.staff("manager")).get("/admin/")
        sessions = first.get(reverse("admin:security")).context["sessions"]
        browsers = {(session.browser, session.system) for session in sessions}
        assert browsers == {("Firefox", "Linux"), ("Mobile Safari", "iOS")}
        assert "Mobile Safari on iOS" in " ".join(first.get(reverse("admin:security")).content.decode().split())
        [other] = [session for session in sessions if not session.is_current]
        first.post(reverse("admin:end_sessions"), {"session": other.key})
        assert is_signed_in(first)
        assert not is_signed_in(second)

    def test_or_all_others(self, sam):
        first, second = self.desks(sam)
        first.post(reverse("admin:end_sessions"))
        assert is_signed_in(first)
        assert not is_signed_in(second)

    @pytest.mark.parametrize("key", ["", "x", "9" * 40])
    def test_nobody_ends_anothers(self, sam, key):
        desk, other = at_desk(sam), at_desk(cast.staff("manager"))
        other.get("/admin/")
        row = UserSession.objects.get(user=cast.staff("manager"))
        for value in (key, str(row.pk)):
            assert desk.post(reverse("admin:end_sessions"), {"session": value}).status_code == 302
        assert is_signed_in(other)

    def test_ends_after_some_hours_whatever_is_done(self, sam, settings):
        settings.STAFF_SESSION_HOURS = 8
        start = time.time()
        desk = Client()
        desk.post("/admin/login/", LOGIN)
        desk.post("/admin/second/", {"code": code()})
        for minute in range(20, 8 * 60, 20):
            with time_machine.travel(start + minute * 60, tick=False):
                assert desk.get("/admin/").status_code == 200
        with time_machine.travel(start + 8 * 3600 + 5, tick=False):
            assert desk.get("/admin/").url.startswith("/admin/login/")
            assert "a session lasts 8 hours" in desk.get("/admin/login/").content.decode()

    def test_the_second_factor_given_again_makes_it_no_longer(self, sam, settings):
        settings.STAFF_SESSION_HOURS = 1
        start = time.time()
        desk = Client()
        desk.post("/admin/login/", LOGIN)
        desk.post("/admin/second/", {"code": code()})
        with time_machine.travel(start + 25 * 60, tick=False):
            assert desk.post("/admin/confirm/", {"code": code(time.time())}).status_code == 302
        with time_machine.travel(start + 50 * 60, tick=False):
            assert desk.get("/admin/").status_code == 200
        with time_machine.travel(start + 3605, tick=False):
            assert desk.get("/admin/").url.startswith("/admin/login/")

    def test_expired_ones_are_cleared(self, sam, settings):
        at_desk(sam).get("/admin/")
        with time_machine.travel(time.time() + settings.SESSION_COOKIE_AGE + 5, tick=False):
            at_desk(sam).get("/admin/")
            tidy()
            assert Session.objects.count() == 1
            assert UserSession.objects.count() == 1

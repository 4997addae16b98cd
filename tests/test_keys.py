"""Keys are changed, and nobody loses a second factor, a webhook's secret, a reply address, a link or a proof."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from django.apps import apps
from django.core.management import CommandError, call_command
from django.core.signing import BadSignature
from django.test import Client

from accounts.audit import SealingRefused, faults, seal_audit
from accounts.models import AuditEntry
from accounts.tasks import seal
from cancellations.letters.proof import Link, follow_code, is_follow_code, proof_token, read_proof_token
from cancellations.services.receipts import broken_receipts
from config.deployment.keys import SEALED, earlier_keys, reseal_all, unreadable_secrets, unverifiable_entries
from config.sign_in.factors import verify_code
from config.sign_in.recovery_codes import make_codes
from messaging import sealing
from messaging.addresses import reference_in, reply_address
from messaging.services.webhooks import rotate_secret, secrets_of
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db
OLD, NEW, NEWEST = (
    f"{name} key of the tests, long enough to be a secret of its own" for name in ("old", "new", "newest")
)


@pytest.fixture(autouse=True)
def old_key(settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = OLD, []


def change_key(settings, new=NEW):
    """As an operator does it: the new key signs and encrypts, the earlier ones are kept as fallbacks."""
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    settings.SECRET_KEY = new


@pytest.fixture
def person():
    """Somebody of staff with an authenticator app and recovery codes."""
    person = cast.staff("support")
    totp.TOTP.activate(person, totp.generate_totp_secret())
    person.recovery_codes = make_codes(person)
    return person


@pytest.fixture
def endpoint():
    endpoint = cast.webhook_delivered().endpoint
    rotate_secret(endpoint=endpoint, now=NOW)
    return fresh(endpoint)


def code_of(person):
    secret = decrypt(Authenticator.objects.get(user=person, type="totp").data["secret"])
    return totp.format_hotp_value(totp.hotp_value(secret, next(iter(totp.yield_hotp_counters_from_time()))))


def recovery_code_of(person):
    return person.recovery_codes.pop()


class TestSecretKey:
    def test_second_factors_stay_with_the_fallback_and_without_it_once_resealed(self, person, settings):
        change_key(settings)
        assert verify_code(person, recovery_code_of(person)) == "recovery code"
        reseal_all(now=NOW)
        settings.SECRET_KEY_FALLBACKS = []
        assert verify_code(person, code_of(person)) == "authenticator app"
        assert verify_code(person, recovery_code_of(person)) == "recovery code"

    def test_the_secrets_of_webhooks_stay_both_the_new_one_and_the_one_before(self, endpoint, settings):
        before = secrets_of(endpoint, NOW)
        change_key(settings)
        assert secrets_of(endpoint, NOW) == before
        reseal_all(now=NOW)
        settings.SECRET_KEY_FALLBACKS = []
        assert secrets_of(fresh(endpoint), NOW) == before
        assert len(before) == 2

    def test_reply_addresses_and_codes_in_mails_that_were_sent_stay(self, settings):
        settings.REPLY_ADDRESS = "support+{token}@example.com"
        address, code = reply_address("CR-AAAA-BBBB"), follow_code(Link("CR-AAAA-BBBB", "a@b.example"), NOW)
        change_key(settings)
        assert reference_in(address) == "CR-AAAA-BBBB"
        assert is_follow_code(code, Link("CR-AAAA-BBBB", "A@b.example"), NOW)
        assert reply_address("CR-AAAA-BBBB") != address
        settings.SECRET_KEY_FALLBACKS = []
        assert reference_in(address) == ""
        assert not is_follow_code(code, Link("CR-AAAA-BBBB", "a@b.example"), NOW)

    def test_links_and_sessions_stay(self, settings):
        request, browser = cast.in_review(), cast.at_desk(cast.staff("support"))
        link = proof_token(request)
        change_key(settings)
        assert read_proof_token(link)[:2] == (request.declaration, request.email_given)
        assert browser.get("/admin/").status_code == 200
        assert Client().get("/admin/").status_code == 302
        settings.SECRET_KEY_FALLBACKS = []
        with pytest.raises(BadSignature):
            read_proof_token(link)

    def test_the_key_can_be_changed_again_and_again(self, person, endpoint, settings):
        before = secrets_of(endpoint, NOW)
        change_key(settings)
        change_key(settings, NEWEST)
        assert secrets_of(endpoint, NOW) == before
        reseal_all(now=NOW)
        settings.SECRET_KEY_FALLBACKS = []
        assert secrets_of(fresh(endpoint), NOW) == before
        assert verify_code(person, code_of(person)) == "authenticator app"


class TestResealing:
    def test_counts_and_can_be_run_again_after_it_broke_off(self, person, endpoint, settings, monkeypatch):
        change_key(settings)
        rotate = sealing.MultiFernet.rotate
        calls = []

        def break_off(cipher, secret):
            calls.append(secret)
            if len(calls) == 3:  # the second row: both secrets of the endpoint, the app
                raise KeyboardInterrupt
            return rotate(cipher, secret)

        monkeypatch.setattr(sealing.MultiFernet, "rotate", break_off)
        monkeypatch.setattr(sealing.reseal, "__kwdefaults__", {"batch": 1})
        with pytest.raises(KeyboardInterrupt):
            reseal_all(now=NOW)
        monkeypatch.setattr(sealing.MultiFernet, "rotate", rotate)
        assert reseal_all(now=NOW) == {
            "webhook secrets": {"current": 1},
            "second factors": {"current": 1, "re-sealed": 1},
        }
        assert reseal_all(now=NOW) == {"webhook secrets": {"current": 1}, "second factors": {"current": 2}}

    def test_what_no_key_reads_is_left_as_it_is_and_named(self, endpoint, settings):
        settings.SECRET_KEY = NEW
        out = StringIO()
        with pytest.raises(CommandError, match="1 cannot be decrypted with any key"):
            call_command("reseal_secrets", stdout=out)
        assert "webhook secrets: 0 re-sealed, 0 current, 1 unreadable" in out.getvalue()
        assert fresh(endpoint).secret_sealed == endpoint.secret_sealed
        assert list(unreadable_secrets()) == [
            "1 of the webhook secrets cannot be decrypted: put the key that encrypted them into SECRET_KEY_FALLBACKS."
        ]

    def test_a_passkey_has_nothing_to_reseal(self, settings):
        Authenticator.objects.create(user=cast.staff("support"), type="webauthn", data={"credential": {"x": 1}})
        change_key(settings)
        assert reseal_all(now=NOW)["second factors"] == {"current": 1}

    def test_every_field_that_holds_sealed_secrets_is_listed(self):
        listed = {(sealed.model, name) for sealed in SEALED for name in sealed.fields}
        named = {(m, field.name) for m in apps.get_models() for field in m._meta.fields if "sealed" in field.name}
        assert {pair for pair in named if "sealed_at" not in pair[1]} <= listed


class TestWhichKeyIsStillNeeded:
    def needed(self, now=NOW):
        return {(key.setting, key.name): key.needed_for for key in earlier_keys(now=now)}

    def test_an_earlier_key_until_all_is_resealed_and_the_links_are_over(self, person, endpoint, settings):
        change_key(settings)
        old = ("SECRET_KEY_FALLBACKS", sealing.key_name(OLD))
        assert self.needed()[old] == (
            "1 webhook secrets (manage.py reseal_secrets)",
            "1 second factors (manage.py reseal_secrets)",
            "links in mails, until 7 days after manage.py reseal_secrets",
        )
        reseal_all(now=NOW)
        reseal_all(now=NOW + timedelta(days=3))
        assert self.needed()[old] == ("links in mails, until 19 Feb 2026, 13:07 UTC",)
        assert self.needed(NOW + timedelta(days=7))[old] == ()

    def test_the_command_says_so_and_prints_no_key(self, person, settings):
        change_key(settings)
        out = StringIO()
        call_command("reseal_secrets", stdout=out)
        assert "second factors: 1 re-sealed, 1 current, 0 unreadable" in out.getvalue()
        assert re.search(rf"The key {sealing.key_name(OLD)} .* is still needed for links in mails", out.getvalue())
        assert OLD not in out.getvalue()

    def test_a_key_of_the_audit_for_as_long_as_its_entries(self, settings):
        cast.in_review()
        count = seal_audit(now=NOW)
        settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = NEW, [OLD, NEWEST]
        needed = [key.needed_for for key in earlier_keys(now=NOW)]
        assert needed == [(f"audit entries 1 to {count}",), ()]
        settings.AUDIT_KEY_FALLBACKS = []
        (sentence,) = unverifiable_entries()
        assert f"Audit entries 1 to {count} cannot be verified" in sentence


class TestAuditKey:
    @pytest.fixture
    def changed(self, settings):
        """Entries sealed by the old key, then some by the new one."""
        cast.in_review()
        seal_audit(now=NOW)
        settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = NEW, [OLD]
        cast.in_review()
        seal_audit(now=NOW)

    def test_the_chains_are_verified_across_the_change(self, changed):
        assert AuditEntry.objects.values("key").distinct().count() == 2
        assert list(faults()) == []
        assert list(broken_receipts()) == []
        call_command("verify_audit", stdout=StringIO())
        call_command("verify_receipts", stdout=StringIO())

    def test_whoever_has_the_old_key_cannot_seal_new_entries_with_it(self, changed, settings):
        settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = OLD, []
        cast.in_review()
        with pytest.raises(SealingRefused, match="Put it into AUDIT_KEY_FALLBACKS"):
            seal_audit(now=NOW)
        settings.AUDIT_KEY_FALLBACKS = [NEW]
        with pytest.raises(SealingRefused, match="is not used again"):
            seal_audit(now=NOW)
        settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = NEWEST, [NEW, OLD]
        seal_audit(now=NOW)
        assert list(faults()) == []

    def test_a_worker_that_still_has_the_old_key_says_so_and_goes_on(self, changed, settings, caplog):
        settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = OLD, []
        cast.in_review()
        seal()
        assert "The audit is not sealed" in caplog.text

    def test_entries_sealed_behind_the_back_with_the_old_key_are_named(self, changed, settings, monkeypatch):
        from accounts import audit

        settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = OLD, [NEW]
        monkeypatch.setattr(audit, "_check_is_newer", lambda name, last: None)
        cast.in_review()
        seal_audit(now=NOW)
        settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = NEW, [OLD]
        assert [fault for fault in faults() if "which was replaced before" in fault]

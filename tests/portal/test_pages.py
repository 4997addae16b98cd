"""Pages around the flow: entry, policy, sign-in, errors, health."""

import re
from datetime import timedelta
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import User
from cancellations.models import PolicyVersion
from cancellations.queries.policies import policy_in_force
from cancellations.services.common import RequestRefused
from cancellations.services.policies import publish
from messaging.models import OutgoingMessage
from messaging.services.outbox import deliver_due
from tests import cast, databases

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy(db):
    return cast.policy(notice_days=10)


def test_the_entry_page_speaks_from_the_policy_in_force(client, policy):
    assert "10 days before your next billing date" in client.get("/").content.decode()
    cast.policy(notice_days=1, refund_decision_days=1)
    page = client.get("/").content.decode()
    assert "1 day before your next billing date" in page
    assert "Within 1 working day, " in page


def test_the_policy_shows_its_own_figures_and_keeps_its_versions(client, policy):
    cast.policy(notice_days=3)
    assert "We ask for 3 days of notice." in client.get("/policy/").content.decode()
    old = client.get("/policy/1/").content.decode()
    assert "We ask for 10 days of notice." in old
    assert "not the version in force" in old
    assert client.get("/policy/history/").content.decode().count("Version ") >= 2
    assert client.get("/policy/99/").status_code == 404


def test_without_a_policy_the_portal_says_so(client):
    answer = client.get("/")
    assert answer.status_code == 503
    assert "not open yet" in answer.content.decode()


def test_a_code_goes_to_known_addresses_and_the_page_says_the_same_for_all(policy):
    holder = cast.account()
    answers = []
    for email in (holder.email.upper(), "nobody@else.example", "sam@atntcrm.example"):
        cast.staff("support")
        client = Client()
        posted = client.post("/signin/", {"email": email})
        answers.append((posted.status_code, posted.url, len(client.get(posted.url).content)))
    assert len(set(answers)) == 1
    kinds = OutgoingMessage.objects.order_by("created_at").values_list("recipient", "kind")
    assert [kind for _, kind in kinds] == ["sign_in_code", "sign_in_unknown", "sign_in_unknown"]


def test_the_code_signs_in_and_a_wrong_one_does_not(client, policy):
    of = cast.subscription()
    client.post("/signin/", {"email": of.account.email})
    assert "Incorrect code" in client.post("/signin/code/", {"code": "WRONG"}).content.decode()
    code = OutgoingMessage.objects.get().text.split("**")[1]
    assert client.post("/signin/code/", {"code": code}).url == "/subscriptions/"
    assert of.plan_name in client.get("/subscriptions/").content.decode()
    assert not User.objects.get().has_usable_password()


def test_nobody_signs_up_here(client, policy):
    assert client.post("/signin/signup/", {"email": "x@y.example"}).status_code == 404
    client.post("/signin/", {"email": "x@y.example"})
    assert not User.objects.exists()


def test_errors_say_what_to_do(client, policy):
    missing = client.get("/nothing-here/")
    assert missing.status_code == 404
    assert "There is no such page" in missing.content.decode()
    strict = Client(enforce_csrf_checks=True)
    stale = strict.post("/cancel/", {"step": "check"})
    assert stale.status_code == 403
    assert "too old" in stale.content.decode()


def test_a_method_that_a_page_does_not_know_gets_a_page(client, policy):
    answer = client.post("/policy/")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert "not how this page works" in answer.content.decode()
    assert client.put("/cancel/").status_code == 405


def test_the_content_policy_is_strict_for_customers(client, policy):
    header = client.get("/")["Content-Security-Policy"]
    assert "default-src 'none'" in header
    assert "unsafe" not in header


def test_health(client, policy):
    assert client.get("/healthz").json() == {"alive": True}
    ready = client.get("/readyz")
    checks = {name: ready.json()[name] for name in ("database", "broker", "workers_keep_up", "mailboxes_are_read")}
    assert (ready.status_code, set(checks.values())) == (200, {True})


def test_a_message_that_lies_for_long_makes_it_unready(client, policy):
    from messaging.services.outbox import queue_message

    queue_message(kind="withdrawn", recipient="a@customer.example", context={"reference": "CR-1"}, now=cast.NOW)
    assert client.get("/readyz").status_code == 200
    assert client.get("/readyz/workers").status_code == 503


def test_a_refund_that_no_worker_sends_makes_it_unready(client, policy):
    refund = cast.refund_requested()
    with databases.without_guards("billing.Refund:refund_state", "billing.Refund:refund_guard"):
        whole = {"amount": 20, "amount_currency": "EUR", "basis": "unused", "proposed_by": cast.staff("finance")}
        whole |= {"approved_by": cast.staff("finance", "Frank"), "attempt_due_at": timezone.now() - timedelta(hours=1)}
        type(refund).objects.filter(pk=refund.pk).update(state="sending", **whole)
    assert client.get("/readyz").json()["workers_keep_up"] is False


def test_demo_data_is_refused_outside_a_local_run(settings):
    settings.LOCAL_RUN = False
    with pytest.raises(CommandError, match="well-known passwords"):
        call_command("load_demo")


def test_the_demo_fills_every_queue_and_is_loaded_once(settings, tmp_path, capsys):
    settings.DATA_DIR = tmp_path
    call_command("load_demo")
    call_command("load_demo")
    assert "no demo data was loaded" in capsys.readouterr().out
    from billing.models import Refund
    from cancellations.models import CancellationRequest

    states = set(CancellationRequest.objects.values_list("state", flat=True))
    assert states >= {"unverified", "in_review", "scheduled", "effective"}
    assert Refund.objects.filter(state="requested").exists()


def test_a_wrong_address_can_be_mended_and_a_code_asked_for_again(client, policy):
    holder = cast.account()
    client.post("/signin/", {"email": "typo@else.example"})
    assert client.post("/signout/", {"next": "/signin/"}).url == "/signin/"
    client.post("/signin/", {"email": holder.email})
    client.post("/signin/code/", {"action": "resend"})
    codes = OutgoingMessage.objects.filter(recipient=holder.email, kind="sign_in_code").order_by("created_at")
    assert codes.count() == 2
    code = codes.last().text.split("**")[1]
    assert client.post("/signin/code/", {"action": "verify", "code": code}).url == "/subscriptions/"


def test_two_versions_are_compared_in_words_and_figures(client, policy):
    cast.policy(notice_days=3)
    page = client.get("/policy/compare/1/2/").content.decode()
    assert "<del>10 days</del>" in page
    assert "<ins>3 days</ins>" in page
    assert "We ask for <del>10</del><ins>3</ins> days of notice." in page
    assert "<ins>10 days</ins>" in client.get("/policy/compare/2/1/").content.decode()
    assert client.get("/policy/compare/1/99/").status_code == 404
    assert client.get("/policy/compare/", {"before": "1", "after": "2"}).url == "/policy/compare/1/2/"
    assert client.get("/policy/compare/", {"before": "x"}).url == "/policy/history/"
    assert "/policy/compare/1/2/" in client.get("/policy/history/").content.decode()


def test_a_draft_is_shown_to_nobody(client, policy):
    PolicyVersion.objects.create(number=2, text="secret plans")
    assert client.get("/policy/2/").status_code == 404
    assert client.get("/policy/compare/1/2/").status_code == 404
    assert "Version 2" not in client.get("/policy/history/").content.decode()
    assert b"Version 2" not in client.get("/policy/feed/").content


def test_the_feed_has_an_entry_for_each_version(client, policy):
    cast.policy()
    answer = client.get("/policy/feed/")
    assert answer["Content-Type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(answer.content)
    names = {"a": "http://www.w3.org/2005/Atom"}
    titles = [entry.findtext("a:title", namespaces=names) for entry in feed.findall("a:entry", names)]
    assert [title.split(",")[0] for title in titles] == ["Version 2", "Version 1"]
    assert feed.find("a:entry/a:link", names).get("href").endswith("/policy/2/")


class TestInForce:
    DAY = timedelta(days=1)

    def publish(self, number, published, effective):
        draft = PolicyVersion.objects.create(number=number, text="x")
        return publish(version=draft, change_summary="x", effective_from=effective, now=published)

    def test_the_version_with_the_latest_start_that_has_come_is_in_force(self, policy):
        announced = self.publish(2, cast.NOW, cast.NOW + 60 * self.DAY)
        sooner = self.publish(3, cast.NOW + self.DAY, cast.NOW + 2 * self.DAY)
        assert policy_in_force(cast.NOW + self.DAY) == policy
        assert policy_in_force(cast.NOW + 2 * self.DAY) == sooner
        assert policy_in_force(cast.NOW + 60 * self.DAY - timedelta(seconds=1)) == sooner
        assert policy_in_force(cast.NOW + 60 * self.DAY) == announced  # history and feed promised it for this day

    def test_of_two_for_the_same_instant_the_one_published_later_counts(self, policy):
        start = cast.NOW + 60 * self.DAY
        later = self.publish(2, cast.NOW + self.DAY, start)
        self.publish(3, cast.NOW, start)
        assert policy_in_force(start) == later


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"approval_limits": {"EUR": "much"}}, "no sum of zero or more"),
        ({"approval_limits": {"EUR": 500}}, "write it in quotes"),
        ({"approval_limits": {"EUR": "-1"}}, "no sum of zero or more"),
        ({"approval_limits": {"EUR": "NaN"}}, "no sum of zero or more"),
        ({"approval_limits": {"XX": "5"}}, "no currency code"),
        ({"approval_limits": ["EUR"]}, "by currency"),
        ({"verification_days": 0}, "greater than or equal to 1"),
        ({"text": "We ask for {notice_day} of notice."}, "{notice_day}"),
        ({"text": ""}, "cannot be blank"),
    ],
)
def test_a_draft_with_a_slip_is_not_published_and_says_what_to_correct(figures, sentence):
    draft = PolicyVersion.objects.create(**({"number": 9, "text": "x"} | figures))
    now = timezone.now()
    with pytest.raises(RequestRefused) as refused:
        publish(version=draft, change_summary="x", effective_from=now, now=now)
    assert sentence in str(refused.value)
    assert not policy_is_published(draft)


def policy_is_published(version):
    return PolicyVersion.objects.get(pk=version.pk).state == "published"


def test_the_mail_of_a_local_run_can_be_followed(client, settings):
    holder = cast.account()
    cast.policy()
    settings.EMAIL_BACKEND = "config.local.mail_files.EmailBackend"
    cast.unverified(holder, at=timezone.now())
    deliver_due(now=timezone.now())
    (address,) = re.findall(r'href="(/local/mail/[^"]+/)"', client.get("/local/mail/").content.decode())
    page = client.get(address).content.decode()
    (link,) = re.findall(r'<a href="(http[^"]+/requests/proof/[^"]+)"', page)
    assert "Is this your cancellation?" in client.get(urlsplit(link).path).content.decode()

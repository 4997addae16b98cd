"""Mail to an address that nobody has proven: how much of it, and what of a stranger's text it carries."""

import re
from datetime import timedelta
from uuid import uuid4

import lxml.html
import pytest
import time_machine

from cancellations.models import CancellationRequest
from cancellations.services import proof_mails
from cancellations.services.enforcement import enforce
from cancellations.services.proof_mails import send_waiting
from cancellations.services.submission import (
    send_follow_link,
    send_proof_again,
    submit_as_guest,
    verify,
)
from messaging.models import Checked, OutgoingMessage, SetAside
from tests import cast
from tests.cast import NOW, fresh
from tests.portal.test_declarations import by_form, by_mail

pytestmark = pytest.mark.django_db
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HOSTILE = "Your account is blocked. Log in at https://bank.example/login or bank.example NOW. " * 36
LURE = "Your Bank www.bank.example"


@pytest.fixture(autouse=True)
def policy(db):
    return cast.policy()


def letter(**fields):
    return OutgoingMessage.objects.filter(kind="prove_address", **fields).latest("created_at")


def lure(holder, **given):
    typed = {"name": LURE, "account_number": "BANK.EXAMPLE/x", "username": LURE, "cause": HOSTILE, "words": HOSTILE}
    return by_form(holder, **(typed | {"refund_reason": HOSTILE} | given))


class TestWhatWasTyped:
    @pytest.mark.parametrize("law", ["", "FR", "UK", "US-CA"])
    @pytest.mark.parametrize("kind", ["ordinary", "for_cause"])
    def test_stands_in_no_mail_where_no_law_asks_for_it(self, law, kind):
        lure(cast.account(), jurisdiction=law or "default", kind=kind)
        mail = letter()
        for part in (mail.subject, mail.text, mail.html):
            assert "bank" not in part.lower()
            assert "blocked" not in part

    @pytest.mark.parametrize(
        ("language", "sentence"),
        [
            ("en", "This was typed into the form:"),
            ("de", "Das wurde in das Formular eingegeben:"),
            ("fr", "Ceci a été saisi dans le formulaire :"),
        ],
    )
    def test_by_german_law_is_a_short_quotation_without_links(self, language, sentence):
        lure(cast.account(), jurisdiction="DE", kind="for_cause", language=language)
        mail = letter()
        assert sentence in mail.text
        for line in mail.text.splitlines():
            if "Your Bank" in line or "blocked" in line:
                assert line.startswith("> ")
                assert len(line) < 300
        page = lxml.html.fromstring(mail.html)
        (quote,) = page.xpath("//blockquote")
        assert "Your Bank" in quote.text_content()
        quote.drop_tree()
        assert "bank" not in lxml.html.tostring(page, encoding="unicode").lower()
        for part in (mail.text, mail.html):
            assert "bank.example" not in part.lower()
            assert part.count("blocked") <= 3  # of 36
        assert "link removed" in mail.text or language != "en"

    def test_by_german_law_is_what_the_form_asks_for(self):
        of = cast.subscription()
        by_form(of.account, jurisdiction="DE", name="Alice Adler", kind="for_cause", cause="It does not work.")
        text = letter().text
        for line in ("Name: Alice Adler", f"Account number: {of.account.account_number}", "It does not work."):
            assert re.search(rf"^> .*{re.escape(line)}", text, re.MULTILINE)
        assert "12 February 2026, 14:07:31" in text
        assert "as early as possible" not in text  # for cause it ends at once
        assert "too dear" not in text

    def test_in_a_forged_mail_is_not_sent_on_whatever_the_law(self):
        holder = cast.account(country="DE")
        by_mail(holder, checked=Checked.FAILED, words=HOSTILE, cause=HOSTILE, name=LURE, jurisdiction="DE")
        assert "bank" not in (letter().text + letter().html).lower()

    def test_in_an_authenticated_mail_is_quoted(self):
        by_mail(cast.account(), words="Please cancel.\n\nSee https://bank.example")
        assert "> - In your own words: Please cancel. See [link removed]" in letter().text

    def test_is_confirmed_in_full_after_the_proof(self):
        of = cast.subscription()
        request = by_form(of.account, jurisdiction="DE", kind="for_cause", cause=HOSTILE)
        verify(request=request, now=NOW)
        assert HOSTILE.strip() in OutgoingMessage.objects.get(kind="received").text

    def test_is_not_in_the_answer_to_a_mail_that_is_too_large(self):
        from cancellations.letters.samples import kinds, sample

        assert "mail_too_large" in kinds("en")
        assert "all of our invoices" not in sample("mail_too_large", "en").subject


class TestHowManyMails:
    def post(self, n, network, **given):
        declaration = cast.declaration(cast.account(), **given)
        return submit_as_guest(
            declaration=declaration, submission_key=uuid4(), received_at=NOW, now=NOW, network=network(n)
        )

    @pytest.mark.parametrize(
        "network", [lambda n: f"203.0.113.{n}", lambda n: f"2001:db8:1:2:{n:x}::1"], ids=["IPv4 /24", "IPv6 /64"]
    )
    def test_from_one_network_to_many_addresses(self, network):
        requests = [self.post(n, network) for n in range(30)]
        sent = OutgoingMessage.objects.filter(kind="prove_address")
        assert sent.count() == 20
        assert CancellationRequest.objects.filter(state="unverified").count() == 30
        assert requests[-1].link_due_at == NOW + 30 * MINUTE
        send_waiting(now=NOW + 16 * MINUTE)
        assert sent.count() == 25
        send_waiting(now=NOW + HOUR)
        send_waiting(now=NOW + 2 * HOUR)
        assert sent.count() == 30  # each once
        self.post(31, lambda n: "198.51.100.7")
        assert sent.count() == 31

    def test_for_one_account_number_to_many_addresses(self):
        alice = cast.account()
        for n in range(8):
            by_form(alice, email=f"somebody{n}@elsewhere.example")
        assert OutgoingMessage.objects.filter(kind="prove_address").count() == 5
        by_form(alice)
        assert letter(recipient=alice.email)  # what strangers do never keeps her own waiting

    def test_to_one_address_are_few_and_one_link_proves_all(self, client):
        of = cast.subscription()
        requests = [by_form(of.account, words=str(n)) for n in range(6)]
        sent = OutgoingMessage.objects.filter(kind="prove_address")
        assert sent.count() == 3
        assert [bool(request.link_due_at) for request in requests] == 3 * [False] + 3 * [True]
        assert send_proof_again(request=requests[0], now=NOW + 5 * MINUTE) is False
        send_waiting(now=NOW + 61 * MINUTE)
        assert sent.count() == 4
        assert not CancellationRequest.objects.filter(link_due_at__isnull=False).exists()

    def test_at_most_ten_a_day(self):
        alice = cast.account()
        for n in range(30):
            by_form(alice, at=NOW + n * 25 * MINUTE)
        assert OutgoingMessage.objects.filter(kind="prove_address").count() == 10

    def test_the_page_says_that_it_waits_and_what_proves_it(self, client):
        from tests.portal.test_cancelling import cancel_as_guest

        of = cast.subscription()
        with time_machine.travel(NOW):
            for _ in range(3):
                by_form(of.account)
            page = client.get(cancel_as_guest(client, of.account).url).content.decode()
        assert "its link confirms this cancellation, too" in page
        assert "12 February 2026, 15:07:31" in page
        assert "We sent a link" not in page

    def test_a_declaration_that_waits_is_no_reason_for_a_mail_once_proven(self):
        of = cast.subscription()
        requests = [by_form(of.account) for _ in range(4)]
        verify(request=requests[0], now=NOW)
        assert fresh(requests[3]).state == "superseded"
        assert send_waiting(now=NOW + 2 * DAY) == 0

    def test_one_that_cannot_be_sent_does_not_hold_up_the_others(self, monkeypatch):
        for n in range(2):
            request = by_form(cast.account())
            CancellationRequest.objects.filter(pk=request.pk).update(link_due_at=NOW + n * MINUTE)
        first = CancellationRequest.objects.earliest("pk")
        original = proof_mails._send
        OutgoingMessage.objects.all().delete()

        def send(request, *rest):
            if request.pk == first.pk:
                raise ValueError("broken")
            original(request, *rest)

        monkeypatch.setattr(proof_mails, "_send", send)
        assert send_waiting(now=NOW + HOUR) == 1
        assert SetAside.objects.get(work="proofs.send").key == str(first.pk)

    def test_follow_links_to_one_address(self):
        alice = cast.account()
        requests = [by_form(alice) for _ in range(4)]
        for n in range(60):
            send_follow_link(reference=requests[n % 4].declaration, email=alice.email, now=NOW + n * 30 * MINUTE / 60)
        assert OutgoingMessage.objects.filter(kind="follow_link").count() == 5

    def test_of_what_expires_an_address_is_told_once_a_day(self):
        alice = cast.account()
        for n in range(9):
            by_form(alice, at=NOW + n * MINUTE)
        enforce(now=NOW + 31 * DAY)
        assert CancellationRequest.objects.filter(state="expired").count() == 9
        assert OutgoingMessage.objects.filter(kind="expired").count() == 1

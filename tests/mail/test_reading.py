"""Mail on a real IMAP server: what is a cancellation becomes a request, everything else finds a person."""

import json
from datetime import date, timedelta

import pytest
import typst
from django.urls import reverse

from cancellations.letters.proof import proof_token
from cancellations.models import CancellationRequest, Conversation, PolicyVersion, Receipt
from cancellations.queries.requests import overdue_requests
from cancellations.services.common import RequestRefused
from cancellations.services.enforcement import enforce
from cancellations.services.proof_mails import send_waiting
from cancellations.services.receipts import pdf_of
from cancellations.services.review import change_kind, schedule
from cancellations.services.submission import verify
from messaging.addresses import reply_address
from messaging.models import IncomingMessage, OutgoingMessage
from messaging.services.inbox import html_of
from tests import cast
from tests.cast import NOW, fresh
from tests.mail import corpus
from tests.mail.corpus import base64_subject, bounce, mail

pytestmark = pytest.mark.django_db
ADDRESS = "alice@customer.example"


@pytest.fixture
def alice():
    cast.policy()
    return cast.subscription(cast.account(email=ADDRESS, account_number="AT-104233"))


@pytest.fixture
def came(mailbox, read):
    """Delivers mails to the server and lets the workers read them; gives the last one as it was kept."""

    def deliver(*raws, at=NOW, now=None):
        for raw in raws:
            mailbox.deliver(raw, at)
        read(now or at)
        return IncomingMessage.objects.order_by("uid").last()

    return deliver


def the_request():
    return CancellationRequest.objects.get()


def the_task():
    return Conversation.objects.get()


def letters():
    return list(OutgoingMessage.objects.order_by("created_at", "written_at").values_list("kind", flat=True))


class TestACancellation:
    def test_counts_from_its_arrival_has_the_words_as_sent_and_is_answered_with_the_link(self, alice, came):
        row = came(
            mail("I want to cancel my subscription.", subject="Bye", message_id="<a@c>"), now=NOW + timedelta(hours=9)
        )
        request = the_request()
        assert (request.state, request.channel, request.received_at) == ("unverified", "email", NOW)
        assert request.words == "Bye\n\nI want to cancel my subscription."
        assert (row.about, row.outcome) == (request.declaration, f"A cancellation: {request.declaration}.")
        answer = OutgoingMessage.objects.get()
        assert (answer.kind, answer.recipient, answer.in_reply_to) == ("prove_address", ADDRESS, "<a@c>")
        assert "14:07:31 (Europe/Berlin)" in answer.text
        assert "/requests/proof/" in answer.text
        assert not Conversation.objects.exists()

    def test_is_matched_by_its_sender_once_that_is_proven(self, alice, came, client):
        came(mail("Hiermit kündige ich meinen Vertrag."))
        request = the_request()
        assert request.account is None
        prove(client, request)
        request = fresh(request)
        assert (request.state, request.subscription, request.received_at) == ("in_review", alice, NOW)
        assert request.language == "de"

    @pytest.mark.parametrize(
        ("words", "subject", "language"),
        [
            ("Je souhaite résilier mon abonnement AT-104233.", "Résiliation", "fr"),
            ("Bitte kündigen Sie meinen Vertrag AT-104233 zum 31. März 2026.", "Kündigung", "de"),
            ("Please cancel my plan 😀👋", base64_subject("Cancel 😀 please"), "en-gb"),
            ("", base64_subject("Kündigung AT-104233"), "de"),
        ],
    )
    def test_in_each_language(self, alice, came, words, subject, language):
        came(mail(words, subject=subject))
        assert the_request().language == language

    def test_of_html_alone(self, alice, came):
        page = (
            "<html><style>p{}</style><body><p>Hello,</p><p>please <b>cancel</b>&nbsp;my subscription.</p></body></html>"
        )
        row = came(mail(page, content_type="text/html; charset=utf-8", encoding="base64"))
        assert "please cancel my subscription." in the_request().words
        assert row.text.startswith("Hello,")

    @pytest.mark.parametrize("charset", ["iso-8859-1", "us-ascii", "utf-8", "x-unknown", "windows-1252", "utf-16"])
    def test_in_whatever_charset_it_says(self, alice, came, charset):
        head = mail("XX", content_type=f"text/plain; charset={charset}").partition(b"\r\n\r\n")[0]
        came(
            head
            + b"\r\n\r\n"
            + "Hiermit kündige ich mein Abo.\r\n".encode("utf-8" if charset != "windows-1252" else "cp1252")
        )
        assert "kündige" in the_request().words

    @pytest.mark.parametrize("program", corpus.QUOTED)
    def test_what_is_quoted_below_is_not_taken_for_the_senders_words(self, alice, came, program):
        quoted = corpus.QUOTED[program].format(quoted="Please cancel my subscription AT-999999.")
        came(mail("Where is my invoice?" + quoted, subject="Re: Your plan"))
        assert not CancellationRequest.objects.exists()
        assert the_task().todo == "answer"

    @pytest.mark.parametrize("program", corpus.QUOTED)
    def test_words_above_a_quotation_count(self, alice, came, program):
        quoted = corpus.QUOTED[program].format(quoted="How are you?")
        came(mail("Please cancel my subscription." + quoted, subject="Re: Your plan"))
        assert the_request().words == "Re: Your plan\n\nPlease cancel my subscription."

    @pytest.mark.parametrize(
        "program", ["Gmail", "Gmail, German", "Gmail, French", "Gmail, broken line", "Thunderbird"]
    )
    def test_words_below_a_quotation_count(self, alice, came, program):
        above = corpus.QUOTED[program].format(quoted="How are you?").strip()
        came(mail(f"{above}\n\nPlease cancel my subscription.\n", subject="Re: Your plan"))
        assert the_request().words == "Re: Your plan\n\nPlease cancel my subscription."

    def test_of_html_with_its_quotation(self, alice, came):
        """As Gmail writes it."""
        page = (
            '<div dir="ltr">Thank you, all is well.</div><br><div class="gmail_quote"><div class="gmail_attr">On Thu, '
            'Feb 12, 2026 at 9:00 AM atntcrm &lt;<a href="mailto:support@atntcrm.com">support@atntcrm.com</a>&gt; '
            "wrote:<br></div><blockquote>Please cancel my subscription.</blockquote></div>"
        )
        came(mail(page, content_type="text/html; charset=utf-8", subject="Re: Your plan"))
        assert not CancellationRequest.objects.exists()
        assert the_task().todo == "answer"

    @pytest.mark.parametrize("program", corpus.FORWARDED)
    def test_what_is_forwarded_goes_to_a_person(self, alice, came, program):
        came(mail(corpus.FORWARDED[program].format(quoted="I want to cancel my subscription."), subject="Fwd: Bye"))
        assert not CancellationRequest.objects.exists()
        assert Conversation.objects.count() == 1

    def test_in_outlooks_own_wrapping(self, alice, came):
        wrapped = corpus.winmail("Please cancel my subscription.", "letter.pdf", b"%PDF-1.4")
        row = came(mail(**corpus.parts(corpus.file("winmail.dat", wrapped, "application/ms-tnef"))))
        assert "Please cancel my subscription." in the_request().words
        assert [name for name, _, _ in row.files] == ["letter.pdf"]

    def test_of_two_accounts_becomes_two_requests(self, alice, came):
        came(mail("Please terminate both accounts AT-104233 and AT-104234."))
        told = CancellationRequest.objects.order_by("account_number_given").values_list(
            "account_number_given", flat=True
        )
        assert list(told) == ["AT-104233", "AT-104234"]
        assert letters() == ["prove_address", "prove_address"]

    def test_with_a_wished_end_and_for_cause(self, alice, came):
        came(mail("Please cancel my subscription as of 31 December 2026."))
        came(mail("Ich kündige fristlos, der Export fehlt seit Wochen."))
        ordinary, cause = CancellationRequest.objects.order_by("pk")
        assert str(ordinary.requested_end) == "2026-12-31"
        assert (cause.kind, cause.requested_end) == ("for_cause", None)
        assert "fristlos" in cause.cause

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("  Please cancel\tmy subscription.  \n\n\n\n   Alice \n \n", None),
            ("Please cancel my subscription.\n\n\n-- \nAlice\nSales", "Please cancel my subscription."),
            (
                "Please cancel my subscription.\n\n> When?\n> Now?\n\n  At once. \n\n> Bye\n\n",
                "Please cancel my subscription.\n\n  At once. ",
            ),
        ],
    )
    def test_keeps_the_words_as_they_were_written(self, alice, came, body, words):
        came(mail(body))
        assert the_request().words == (body.removesuffix("\n") if words is None else words)

    def test_again_with_other_words_is_a_declaration_of_its_own(self, alice, came):
        first = came(mail("Please cancel my subscription.", message_id="<1@c>"))
        second = came(mail("As I said: cancel my subscription!", message_id="<2@c>"), at=NOW + timedelta(hours=1))
        assert first.about != second.about
        assert CancellationRequest.objects.count() == 2
        assert letters() == ["prove_address", "prove_address"]

    def test_from_a_stranger_tells_nothing_of_anybody(self, alice, came):
        came(mail("Please cancel my subscription AT-104233.", sender="Eve <eve@elsewhere.example>"))
        assert (the_request().account, OutgoingMessage.objects.get().recipient) == (None, "eve@elsewhere.example")


def prove(client, request, **given):
    return client.post(f"/requests/proof/{proof_token(request)}/", given)


def report_with(headers, recipient=ADDRESS):
    """A delivery report that returns only these headers of the message."""
    status = f"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; {recipient}\nAction: failed\nStatus: 5.1.1\n"
    returned = [f"Content-Type: text/rfc822-headers\n\n{headers}"] if headers else []
    return corpus.parts(
        corpus.plain("It did not arrive."), f"Content-Type: message/delivery-status\n\n{status}",
        *returned, kind="report", parameters="; report-type=delivery-status",
    )  # fmt: skip


def letter(text):
    """A letter saved as PDF, by the compiler that makes our receipts."""
    return bytes(typst.compile(text.encode(), format="pdf"))


class TestALetterInAFile:
    def mail(self, content, name="Brief.pdf", body=""):
        return mail(**corpus.parts(corpus.plain(body), corpus.file(name, content)), subject="Post")

    @pytest.mark.parametrize("body", ["", "Guten Tag,\n\nsiehe Anhang.\n\nMit freundlichen Grüßen"])
    def test_is_read(self, alice, came, body):
        came(self.mail(letter("Hiermit kündige ich meinen Vertrag AT-104233 zum 31.12.2026."), body=body))
        request = the_request()
        assert (request.account_number_given, request.requested_end) == ("AT-104233", date(2026, 12, 31))
        assert "Hiermit kündige ich" in request.words

    def test_about_something_else_is_for_a_person(self, alice, came):
        came(self.mail(letter("Anbei die Rechnung, die ich meine.")))
        assert (CancellationRequest.objects.count(), the_task().todo) == (0, "answer")

    def test_a_scan_is_a_probable_cancellation_by_its_name(self, alice, came):
        came(self.mail(letter("#rect()"), name="Kündigung_2026.pdf"))
        assert (CancellationRequest.objects.count(), the_task().todo) == (0, "maybe")

    @pytest.mark.parametrize("content", [b"%PDF-1.7 broken", b"", b"x" * 100_000])
    def test_a_broken_file_stops_nothing(self, alice, came, content):
        row = came(self.mail(content))
        assert (row.state, the_task().todo) == ("read", "answer")


class TestAnEndThatCannotBeRead:
    """«01/02/2027» is January or February: nothing ends before somebody says which."""

    WORDS = "Please cancel my subscription AT-104233 on 01/02/2027."

    @pytest.fixture
    def request_of(self, alice, came):
        def submit(mode="exceptions"):
            cast.policy(review_mode=mode)
            came(mail(self.WORDS))
            return the_request()

        return submit

    def test_is_asked_for_on_the_proof_page(self, request_of, client):
        request = request_of()
        assert (request.requested_end, "01/02/2027" in request.end_unread) == (None, True)
        assert prove(client, request).status_code == 422
        assert prove(client, request, ends="day").status_code == 422
        assert fresh(request).state == "unverified"
        prove(client, request, ends="day", requested_end="2027-02-01")
        request = fresh(request)
        assert (request.state, request.counted_end, request.requested_end) == ("scheduled", date(2027, 2, 1), None)
        assert request.effective_on >= date(2027, 2, 1)

    def test_may_be_the_earliest_one(self, request_of, client):
        request = request_of()
        prove(client, request, ends="earliest")
        assert (fresh(request).state, fresh(request).counted_end) == ("scheduled", None)

    @pytest.mark.parametrize("mode", ["every", "exceptions"])
    def test_ends_nothing_until_a_person_knows_it(self, request_of, mode):
        request = request_of(mode)
        verify(request=request, now=NOW)
        request = fresh(request)
        assert (request.state, request.effective_on, request.subscription is None) == ("in_review", None, False)
        enforce(now=NOW.replace(year=2030))
        assert fresh(request).state == "in_review"
        assert request in overdue_requests(NOW + timedelta(days=2), CancellationRequest.objects.all())
        assert "could not read for certain" in OutgoingMessage.objects.get(kind="received").text
        assert json.loads(Receipt.objects.get().content)["subscriptions"][0]["end_is_open"]
        assert pdf_of(Receipt.objects.get()).startswith(b"%PDF")
        sam = cast.staff("support")
        with pytest.raises(RequestRefused, match="Say when it should end"):
            schedule(request=request, by=sam, now=NOW)
        desk = cast.at_desk(sam)
        page = reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])
        assert "could not be read" in desk.get(page).content.decode()
        verb = f"{page.removesuffix('change/')}do/schedule/"
        assert desk.post(verb, {"words": ""}).status_code == 422
        desk.post(verb, {"ends": "day", "requested_end": "2027-01-02", "words": ""})
        assert (fresh(request).state, fresh(request).counted_end) == ("scheduled", date(2027, 1, 2))

    def test_pages_say_that_we_look_at_it(self, request_of, client, alice):
        request = request_of()
        verify(request=request, now=NOW)
        client = cast.Client()
        client.force_login(cast.customer(alice.account))
        status = client.get(f"/requests/{request.reference}/").content.decode()
        assert "We look at when your subscription should end" in status
        assert "could not find" not in client.get(f"/requests/{request.reference}/received/").content.decode()
        assert client.get("/subscriptions/").status_code == 200

    def test_that_was_read_is_shown_and_can_be_corrected(self, alice, came, client):
        came(mail("Please cancel my subscription AT-104233 on 31/12/26."))
        request = the_request()
        assert request.requested_end == date(2026, 12, 31)
        page = client.get(f"/requests/proof/{proof_token(request)}/").content.decode()
        assert "Correct it if it is wrong" in page
        assert 'value="2026-12-31"' in page
        prove(client, request, ends="day", requested_end="2026-11-30")
        assert fresh(request).counted_end == date(2026, 11, 30)

    def test_does_not_matter_where_support_makes_it_end_at_once(self, request_of):
        request = request_of()
        verify(request=request, now=NOW)
        sam, ground = cast.staff("support"), "The service never worked."
        change_kind(request=request, by=sam, kind="for_cause", ground=ground, now=NOW)
        schedule(request=request, by=sam, now=NOW)
        assert (fresh(request).state, fresh(request).at_once) == ("scheduled", True)

    def test_of_another_mail_of_the_sender_is_not_the_earliest(self, alice, came, client):
        came(mail(self.WORDS, message_id="<1@c>"), mail("Cancel AT-104233 on 31 May 2027.", message_id="<2@c>"))
        request = CancellationRequest.objects.get(requested_end=date(2027, 5, 31))
        prove(client, request)
        assert fresh(request).counted_end == date(2027, 5, 31)


class TestTheProof:
    @pytest.mark.parametrize("checked", [corpus.FAILED, "", "Authentication-Results: mx.evil.example; dmarc=pass"])
    def test_asks_for_more_where_our_server_did_not_find_the_sender_genuine(self, alice, came, client, checked):
        came(mail("Please cancel my subscription, you thieves.", checked=checked))
        request = the_request()
        assert request.proof == "number"
        assert "thieves" not in OutgoingMessage.objects.get().text
        assert prove(client, request).status_code == 422
        refused = prove(client, request, identifier="AT-999999")
        assert "does not match any account" in refused.content.decode()
        assert 'value="AT-999999"' in refused.content.decode()
        assert fresh(request).state == "unverified"
        prove(client, request, identifier="at 104233")
        assert fresh(request).subscription == alice

    FORGED = "Authentication-Results: mx.atntcrm.com; dmarc=pass header.from=customer.example"
    OUR_TRACE = "Received: from mx.atntcrm.com by mail.atntcrm.com with LMTP; Thu, 12 Feb 2026 13:07:31 +0000"

    @pytest.mark.parametrize("trace", [(), (OUR_TRACE,), ("Received: from a by b.atntcrm.com; x",)])
    def test_a_header_that_our_server_did_not_write_is_not_believed(self, alice, came, trace):
        """It stands where many servers write theirs, just below their trace; the sender also forged our trace."""
        came(mail("Cancel my subscription.", checked="", headers=(self.FORGED, *trace, self.FORGED)))
        assert the_request().proof == "number"

    def test_a_header_below_the_trace_is_believed_if_that_server_writes_one_for_each_mail(self, alice, came, settings):
        settings.AUTHENTICATION_RESULTS_BY = ["mx.atntcrm.com"]
        genuine = self.FORGED.replace("pass", "fail")
        came(mail("Cancel my subscription.", checked="", headers=(genuine, self.FORGED)))
        assert the_request().proof == "number"
        came(mail("Cancel my subscription now.", checked="", headers=(self.FORGED, genuine)))
        assert CancellationRequest.objects.latest("pk").proof == "link"
        other = self.FORGED.replace("mx.atntcrm", "evil.mx.atntcrm")
        came(mail("Cancel my subscription, please.", checked="", headers=(other,)))
        assert CancellationRequest.objects.latest("pk").proof == "number"

    def test_without_a_trace_of_our_server_nothing_is_known(self, alice, came):
        raw = mail("Cancel my subscription.").replace(b"Received: ", b"X-Received: ")
        came(raw)
        assert the_request().proof == "number"

    def test_below_what_the_sender_wrote_nothing_is_believed(self, alice, came, settings):
        raw = mail("Cancel my subscription.")
        came(b"Subject: x\r\n" + raw)
        settings.AUTHENTICATION_RESULTS_BY = ["mx.atntcrm.com"]
        came(b"DKIM-Signature: x\r\n" + raw.replace(b"subscription", b"plan"))
        assert set(CancellationRequest.objects.values_list("proof", flat=True)) == {"number"}

    def test_a_header_that_came_with_the_mail_is_not_believed(self, alice, came):
        forged = ("Authentication-Results: mx.atntcrm.com; dmarc=pass header.from=customer.example",)
        came(mail("Cancel my subscription.", checked="", headers=("Received: from a by mx.evil.example; x", *forged)))
        assert the_request().proof == "number"

    def test_of_several_accounts_under_one_address_one_is_chosen(self, alice, came, client):
        other = cast.subscription(cast.account("Bob", email=ADDRESS))
        came(mail("Please cancel my subscription."))
        both = prove(client, the_request(), subscription=[alice.reference, other.reference])
        assert "Choose subscriptions of one account" in both.content.decode()
        prove(client, the_request(), subscription=[other.reference])
        assert the_request().account == other.account

    def test_of_several_accounts_the_username_names_one(self, alice, came, client):
        other = cast.subscription(cast.account("Bob", email=ADDRESS, username="bobby"))
        came(mail("Please cancel my subscription. My username: Bobby."))
        prove(client, the_request())
        assert the_request().subscription == other


class TestMachines:
    @pytest.mark.parametrize(
        "header",
        ["Auto-Submitted: auto-replied", "Precedence: bulk", "List-Id: <news.example>", "X-Autoreply: yes",
         "X-Auto-Response-Suppress: All", "Return-Path: <>"],
    )  # fmt: skip
    def test_get_no_answer_but_stay_visible(self, alice, came, header):
        row = came(mail("I am away until Monday.", headers=(header,)))
        assert (row.state, row.sort in ("automatic", "list"), letters()) == ("read", True, [])
        assert not Conversation.objects.exists()

    def test_that_write_a_cancellation_go_to_a_person(self, alice, came):
        came(mail("Please cancel our subscription AT-104233.", headers=("Auto-Submitted: auto-generated",)))
        assert (the_task().todo, letters()) == ("maybe", [])
        assert not CancellationRequest.objects.exists()

    def test_our_own_mail_gets_no_answer(self, alice, came):
        row = came(mail("Please cancel my subscription.", sender="atntcrm <support@atntcrm.com>"))
        assert (row.sort, row.outcome, letters()) == ("own", "Sent by the portal itself.", [])

    def test_a_bounce_becomes_not_informed_and_a_task(self, alice, came):
        request = cast.scheduled(alice)
        cast.deliver_all()
        sent = OutgoingMessage.objects.get(kind="scheduled")
        row = came(mail(**bounce(sent.message_id, ADDRESS), sender="MAILER-DAEMON <MAILER-DAEMON@mx.example>"))
        sent = fresh(sent)
        assert (row.sort, sent.state, sent.has_failed) == ("bounce", "bounced", True)
        assert "User unknown" in sent.last_error
        task = the_task()
        assert (task.todo, task.request, task.state) == ("not_informed", request, "open")

    def test_a_delay_changes_nothing(self, alice, came):
        cast.scheduled(alice)
        cast.deliver_all()
        sent = OutgoingMessage.objects.get(kind="scheduled")
        came(mail(**bounce(sent.message_id, ADDRESS, action="delayed", status="4.4.1")))
        assert (fresh(sent).state, Conversation.objects.count()) == ("sent", 0)

    def test_a_forged_bounce_changes_nothing(self, alice, came):
        cast.scheduled(alice)
        cast.deliver_all()
        came(mail(**bounce("<00000000-0000-4000-8000-000000000000@atntcrm.com>", ADDRESS)))
        assert not OutgoingMessage.objects.filter(state="bounced").exists()

    @pytest.mark.parametrize("returned", ["", "From: support@atntcrm.com\nReply-To: support+{forged}@atntcrm.com\n"])
    def test_a_report_without_our_message_id_is_left_to_a_person(self, alice, came, settings, returned):
        """Anybody can send one that names a customer's address."""
        settings.REPLY_ADDRESS = "support+{token}@atntcrm.com"
        cast.scheduled(alice)
        cast.deliver_all()
        row = came(mail(**report_with(returned.format(forged="cr12345678-abcdefghijklmnop"))))
        assert not OutgoingMessage.objects.filter(state="bounced").exists()
        assert "does not say which message" in row.outcome
        assert (the_task().todo, the_task().reference) == ("not_understood", row.thread)

    def test_a_report_with_the_signed_address_of_the_message_is_about_it(self, alice, came, settings):
        settings.REPLY_ADDRESS = "support+{token}@atntcrm.com"
        request = cast.scheduled(alice)
        cast.deliver_all()
        OutgoingMessage.objects.filter(kind="received").update(about="CR-SOME-THNG")
        came(mail(**report_with(f"Reply-To: atntcrm <{reply_address(request.declaration)}>\n")))
        assert OutgoingMessage.objects.get(state="bounced").kind == "scheduled"

    def test_a_report_sent_to_the_signed_address_is_about_it(self, alice, came, settings):
        settings.REPLY_ADDRESS = "support+{token}@atntcrm.com"
        request = cast.scheduled(alice)
        cast.deliver_all()
        came(mail(**report_with(""), to=reply_address(request.declaration)))
        assert OutgoingMessage.objects.filter(state="bounced").count() == 1

    def test_a_report_that_nobody_understands_is_a_task(self, alice, came):
        row = came(mail("Mail could not be delivered.", sender="MAILER-DAEMON@mx.customer.example"))
        assert (row.sort, the_task().todo) == ("bounce", "not_understood")

    def test_a_report_with_the_original_and_no_status_is_about_it(self, alice, came):
        """As Amazon WorkMail writes one."""
        cast.scheduled(alice)
        cast.deliver_all()
        sent = OutgoingMessage.objects.get(kind="scheduled")
        original = f"Content-Type: message/rfc822\n\nMessage-ID: {sent.message_id}\nSubject: Bye\n\nBye\n"
        form = corpus.parts(corpus.plain("550 5.1.1 unknown"), original)
        came(mail(**form, sender="postmaster@customer.example", subject="Undeliverable"))
        assert fresh(sent).state == "bounced"

    def test_a_report_about_mail_that_we_did_not_send_is_no_task(self, alice, came):
        came(mail(**report_with("", recipient="nobody@elsewhere.example")))
        assert not Conversation.objects.exists()

    def test_a_person_who_sends_a_report_to_look_at_gets_a_person(self, alice, came):
        cast.scheduled(alice)
        cast.deliver_all()
        sent = OutgoingMessage.objects.get(kind="scheduled")
        report = mail(**bounce(sent.message_id, ADDRESS)).decode()
        row = came(mail(**corpus.parts(corpus.plain("What is this?"), f"Content-Type: message/rfc822\n\n{report}")))
        assert (row.sort, fresh(sent).state, the_task().todo) == ("person", "sent", "answer")

    def test_a_report_in_words_alone(self, alice, came):
        """As qmail writes one."""
        cast.scheduled(alice)
        cast.deliver_all()
        sent = OutgoingMessage.objects.get(kind="scheduled")
        words = f"This is the qmail-send program.\n\n--- Below is a copy.\n\nMessage-ID: {sent.message_id}\n"
        came(mail(words, sender="MAILER-DAEMON@mx.customer.example", subject="failure notice"))
        assert fresh(sent).state == "bounced"

    def test_somebody_who_writes_in_anothers_name_floods_nobody(self, alice, came):
        came(*(mail(f"Cancel AT-10{number}", message_id=f"<{number}@c>") for number in range(4000, 4012)))
        assert letters() == ["prove_address"] * 3
        assert IncomingMessage.objects.filter(state="read").count() == 12
        assert CancellationRequest.objects.filter(state="unverified").count() == 12  # none is refused
        send_waiting(now=NOW + timedelta(minutes=59))
        assert len(letters()) == 3
        send_waiting(now=NOW + timedelta(minutes=61))
        assert len(letters()) == 4
        assert not CancellationRequest.objects.filter(link_due_at__isnull=False).exists()  # one link proves all


class TestReplies:
    def question(self, alice, came):
        request = cast.in_review(alice)
        cast.deliver_all()
        return request, OutgoingMessage.objects.get(kind="received")

    def test_by_message_id_belongs_to_its_request(self, alice, came):
        request, sent = self.question(alice, came)
        row = came(mail("When will I get my data?", headers=(f"In-Reply-To: {sent.message_id}",)))
        assert row.about == request.declaration
        assert (the_task().request, the_task().todo) == (request, "answer")

    def test_by_signed_address_belongs_to_its_request(self, alice, came, settings):
        from messaging.addresses import reply_address

        settings.REPLY_ADDRESS = "support+{token}@atntcrm.com"
        request, _ = self.question(alice, came)
        address = reply_address(request.declaration)
        row = came(mail("Please cancel my subscription.", to=f"atntcrm <{address}>"))
        assert row.about == request.declaration
        assert CancellationRequest.objects.count() == 1

    @pytest.mark.parametrize("where", ["subject", "address", "id"])
    def test_a_reference_that_anybody_can_write_belongs_nowhere(self, alice, came, settings, where):
        settings.REPLY_ADDRESS = "support+{token}@atntcrm.com"
        request, sent = self.question(alice, came)
        plain = request.declaration.replace("-", "").lower()
        told = {
            "subject": {"subject": f"Re: {request.declaration}"},
            "address": {"to": f"support+{plain}-aaaaaaaaaaaaaaaa@atntcrm.com"},
            "id": {"headers": (f"In-Reply-To: {sent.message_id.replace(sent.message_id[1:5], '0000')}",)},
        }[where]
        assert came(mail("When will I get my data?", **told)).about == ""

    def test_a_cancellation_below_something_else_of_ours_is_one(self, alice, came):
        other = cast.scheduled(alice)
        cast.pass_time(other.effective_at)
        cast.deliver_all()
        cast.subscription(alice.account)
        ended = OutgoingMessage.objects.get(kind="ended")
        came(mail("Then cancel my other plan as well, please.", headers=(f"In-Reply-To: {ended.message_id}",)))
        assert CancellationRequest.objects.filter(channel="email", state="unverified").count() == 1

    def test_taking_it_back_goes_to_a_person(self, alice, came):
        request, sent = self.question(alice, came)
        came(mail("I changed my mind, please ignore my cancellation.", headers=(f"References: {sent.message_id}",)))
        assert the_task().todo == "takes_back"
        assert fresh(request).state == "in_review"

    def test_to_ones_own_mail_stays_in_one_conversation(self, alice, came):
        came(mail("Where is my invoice?", message_id="<q1@c>"))
        came(mail("Hello?", message_id="<q2@c>", headers=("In-Reply-To: <q1@c>",)), at=NOW + timedelta(hours=2))
        assert IncomingMessage.objects.filter(thread=the_task().reference).count() == 2
        assert the_task().waiting_since == NOW


class TestTrouble:
    def test_broken_mime_is_read_as_far_as_it_goes(self, alice, came):
        raw = mail(
            "--x\r\nContent-Type: text/plain\r\n\r\nPlease cancel my subscription.",
            content_type="multipart/mixed; boundary=y",
        )
        row = came(raw)
        assert row.state == "read"
        assert Conversation.objects.count() + CancellationRequest.objects.count() == 1

    @pytest.mark.parametrize(
        "raw",
        [
            b"From: a@customer.example\r\nSubject: \r\n\r\n",
            b"Subject: no sender\r\n\r\nPlease cancel my subscription.",
            b"From: =?utf-8?b?!!!?= <a@b\r\nSubject: =?x?q?=C3?=\r\nMessage-ID: no brackets\r\n\r\nHi",
            b"From: a@customer.example\r\nContent-Type: text/plain; charset=\"\x00\"\r\n\r\nHi \x00 there",
            b"From: a@customer.example\r\nContent-Type: multipart/mixed\r\n\r\nno boundary",
            b"From: a@customer.example\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%not base64%%%",
            b"From: a@customer.example\r\nDate: nonsense\r\nReferences: " + b"<x@y> " * 5000 + b"\r\n\r\nHi",
            b"From: " + b"a@b.example, " * 3000 + b"\r\n\r\nHi",
            b"\r\n\r\nno headers at all",
        ],
        ids=["empty", "no sender", "bad headers", "nul", "no boundary", "bad base64", "long", "many", "no headers"],
    )  # fmt: skip
    def test_whatever_comes_holds_up_nothing(self, alice, came, raw):
        came(raw, mail("Please cancel my subscription.", message_id="<after@c>"))
        assert not IncomingMessage.objects.filter(state="waiting").exists()
        assert CancellationRequest.objects.filter(email_given=ADDRESS).count() == 1

    def test_parts_without_end_are_cut_off(self, alice, came):
        nested = "Content-Type: text/plain\n\nPlease cancel my subscription."
        for depth in range(60):
            nested = f'Content-Type: multipart/mixed; boundary="b{depth}"\n\n--b{depth}\n{nested}\n--b{depth}--'
        kind, _, body = nested.partition("\n\n")
        row = came(mail(body, content_type=kind.removeprefix("Content-Type: ")))
        assert row.state in ("read", "set_aside")
        assert Conversation.objects.count() == 1

    def test_a_mail_that_cannot_be_read_is_set_aside_for_a_person(self, alice, came, client):
        row = came(b" \r\n\r\n")
        assert row.state == "set_aside"
        assert the_task().todo == "not_understood"
        desk = cast.at_desk(cast.staff("support"), client)
        assert desk.post(f"/admin/messaging/incomingmessage/{row.pk}/again/").status_code == 302
        assert fresh(row).state == "waiting"

    def test_a_mail_that_kills_its_reader_is_set_aside_in_the_end(self, alice, mailbox, read):
        mailbox.deliver(mail("Please cancel my subscription."), NOW)
        mailbox.deliver(mail("Where is my invoice?", message_id="<2@c>"), NOW)
        from messaging.services.inbox import fetch_all

        fetch_all(now=NOW)
        first = IncomingMessage.objects.order_by("uid").first()
        IncomingMessage.objects.filter(pk=first.pk).update(attempts=10)  # as ten dead workers leave it
        read()
        assert fresh(first).state == "set_aside"
        assert Conversation.objects.filter(todo="not_understood").count() == 1
        assert Conversation.objects.filter(todo="answer").count() == 1

    def test_40_megabytes_are_answered_and_their_beginning_is_read(self, alice, came):
        large = corpus.file("scan.pdf", b"%PDF" + b"x" * 30_000_000)
        row = came(mail(**corpus.parts(corpus.plain("Where do I send this?"), large)))
        assert row.size > 40_000_000
        assert len(row.raw) == 1_000_000
        assert (the_task().todo, letters()) == ("too_large", ["mail_too_large"])
        assert "41 MB" in OutgoingMessage.objects.get().text

    def test_a_cancellation_with_too_large_a_file_is_one_all_the_same(self, alice, came):
        large = corpus.file("scan.pdf", b"%PDF" + b"x" * 30_000_000)
        came(mail(**corpus.parts(corpus.plain("Please cancel my subscription."), large)))
        assert the_request().received_at == NOW
        assert letters() == ["prove_address", "mail_too_large"]
        assert (the_task().todo, the_task().request) == ("too_large", the_request())

    def test_ten_megabytes_of_text(self, alice, came):
        row = came(mail("Please cancel my subscription.\n" + "bla " * 2_500_000))
        assert len(row.text) == 100_000
        assert the_request().state == "unverified"

    def test_html_is_shown_without_anything_from_elsewhere(self, alice, came, client):
        page = (
            '<p onclick="x()">Hi <img src="https://evil.example/pixel.png"><a href="javascript:alert(1)">a</a>'
            '<a href="https://evil.example/">b</a><script>alert(1)</script><style>@import "https://evil.example"</style>'
            '<svg onload=alert(1)></svg><form action="https://evil.example"><input name=q></form></p>'
        )
        row = came(mail(page, content_type="text/html"))
        shown = cast.at_desk(cast.staff("support"), client).get(f"/admin/messaging/incomingmessage/{row.pk}/change/")
        told = shown.content.decode()
        for wrong in ("pixel.png", "onclick", "javascript:alert", "@import", "onload", 'evil.example"><input'):
            assert wrong not in told
        assert 'rel="noopener noreferrer nofollow"' in told

    @pytest.mark.parametrize(
        ("link", "shown"),
        [
            ('<a href="https://evil.example/x?a=1&amp;b=2">https://bank.example</a>',
             "(leads to <strong>evil.example</strong>: https://evil.example/x?a=1&amp;b=2)"),
            ('<a href="https://bank.example@evil.example/">our bank</a>', "<strong>evil.example</strong>"),
            ('<a href="https://аpple.example/">https://apple.example/</a>', "<strong>xn--pple-43d.example</strong>"),
            ('<a href="mailto:mallory@evil.example">Alice</a>', "(leads to mailto:mallory@evil.example)"),
            ('<a href="https://evil.example/&lt;b&gt;\u202ex">y</a>', "%3Cb%3Ex)"),
            ('<a href="https://evil.example/"><b>https://</b>bank.example</a>', "<strong>evil.example</strong>"),
        ],
    )  # fmt: skip
    def test_a_link_shows_where_it_leads(self, alice, came, client, link, shown):
        row = came(mail(f"<p>{link}</p>", content_type="text/html; charset=utf-8"))
        page = cast.at_desk(cast.staff("support"), client).get(f"/admin/messaging/incomingmessage/{row.pk}/change/")
        assert shown in page.content.decode()
        assert "leads to" not in row.text

    def test_a_link_whose_text_is_its_address_stays(self, alice, came):
        row = came(mail('<a href="https://a.example/">https://a.example/</a>', content_type="text/html"))
        assert "leads to" not in html_of(row)

    def test_files_are_handed_out_to_be_saved(self, alice, came, client):
        row = came(
            mail(**corpus.parts(corpus.plain("See the file"), corpus.file("../../x.html", b"<script>", "text/html")))
        )
        desk = cast.at_desk(cast.staff("support"), client)
        answer = desk.get(f"/admin/messaging/incomingmessage/{row.pk}/file/0/")
        assert (answer.content, answer["Content-Type"]) == (b"<script>", "application/octet-stream")
        assert answer["Content-Disposition"] == 'attachment; filename="x.html"'
        assert desk.get(f"/admin/messaging/incomingmessage/{row.pk}/file/7/").status_code == 404
        assert desk.get(f"/admin/messaging/incomingmessage/{row.pk}/raw/").content == bytes(row.raw)

    def test_without_a_policy_mail_waits(self, mailbox, read):
        mailbox.deliver(mail("Please cancel my subscription."), NOW)
        read()
        assert IncomingMessage.objects.get().state == "waiting"
        cast.policy()
        read(NOW + timedelta(minutes=10))
        assert the_request().received_at == NOW


class TestTheMailbox:
    def test_is_only_ever_read(self, alice, mailbox, read):
        mailbox.deliver(mail("Please cancel my subscription."), NOW)
        read()
        assert b"Seen" not in b"".join(mailbox.flags())

    def test_the_same_mail_by_two_ways_counts_once(self, alice, came, imap_server, settings, mailbox):
        other = imap_server.mailbox(f"{mailbox.user}-info")
        settings.INBOUND_MAILBOXES = [mailbox.url, other.url]
        raw = mail("Please cancel my subscription.", message_id="<same@c>")
        other.deliver(b"Delivered-To: info@atntcrm.com\r\n" + raw, NOW)
        came(raw)
        assert sorted(IncomingMessage.objects.values_list("state", flat=True)) == ["duplicate", "read"]
        assert letters() == ["prove_address"]

    def test_a_copied_message_id_does_not_hide_another_mail(self, alice, came):
        came(mail("Where is my invoice?", message_id="<same@c>"))
        came(mail("Please cancel my subscription.", message_id="<same@c>"))
        assert CancellationRequest.objects.count() == 1

    def test_that_begins_anew_is_read_anew_and_nothing_is_done_twice(self, alice, mailbox, read, settings):
        mailbox.deliver(mail("Please cancel my subscription.", message_id="<1@c>"), NOW)
        read()
        mailbox.begin_anew()
        settings.INBOUND_MAILBOXES = [mailbox.url.replace("INBOX", "again")]
        read(NOW + timedelta(minutes=1))
        assert CancellationRequest.objects.count() == 1
        assert IncomingMessage.objects.filter(state="duplicate").count() == 1

    def test_the_same_mail_without_a_message_id_counts_once(self, alice, mailbox, read, settings):
        mailbox.deliver(mail("Please cancel my subscription."), NOW)
        mailbox.deliver(mail("Please cancel my subscription."), NOW + timedelta(minutes=1))  # written once more
        read(NOW + timedelta(minutes=1))
        mailbox.begin_anew()
        settings.INBOUND_MAILBOXES = [mailbox.url.replace("INBOX", "again")]
        read(NOW + timedelta(minutes=2))
        states = IncomingMessage.objects.order_by("stored_at", "uid").values_list("state", flat=True)
        assert list(states) == ["read", "read", "duplicate", "duplicate"]

    def test_old_mail_is_passed_over_when_it_is_first_read(self, alice, mailbox, read):
        mailbox.deliver(mail("Please cancel my subscription.", message_id="<old@c>"), NOW - timedelta(days=40))
        mailbox.deliver(mail("Where is my invoice?", message_id="<new@c>"), NOW)
        read()
        assert [one.message_id for one in IncomingMessage.objects.all()] == ["<new@c>"]
        assert IncomingMessage.objects.get().mailbox.passed_over == 1

    def test_that_cannot_be_read_holds_up_no_other(self, alice, mailbox, read, settings, client):
        settings.INBOUND_MAILBOXES = ["imap://nobody:x@127.0.0.1:1/INBOX", mailbox.url]
        mailbox.deliver(mail("Please cancel my subscription."), NOW)
        read()
        assert CancellationRequest.objects.count() == 1
        from messaging.models import Mailbox

        failing = Mailbox.objects.get(failing_since__isnull=False)
        assert "ConnectionRefused" in failing.last_error
        read(NOW + timedelta(minutes=5))
        assert fresh(failing).failing_since == NOW
        assert json.loads(client.get("/readyz").content)["mailboxes_are_read"] is False

    def test_a_wrong_password_is_said(self, mailbox, read, settings):
        settings.INBOUND_MAILBOXES = [mailbox.url.replace("pass", "fail")]
        read()
        from messaging.models import Mailbox

        assert "AUTHENTICATIONFAILED" in Mailbox.objects.get().last_error

    def test_the_policy_of_the_arrival_binds(self, came):
        cast.policy(notice_days=10)
        cast.subscription(cast.account(email=ADDRESS))
        came(mail("Please cancel my subscription."), at=NOW)
        assert the_request().policy_version == PolicyVersion.objects.get()

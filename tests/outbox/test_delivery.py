"""The outbox through a real SMTP server: at least once, a repeat under the same Message-ID."""

import smtplib
import socket
from collections import Counter
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from cancellations.models import Conversation
from cancellations.services.conversations import open_tasks_for_failed_messages
from messaging.addresses import reference_in
from messaging.due import Run
from messaging.models import IncomingMessage, MessageState, OutgoingMessage
from messaging.outbound.rendering import Rendered, render
from messaging.services.outbox import (
    DELIVERY,
    LEASE,
    RETRY_AFTER,
    deliver_due,
    queue_message,
    queue_rendered,
    send_again,
)
from messaging.wording import use_language
from tests import cast
from tests.cast import NOW, fresh
from tests.portal.test_declarations import by_mail, prove

pytestmark = pytest.mark.django_db


class Mailbox:
    def __init__(self):
        self.mails, self.answer, self.recipients = [], "250 OK", []

    async def handle_DATA(self, server: SMTP, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.recipients += envelope.rcpt_tos
        if "refuse" in envelope.rcpt_tos[0]:
            return "550 No such mailbox"
        if "later" in envelope.rcpt_tos[0]:
            return "451 Come back later"
        if "hangup" in envelope.rcpt_tos[0]:
            server.transport.abort()
            return "421 Bye"
        self.mails.append(mail)
        return self.answer


@pytest.fixture
def smtp(settings):
    mailbox = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(mailbox, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    server.start()
    settings.EMAIL_BACKEND = "messaging.outbound.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    yield mailbox
    server.stop()


def queue(to="alice@customer.example", kind="withdrawn", at=NOW, about="CR-1", **context):
    told = {"reference": "CR-1", "parts": [{"plan": "Team"}], **context}
    return queue_message(
        kind=kind, recipient=to, context=told, now=at, about=about, holds_secret=kind == "sign_in_code"
    )


def test_a_mail_arrives_as_text_and_html_and_says_that_a_machine_wrote_it(smtp):
    message = queue()
    assert deliver_due(now=NOW) == 1
    (mail,) = smtp.mails
    assert mail["Message-ID"] == message.message_id
    assert mail["Auto-Submitted"] == "auto-generated"
    assert {part.get_content_type() for part in mail.iter_parts()} == {"text/plain", "text/html"}
    assert "Team continues as before" in mail.get_body(("plain",)).get_content()
    assert fresh(message).state == MessageState.SENT


def test_a_second_run_sends_nothing_again(smtp):
    queue()
    deliver_due(now=NOW)
    assert deliver_due(now=NOW + timedelta(days=1)) == 0
    assert len(smtp.mails) == 1


def test_a_worker_that_died_after_sending_is_repeated_under_the_same_id(smtp):
    message = queue()
    deliver_due(now=NOW)
    # As it stands when the process dies between the server's 250 and our commit: leased, not sent.
    OutgoingMessage.objects.filter(pk=message.pk).delete()
    message.state, message.due_at = MessageState.PENDING, NOW + LEASE
    message.save(force_insert=True)
    assert deliver_due(now=NOW) == 0
    assert deliver_due(now=NOW + LEASE) == 1
    assert Counter(mail["Message-ID"] for mail in smtp.mails) == {message.message_id: 2}


def test_one_that_is_put_off_holds_nobody_up_and_is_given_up_in_the_end(smtp):
    late, good = queue("later@customer.example"), queue()
    assert deliver_due(now=NOW) == 1
    assert fresh(good).state == MessageState.SENT
    moment = NOW
    for pause in RETRY_AFTER:
        assert fresh(late).due_at == moment + pause
        moment += pause
        deliver_due(now=moment)
    late = fresh(late)
    assert (late.state, late.attempts) == (MessageState.DEAD, len(RETRY_AFTER) + 1)
    assert timedelta(days=2) < moment - NOW < timedelta(days=5)
    assert "451" in late.last_error
    assert send_again(message=late, now=moment)
    assert not send_again(message=late, now=moment)


def test_what_no_server_will_ever_take_is_given_up_at_once(smtp):
    bad, good = queue("refuse@customer.example"), queue()
    assert deliver_due(now=NOW) == 1
    assert (fresh(bad).state, fresh(bad).attempts) == (MessageState.DEAD, 1)
    assert "550" in fresh(bad).last_error
    assert fresh(good).state == MessageState.SENT


def test_a_server_that_hangs_up_costs_no_other_message_an_attempt(smtp):
    first, *others = queue("hangup@customer.example"), queue(), queue("bob@customer.example")
    assert deliver_due(now=NOW) == 2
    assert [fresh(one).attempts for one in (first, *others)] == [1, 1, 1]
    assert fresh(first).state == MessageState.PENDING


def test_an_answer_goes_below_the_mail_that_it_answers(smtp, settings):
    settings.REPLY_ADDRESS = "support+{token}@atntcrm.com"
    mail_id = cast.waits_for_an_answer(cast.account())
    answered = IncomingMessage.objects.get(thread=mail_id.reference)
    message = queue_message(
        kind="answer", recipient="a@customer.example", context={"words": "Hi", "mail_subject": "Hello"}, now=NOW,
        about="CR-7KQ4-M9XT", thread=mail_id.reference, answers=answered,
    )  # fmt: skip
    deliver_due(now=NOW)
    mail = next(one for one in smtp.mails if one["Message-ID"] == message.message_id)
    assert (mail["In-Reply-To"], mail["References"]) == (answered.message_id, answered.message_id)
    assert mail["Auto-Submitted"] is None  # a person wrote it
    assert reference_in(mail["Reply-To"]) == mail_id.reference


class TestAnAddressBeyondAscii:
    ADDRESS = "zoë@customer.example"

    def test_is_written_as_it_is(self, smtp):
        message = queue(self.ADDRESS)
        assert deliver_due(now=NOW) == 1
        (mail,) = smtp.mails
        assert smtp.recipients == [self.ADDRESS]
        assert mail["To"] == self.ADDRESS
        assert mail["Message-ID"] == message.message_id
        assert "Team continues as before" in mail.get_body(("plain",)).get_content()

    @pytest.mark.parametrize("local_part", ["zoë", "иван", "用户"])
    def test_is_not_informed_by_a_server_that_cannot_take_it(self, smtp, monkeypatch, local_part):
        monkeypatch.setattr(smtplib.SMTP, "has_extn", lambda self, name: False)
        request = cast.in_review(cast.subscription(cast.account(email=f"{local_part}@customer.example")))
        good = queue()
        deliver_due(now=NOW)
        message = OutgoingMessage.objects.get(about=request.declaration, kind="received")
        assert message.state == MessageState.DEAD
        assert "SMTPUTF8" in message.last_error
        assert fresh(good).state == MessageState.SENT
        open_tasks_for_failed_messages(now=NOW)
        assert Conversation.objects.get().todo == "not_informed"

    def test_in_the_domain_alone_has_a_form_in_ascii(self, smtp, monkeypatch):
        monkeypatch.setattr(smtplib.SMTP, "has_extn", lambda self, name: False)
        queue("zoe@bücher.example")
        assert deliver_due(now=NOW) == 1
        assert smtp.recipients == ["zoe@xn--bcher-kva.example"]

    def test_a_quoted_local_part_is_one_address(self, smtp):
        queue('"alice adler"@customer.example')
        assert deliver_due(now=NOW) == 1
        assert smtp.recipients == ['"alice adler"@customer.example']


class TestTheThread:
    def test_of_later_mails_about_the_same_is_that_of_the_first(self, smtp):
        first, second, third = (queue(at=NOW + n * timedelta(hours=1)) for n in range(3))
        elsewhere = queue("bob@customer.example")
        about_nothing = queue(kind="sign_in_code", code="ABC123", about="")
        deliver_due(now=NOW + timedelta(days=1))
        references = {mail["Message-ID"]: mail["References"] for mail in smtp.mails}
        assert references[second.message_id] == references[third.message_id] == first.message_id
        for message in (first, elsewhere, about_nothing):
            assert references[message.message_id] is None

    def test_of_a_request_made_by_mail_goes_on_below_that_mail(self, smtp):
        cast.policy()
        holder = cast.subscription().account
        request = by_mail(holder)
        (first,) = OutgoingMessage.objects.all()
        OutgoingMessage.objects.filter(pk=first.pk).update(
            references=["<q@customer.example>"], in_reply_to="<q@customer.example>"
        )
        prove(request)
        deliver_due(now=NOW + timedelta(days=60))
        later = next(mail for mail in smtp.mails if mail["Message-ID"] != first.message_id)
        assert later["References"].split() == ["<q@customer.example>", first.message_id]
        assert later["Auto-Submitted"] == "auto-generated"


class TestTooMuchForOneAddress:
    def test_waits_until_it_is_not(self, smtp, settings):
        settings.MAIL_PER_ADDRESS_HOUR = 3
        for _ in range(5):
            queue("busy@customer.example")
        other = queue("other@customer.example")
        assert deliver_due(now=NOW) == 4
        assert fresh(other).state == MessageState.SENT
        assert deliver_due(now=NOW + timedelta(minutes=59)) == 0
        assert deliver_due(now=NOW + timedelta(minutes=61)) == 2

    def test_but_not_a_code_that_somebody_waits_for(self, smtp, settings):
        settings.MAIL_PER_ADDRESS_HOUR = 1
        queue("busy@customer.example")
        queue("BUSY@customer.example", kind="sign_in_code", code="ABC123")
        assert deliver_due(now=NOW) == 2


def test_a_server_that_is_down_loses_nothing(settings):
    settings.EMAIL_BACKEND = "messaging.outbound.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    message = queue()
    assert deliver_due(now=NOW) == 0
    message = fresh(message)
    assert (message.state, message.attempts) == (MessageState.PENDING, 0)
    assert message.due_at > NOW
    assert "refused" in message.last_error


def test_a_code_is_wiped_once_sent(smtp):
    message = queue(kind="sign_in_code", code="ABC123")
    deliver_due(now=NOW)
    assert "ABC123" in smtp.mails[0].get_body(("plain",)).get_content()
    message = fresh(message)
    assert "ABC123" not in message.text + message.html + message.subject


def test_what_a_person_typed_becomes_neither_markup_nor_link():
    words = "<script>x</script> [click](http://evil.example) **bold** http://evil.example"
    rendered = render(
        "scheduled", {"decision_words": words, "effective": "1 May 2026", "page_url": "https://us.example/"}
    )
    assert words in rendered.text
    assert "<script" not in rendered.html
    assert 'evil.example"' not in rendered.html
    assert "<strong>bold" not in rendered.html
    assert 'href="https://us.example/"' in rendered.html


def queue_of(kind, *, secret=False, to="a@customer.example"):
    rendered = Rendered(subject=kind, text="Hello", html="")
    with use_language("en"):
        return queue_rendered(kind=kind, recipient=to, rendered=rendered, now=NOW, holds_secret=secret)


class TestWhatLeavesFirst:
    def test_codes_and_receipts_before_other_mail_and_announcements_last(self, smtp):
        for kind in ("policy_changed", "scheduled", "received"):
            queue_of(kind)
        queue_of("sign_in", secret=True)
        deliver_due(now=NOW)
        subjects = [sent["Subject"] for sent in smtp.mails]
        assert set(subjects[:2]) == {"sign_in", "received"}
        assert subjects[2:] == ["scheduled", "policy_changed"]

    def test_a_code_waits_for_one_batch_of_an_announcement_at_most(self):
        for number in range(50):
            queue_of("policy_changed", to=f"{number}@customer.example")
        batches = DELIVERY.results(Run(NOW))
        next(batches)
        queue_of("sign_in", secret=True)
        assert next(batches)[0].kind == "sign_in"

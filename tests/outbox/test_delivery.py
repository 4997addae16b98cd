"""The outbox through a real SMTP server: at least once, a repeat under the same Message-ID."""

import socket
from collections import Counter
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from messaging.addresses import reference_in
from messaging.models import IncomingMessage, MessageState, OutgoingMessage
from messaging.outbound.rendering import render
from messaging.services.outbox import LEASE, RETRY_AFTER, deliver_due, queue_message, send_again
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db


class Mailbox:
    def __init__(self):
        self.mails, self.answer = [], "250 OK"

    async def handle_DATA(self, server: SMTP, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
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
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    yield mailbox
    server.stop()


def queue(to="alice@customer.example", kind="withdrawn", **context):
    told = {"reference": "CR-1", "parts": [{"plan": "Team"}], **context}
    return queue_message(
        kind=kind, recipient=to, context=told, now=NOW, about="CR-1", holds_secret=kind == "sign_in_code"
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
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
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

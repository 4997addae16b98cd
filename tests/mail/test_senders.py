"""Whose mail it is: the address is taken whole or not at all, and our server's verdict is about its domain."""

import pytest

from cancellations.models import CancellationRequest, Conversation
from cancellations.services.mail import read_due
from messaging.models import Door, IncomingMessage, OutgoingMessage
from messaging.services.inbox import store
from tests import cast
from tests.cast import NOW, fresh
from tests.mail.corpus import OUR_SERVER, mail

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def policy(db):
    return cast.policy()


def came(sender, words="Please cancel my subscription.", **given) -> IncomingMessage:
    message = store(raw=mail(words, sender=sender, **given), arrived_at=NOW, door=Door.COMMAND, now=NOW)
    read_due(now=NOW)
    return fresh(message)


@pytest.mark.parametrize(
    "address", [f"{'a' * 65}@customer.example", f"{'é' * 33}@customer.example", f"a@{'b.' * 130}example"]
)
@pytest.mark.parametrize("header", ["{}", "Alice <{}>", "Alice {}"])
def test_an_address_that_no_server_accepts_is_never_cut_and_its_mail_goes_to_a_person(address, header):
    message = came(header.format(address))
    assert message.sender == ""
    assert not OutgoingMessage.objects.exists()
    conversation = Conversation.objects.get()
    assert (conversation.email, conversation.todo, conversation.waiting_since) == ("", "maybe", NOW)
    assert any(address in remark for remark in message.remarks)


def test_one_in_a_list_too_long_to_read_is_not_cut_either():
    assert came(f"{'x' * 4990} <alice@customer.example>").sender == ""


def test_a_quoted_local_part_is_answered():
    came('Alice <"alice adler"@customer.example>')
    assert OutgoingMessage.objects.get().recipient == '"alice adler"@customer.example'


class TestManyInOtherNames:
    """Mails in the names of many people, from one network: each answer would go to somebody who did not write."""

    def flood(self, trace, checked=""):
        for n in range(24):
            sender = f"somebody{n}@customer.example"
            raw = mail("Please cancel my subscription.", sender=sender, checked=checked)
            start, _, rest = raw.partition(b"Received: ")
            raw = start + trace.replace("#", str(n)).encode() + b"\r\n" + rest.partition(b"\r\n")[2]
            store(raw=raw, arrived_at=NOW, door=Door.COMMAND, now=NOW)
        read_due(now=NOW)
        assert CancellationRequest.objects.count() == 24  # none is refused
        return OutgoingMessage.objects.count()

    TRACE = f"Received: from x (x [8.8.4.#]) by {OUR_SERVER} with ESMTP; Thu, 12 Feb 2026 13:07:31 +0000"

    @pytest.mark.parametrize(
        "trace",
        [
            TRACE,
            TRACE.replace("from x", "from [9.9.#.9]"),
            TRACE.replace("[8.8.4.#]", "[IPv6:2a00:1450:4001:81b::#]"),
            f"Received: from {OUR_SERVER} ([10.0.0.5]) by mail.atntcrm.com with LMTP; x\r\n{TRACE}",
        ],
    )
    def test_are_answered_later(self, trace):
        assert self.flood(trace) == 20

    def test_are_answered_at_once_from_many_networks(self):
        assert self.flood(self.TRACE.replace("8.8.4.#", "8.8.#.8")) == 24

    def test_are_answered_at_once_if_their_senders_are_genuine(self):
        genuine = f"Authentication-Results: {OUR_SERVER}; dmarc=pass header.from=customer.example"
        assert self.flood(self.TRACE, genuine) == 24

    @pytest.mark.parametrize("trace", [TRACE.replace("8.8.4.#", "192.168.1.7"), "Received: from x by y; z"])
    def test_from_an_unknown_network_are_not_limited_for_each_other(self, trace):
        assert self.flood(trace) == 24


class TestTheVerdict:
    RESULT = f"Authentication-Results: {OUR_SERVER}; "

    @pytest.mark.parametrize(
        ("sender", "result", "checked"),
        [
            ("ceo@bigcorp.example <x@evil.example>", "dmarc=pass header.from=evil.example", "passed"),
            ("ceo@bigcorp.example, x@evil.example", "dmarc=pass header.from=evil.example", "unknown"),
            ("ceo@bigcorp.example", "dmarc=pass header.from=evil.example", "unknown"),
            ("ceo@bigcorp.example", "dmarc=pass header.from=mail.bigcorp.example", "unknown"),
            ("ceo@bigcorp.example", "dmarc=pass", "unknown"),
            ("ceo@bigcorp.example", "dmarc=fail", "failed"),
            ("ceo@bigcorp.example", "dmarc=pass header.from=BigCorp.example", "passed"),
            ("ceo@bigcorp.example", "dmarc=pass header.from=ceo@bigcorp.example", "passed"),
            ("ceo@bücher.example", "dmarc=pass header.from=xn--bcher-kva.example", "passed"),
            ("ceo@bigcorp.example", "dmarc=fail header.from=x.example; dkim=pass header.d=bigcorp.example", "passed"),
            ("ceo@bigcorp.example", "dmarc=pass header.from=evil.example; dkim=pass header.d=evil.example", "failed"),
            (
                "ceo@bigcorp.example",
                "dmarc=pass header.from=evil.example; dmarc=fail header.from=bigcorp.example",
                "failed",
            ),
        ],
    )  # fmt: skip
    def test_is_about_the_domain_of_the_sender_that_we_took(self, sender, result, checked):
        message = came(sender, checked=self.RESULT + result)
        assert message.checked == checked
        assert message.sender == ("x@evil.example" if "<" in sender else sender.partition(",")[0])
        if checked != "passed":
            assert set(CancellationRequest.objects.values_list("proof", flat=True)) == {"number"}

    def test_of_a_second_from_header_is_not_about_the_first(self):
        forged = f"{self.RESULT}dmarc=pass header.from=evil.example"
        message = came("ceo@bigcorp.example", checked=forged, headers=("From: Boss <boss@bigcorp.example>",))
        assert (message.sender, message.checked) == ("boss@bigcorp.example", "unknown")

"""Mail made to cost much: it is stored, read as far as a second allows, and left to a person. Nothing is lost.

No test looks at a clock: the kernel ends what takes too long.
"""

import base64
import os
from datetime import timedelta

import pytest

from cancellations.models import CancellationRequest, Conversation
from cancellations.services.conversations import declare
from cancellations.services.mail import read_due
from messaging.confined import run_confined
from messaging.inbound.reading import read
from messaging.models import Door, IncomingMessage
from messaging.services.inbox import file_of, receive
from tests import cast
from tests.cast import NOW
from tests.mail import corpus
from tests.mail.corpus import mail

WISH = "Please cancel my subscription."
HEADERS = ("From", "To", "Cc", "Date", "Message-ID", "References", "In-Reply-To", "Content-Type", "Return-Path",
           "Content-Disposition", "Content-Transfer-Encoding", "Authentication-Results", "Received", "Subject",
           "Reply-To", "MIME-Version", "Auto-Submitted", "Delivered-To")  # fmt: skip
HOSTILE = ("(" * 60_000, "(a" * 60_000, ":" * 60_000, "<" * 60_000, '"' * 60_001, "\\" * 60_000, ";" * 200_000,
           "=?utf-8?q?" * 20_000, "=?a?b?=" * 20_000, ";a*0=b" * 30_000, "a@b," * 50_000, "[(<" * 30_000)  # fmt: skip
DEEP = {
    "sections in sections": "<section>" * 70_000 + WISH,
    "lists in lists": "<ol><li>" * 50_000 + WISH,
    "forms in tables": "<table><form><tr><td>" * 20_000 + WISH,
    "unknown elements": "<x-y>" * 100_000 + WISH,
    "closed again": "<center>" * 60_000 + WISH + "</center>" * 60_000,
    "hidden in a comment": "<div><!--</div>-->" * 30_000 + WISH,
    "drawings": "<svg><g>" * 60_000 + WISH,
}
BOMBS = {
    "tags hidden in attributes": corpus.html("<div><b title='</div>'><i name='</b>'>" * 12_000 + WISH),
    "formatting that goes on": corpus.html("".join(f"<b id={n}>" for n in range(99)) + "<p>" * 200_000),
    "character references": corpus.html("&" * 1_500_000),
    "parts in parts": "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(4_000)),
    "mails in mails": "Content-Type: message/rfc822\n\n" * 4_000,
    "a million parts": "Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 1_000_000,
    "compressed rich text": (
        "Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(b"\x78\x9f\x3e\x22\x01\x00" + os.urandom(3_000_000)).decode()
    ),
}


@pytest.fixture
def came(db):
    cast.policy()

    def deliver(raw: bytes) -> IncomingMessage:
        row = receive(raw=raw, door=Door.WEBHOOK, now=NOW)
        read_due(now=NOW + timedelta(minutes=3))
        row.refresh_from_db()
        return row

    return deliver


def framed(part: str) -> bytes:
    head, _, body = part.partition("\n\n")
    kind = head.partition(":")[2].strip()
    return mail(body, content_type=kind.partition("\n")[0], encoding="base64" if "base64" in head else "8bit")


class TestAHostileHeader:
    @pytest.mark.parametrize("header", HEADERS)
    def test_of_any_kind_is_stored_and_read(self, came, header):
        for number, value in enumerate(HOSTILE):
            raw = f"{header}: {value}\r\n".encode() + mail(WISH, sender=f"c{number}@customer.example")
            row = came(raw)
            assert row.state == "read", (header, value[:8], row.last_error)
            assert bytes(row.raw) == raw
            assert "cancel my subscription" in row.text

    @pytest.mark.parametrize("value", HOSTILE)
    def test_as_the_only_sender_waits_for_a_person(self, came, value):
        row = came(mail(WISH, sender=value))
        assert row.state in ("read", "set_aside")
        assert bytes(row.raw).count(value.encode()) >= 1
        assert row.arrived_at == NOW
        if not CancellationRequest.objects.exists():
            assert Conversation.objects.get(reference=row.thread).waiting_since == NOW

    def test_three_hundred_thousand_headers(self, came):
        row = came(mail(WISH, headers=("X-Spam: y",) * 300_000))
        assert (row.state, row.sender) == ("set_aside", "") or row.sender == "alice@customer.example"
        assert Conversation.objects.count() + CancellationRequest.objects.count() == 1


class TestDeepHtml:
    @pytest.mark.parametrize("body", DEEP.values(), ids=DEEP)
    def test_shows_its_words_and_counts(self, came, body):
        row = came(framed(corpus.html(body)))
        assert (row.state, row.last_error) == ("read", "")
        assert WISH in " ".join(row.text.split())
        requests = CancellationRequest.objects.all()
        if requests:
            assert requests[0].received_at == NOW
        else:  # a hundred bullets before the words leave it to a person
            assert Conversation.objects.get(reference=row.thread).waiting_since == NOW

    def test_ordinary_html_keeps_its_form(self, came):
        row = came(framed(corpus.html(
            '<html><head><style>p {color: red}</style></head><body><!-- x --><table style="width: 1px"><tr>'
            '<td colspan="2" style="x">One</td></tr></table><p class="y">Two <a href="https://a.example/?b=c&amp;d">'
            "three</a></p><ul><li>four<li>five</ul><blockquote><div>six</div></blockquote></body></html>"
        )))  # fmt: skip
        assert row.text.split() == ["One", "Two", "three", "*", "four", "*", "five", "six"]
        assert '<td colspan="2">One</td>' in row.html
        assert '<a href="https://a.example/?b=c&amp;d" rel="noopener noreferrer nofollow">three</a>' in row.html
        assert "style" not in row.html
        assert "x --" not in row.html


class TestABomb:
    @pytest.mark.parametrize("part", BOMBS.values(), ids=BOMBS)
    def test_becomes_a_task_with_its_time(self, came, part):
        raw = framed(part)
        row = came(raw)
        assert bytes(row.raw) == raw
        assert (row.arrived_at, row.sender) == (NOW, "alice@customer.example")
        assert row.state in ("set_aside", "read")
        conversation = Conversation.objects.get(reference=row.thread)
        assert (conversation.waiting_since, conversation.email) == (NOW, "alice@customer.example")
        if row.state == "set_aside":
            assert (conversation.todo, bool(row.last_error)) == ("not_understood", True)

    def test_can_be_made_a_request_that_counts_from_its_arrival(self, came):
        row = came(framed(BOMBS["mails in mails"]))
        assert row.state == "set_aside"
        later = NOW + timedelta(days=9)
        conversation = Conversation.objects.get(reference=row.thread)
        request = declare(conversation=conversation, by=cast.staff("support"), now=later)
        assert request.received_at == NOW

    def test_does_not_hold_up_the_mail_behind_it(self, came):
        receive(raw=framed(BOMBS["tags hidden in attributes"]), door=Door.WEBHOOK, now=NOW)
        assert came(mail(WISH, sender="bob@customer.example")).state == "read"


class TestALargeMail:
    """Attachments as large as a mail may be, within the memory of any other mail."""

    CONTENT = bytes(range(256)) * 72_000

    @pytest.mark.parametrize("kind", ["application/pdf", "application/ms-tnef", "message/rfc822"])
    def test_is_read_within_the_limits(self, kind):
        attached = corpus.file("scan.bin", self.CONTENT, kind)
        if kind == "message/rfc822":
            attached = "Content-Type: message/rfc822\n\n" + corpus.file("scan.bin", self.CONTENT)
        raw = mail(**corpus.parts(corpus.plain(WISH), attached))
        assert len(raw) > 24_000_000
        result = read(raw, whole=True, own_servers=())
        assert (result.cost, result.text, len(result.files)) == ("", WISH, 1)
        assert result.files[0].size >= len(self.CONTENT)

    def test_its_file_comes_out_as_it_went_in(self, came):
        row = came(mail(**corpus.parts(corpus.plain(WISH), corpus.file("scan.pdf", self.CONTENT))))
        file = file_of(row, 0)
        assert file.content == self.CONTENT
        assert row.files == [["scan.pdf", "application/pdf", len(self.CONTENT)]]

    def test_of_text_only_is_read_in_part(self):
        result = read(mail(f"{WISH}\n" * 800_000), whole=True, own_servers=())
        assert result.text.startswith(WISH)
        assert "The mail is long: only its first 2 MB were read." in result.remarks

    def test_html_in_base64_is_read_whole(self):
        body = "<p>One word more</p>" * 5_000 + f"<p>{WISH}</p>"
        raw = mail(body, content_type="text/html; charset=utf-8", encoding="base64")
        assert read(raw, whole=True, own_servers=()).text.endswith(WISH)


def test_the_limits_add_up_to_a_second():
    from messaging.inbound import reading

    assert sum(seconds for _, seconds in reading.STEPS) + reading.WORDS_SECONDS <= 1
    assert run_confined.__kwdefaults__["megabytes"] == 64

"""Hostile text in mail, by each source: it is stored and read, and staff can open what became of it."""

import base64
import json
from functools import partial

import pytest
from django.test import Client
from django.urls import include, path
from django.utils import timezone
from hypothesis import strategies as st

from cancellations.models import Conversation
from cancellations.services.mail import read_due
from messaging.models import Door, IncomingMessage, ReadState
from messaging.services.inbox import receive
from messaging.text import is_keepable
from tests import cast
from tests.fuzz.hostile import FILES, TEXT, as_bytes, repeat
from tests.fuzz.rows import everything_allowed
from tests.fuzz.site import check

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
# As config/urls.py has it where ANYMAIL is set
urlpatterns = [path("mail-provider/", include("anymail.urls")), path("", include("config.urls"))]
handler400 = "config.web.errors.bad_request"
SECRET = "portal:a-long-secret"
HEADERS = [
    "From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Content-Type",
    "Content-Transfer-Encoding", "Content-Disposition", "MIME-Version", "Authentication-Results", "Received",
    "Auto-Submitted", "Return-Path", "List-Id", "X-\ufffe",
]  # fmt: skip
KINDS = ["text/plain; charset=utf-8", "text/html", "text/plain; charset=utf-7", "multipart/mixed; boundary=b",
         "multipart/report; report-type=delivery-status; boundary=b", "message/rfc822", "text/plain; charset=\x00"]  # fmt: skip
ENCODINGS = ["7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "binary"]
WORDS = ["Please cancel my subscription.", "Hiermit kündige ich.", "Je résilie.", "Where is my invoice?"]


@pytest.fixture(autouse=True)
def provider(settings):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}
    cast.policy()


def test_a_mail_is_stored_and_read(settings):
    holder, desk = cast.subscription().account, cast.at_desk(everything_allowed())
    repeat(30, partial(deliver, holder, desk))


def deliver(holder, desk: Client, draw) -> None:
    hostile = {name: draw(TEXT) for name in draw(st.sets(st.sampled_from(HEADERS), max_size=3))}
    headers = {"From": f"{draw(TEXT)} <{holder.email}>", "Subject": draw(TEXT), "Message-ID": "<a@customer.example>"}
    headers |= {
        "Content-Type": draw(st.sampled_from(KINDS)),
        "Content-Transfer-Encoding": draw(st.sampled_from(ENCODINGS)),
    }
    lines = [b"%s: %s" % (as_bytes(name), as_bytes(value)) for name, value in (headers | hostile).items()]
    words = as_bytes(draw(st.sampled_from(WORDS)) + "\n" + draw(TEXT))
    parts = [b"", words, b"--b", b"Content-Type: text/plain", b"", words, b"--b",
             b"Content-Disposition: attachment; filename=" + as_bytes(draw(TEXT)), b"", draw(FILES), b"--b--"]  # fmt: skip
    kept = receive(raw=b"\r\n".join([*lines, *parts]), door=Door.COMMAND, now=cast.NOW)
    read_due(now=cast.NOW)
    read = cast.fresh(kept)
    assert read.state == ReadState.READ, read.raw
    assert is_keepable(read.subject + read.sender + read.sender_name + read.text)
    assert all(is_keepable(name) for name, _, _ in read.files)
    pages = [f"/admin/messaging/incomingmessage/{read.pk}/{page}" for page in ("change/", "raw/", "files/0/")]
    pages += [f"/admin/cancellations/conversation/{row.pk}/change/" for row in Conversation.objects.all()]
    for page in pages:
        check(desk.get(page), f"{page}: {bytes(read.raw)!r}")


def test_what_a_mail_provider_posts_is_stored():
    repeat(50, post)


def post(draw) -> None:
    name = draw(st.sampled_from(list(EVENTS)))
    body = json.dumps(replaced(EVENTS[name], draw))
    authorization = f"Basic {base64.b64encode(SECRET.encode()).decode()}"
    client = Client(raise_request_exception=False)
    if name.startswith("sendgrid/inbound"):
        body = {key: as_bytes(value).decode("utf-8", "replace") for key, value in json.loads(body).items()}
        response = client.post(f"/mail-provider/{name}", body, headers={"authorization": authorization})
    else:
        response = client.post(
            f"/mail-provider/{name}", body, content_type="application/json", headers={"authorization": authorization}
        )
    check(response, f"{name}: {body!r}"[:2000])
    read_due(now=timezone.now())
    for row in IncomingMessage.objects.all():
        assert row.state == ReadState.READ


def replaced(event, draw):
    """The event with hostile text in place of some texts."""
    if isinstance(event, dict):
        return {name: replaced(value, draw) for name, value in event.items()}
    if isinstance(event, list):
        return [replaced(value, draw) for value in event]
    return draw(TEXT) if isinstance(event, str) and draw(st.integers(0, 4)) == 0 else event


EVENTS = {
    "postmark/inbound/": {
        "FromFull": {"Email": "zoe@customer.example", "Name": "Zoe"}, "From": "zoe@customer.example", "Subject": "Hi",
        "ToFull": [{"Email": "support@atntcrm.com", "Name": ""}], "To": "support@atntcrm.com", "MessageID": "x",
        "TextBody": WORDS[0], "HtmlBody": f"<p>{WORDS[0]}</p>", "Date": "Thu, 12 Feb 2026 14:07:31 +0100",
        "Headers": [{"Name": "Message-ID", "Value": "<a@c>"}, {"Name": "X-A", "Value": "b"}],
        "Attachments": [{"Name": "a.pdf", "Content": "JVBERi0=", "ContentType": "application/pdf"}],
    },
    "postmark/tracking/": {
        "RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "MessageID": "x", "Email": "zoe@customer.example",
        "BouncedAt": "2026-02-12T14:00:00Z", "Description": "No such user", "Details": "550", "ID": 1,
    },
    "mailjet/inbound/": {
        "Headers": {"From": ["zoe@customer.example"], "Message-ID": "<a@c>"}, "Text-part": WORDS[0], "Parts": [],
    },
    "sendgrid/inbound/": {"headers": "From: zoe@customer.example\nTo: support@atntcrm.com\n", "text": WORDS[0], "html": ""},
    "sendgrid/tracking/": [{
        "email": "zoe@customer.example", "event": "bounce", "timestamp": 1770901651, "sg_event_id": "a", "reason": "550",
        "smtp-id": "<a@c>", "type": "bounce", "status": "5.0.0",
    }],
}  # fmt: skip

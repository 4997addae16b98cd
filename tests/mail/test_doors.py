"""The other doors: the mail provider's webhook, and a mail that is handed over."""

import base64
import io
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.urls import include, path

from cancellations.models import CancellationRequest
from cancellations.services.mail import read_due
from messaging.models import IncomingMessage, MessageState, OutgoingMessage
from messaging.services.inbox import file_of
from tests import cast
from tests.cast import NOW, fresh
from tests.mail import corpus
from tests.mail.corpus import mail

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
# As config/urls.py has it where ANYMAIL is set
urlpatterns = [path("mail-provider/", include("anymail.urls")), path("", include("config.urls"))]
handler400 = "config.web.errors.bad_request"
LATER = NOW.replace(hour=20)
SECRET = "portal:a-long-secret"


@pytest.fixture(autouse=True)
def provider(settings):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}
    settings.SUPPORT_EMAIL = "support@atntcrm.com"
    cast.policy()


def post(client, address, data, secret=SECRET, **more):
    told = base64.b64encode(secret.encode()).decode()
    with time_machine.travel(LATER, tick=False):
        return client.post(f"/mail-provider/{address}", data, headers={"authorization": f"Basic {told}"}, **more)


def as_mime(client, raw, **more):
    """As SendGrid posts a mail."""
    envelope = json.dumps({"from": "alice@customer.example", "to": ["support@atntcrm.com"]})
    return post(client, "sendgrid/inbound/", {"email": raw.decode(), "envelope": envelope}, **more)


class TestTheProvidersWebhook:
    def test_a_mail_counts_from_when_our_server_took_it(self, client):
        assert as_mime(client, mail("Please cancel my subscription.")).status_code == 200
        row = IncomingMessage.objects.get()
        assert (row.door, row.arrived_at, row.state) == ("webhook", NOW, "waiting")
        read_due(now=LATER)
        assert CancellationRequest.objects.get().received_at == NOW

    def test_without_a_trace_of_our_server_it_counts_from_now(self, client):
        foreign = b"Received: from x by mx.evil.example; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        as_mime(client, foreign + mail("Please cancel my subscription."))
        assert IncomingMessage.objects.get().arrived_at == LATER

    def test_as_fields_instead_of_a_raw_mail(self, client):
        """As Postmark posts one."""
        told = {
            "FromFull": {"Email": "alice@customer.example", "Name": "Alice"}, "From": "alice@customer.example",
            "ToFull": [{"Email": "support@atntcrm.com", "Name": ""}], "To": "support@atntcrm.com",
            "Subject": "Kündigung", "TextBody": "Hiermit kündige ich.", "HtmlBody": "", "Date": "",
            "MessageID": "x", "Headers": [{"Name": "Message-ID", "Value": "<a@c>"}], "Attachments": [],
        }  # fmt: skip
        answer = post(client, "postmark/inbound/", json.dumps(told), content_type="application/json")
        assert answer.status_code == 200
        read_due(now=LATER)
        assert "Hiermit kündige ich." in CancellationRequest.objects.get().words

    def test_a_large_mail_gets_through_and_a_large_form_does_not(self, client, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = settings.INBOUND_MOST_BYTES * 3 // 2  # as where ANYMAIL is set
        large = corpus.file("scan.pdf", b"%PDF" + b"x" * 3_000_000)
        raw = mail(**corpus.parts(corpus.plain("Please cancel my subscription."), large))
        assert as_mime(client, raw).status_code == 200
        read_due(now=LATER)
        assert CancellationRequest.objects.count() == 1
        form = urlencode({"words": "x" * 1_500_000})
        answer = client.post("/cancel/", form, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 413

    def test_nobody_else_gets_in(self, client):
        assert as_mime(client, mail("Hi"), secret="portal:wrong").status_code == 400
        assert not IncomingMessage.objects.exists()

    def test_again_after_a_failed_answer_counts_once(self, client):
        for _ in range(2):
            as_mime(client, mail("Please cancel my subscription.", message_id="<a@c>"))
        read_due(now=LATER)
        assert CancellationRequest.objects.count() == 1
        assert sorted(IncomingMessage.objects.values_list("state", flat=True)) == ["duplicate", "read"]

    def test_what_came_back_is_noted(self, client):
        request = cast.scheduled()
        cast.deliver_all()
        sent = OutgoingMessage.objects.get(kind="scheduled")
        told = {"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "MessageID": "postmarks-own",
                "Email": request.email_given, "BouncedAt": "2026-02-12T14:00:00Z", "Description": "No such user",
                "Details": "550", "ID": 1}  # fmt: skip
        post(client, "postmark/tracking/", json.dumps(told), content_type="application/json")
        bounced = OutgoingMessage.objects.filter(recipient=request.email_given, state=MessageState.BOUNCED)
        assert bounced.count() == 1
        assert sent.kind in {"scheduled"}


WISH = "Hiermit kündige ich mein Abo."
PDF = base64.b64encode(b"%PDF-1.7 a scan").decode()


def postmark_fields(sender, **more):
    return {
        "FromFull": {"Email": sender, "Name": 'Zoë "Z" \\'}, "From": sender, "To": "support@atntcrm.com",
        "ToFull": [{"Email": "support@atntcrm.com", "Name": ""}], "Subject": "Kündigung", "TextBody": WISH,
        "HtmlBody": f"<p>{WISH}</p>", "Date": "Thu, 12 Feb 2026 14:07:31 +0100", "MessageID": "x", "ReplyTo": sender,
        "Headers": [{"Name": "Message-ID", "Value": "<a@c>"}, {"Name": "Bad name:", "Value": "a\r\nFrom: evil"}],
        "Attachments": [{"Name": "Kündigung.pdf", "Content": PDF, "ContentType": "application/pdf"}], **more,
    }  # fmt: skip


class TestThePostOfAMail:
    """The web process parses no mail, whatever the provider sends and however."""

    @pytest.fixture(autouse=True)
    def no_parser(self, monkeypatch):
        def refuse(*args, **kwargs):
            raise AssertionError("the web process parsed a mail")

        monkeypatch.setattr("email.feedparser.FeedParser.feed", refuse)
        monkeypatch.setattr("email.message.EmailMessage.__setitem__", refuse)

    def send(self, client, form, sender):
        raw = mail(WISH, sender=sender)
        fields = {"timestamp": "1770901651", "token": "t", "signature": "s"}
        as_json = {"content_type": "application/json"}
        if form == "sendgrid, raw":
            return as_mime(client, raw)
        if form == "sendgrid, fields":
            headers = f"From: {sender}\nTo: support@atntcrm.com\nContent-Type: text/plain\nReceived: by x;\n folded\n"
            return post(client, "sendgrid/inbound/", {"headers": headers, "text": WISH, "html": f"<p>{WISH}</p>"})
        if form == "postmark, raw":
            event = postmark_fields(sender, RawEmail=raw.decode())
            return post(client, "postmark/inbound/", json.dumps(event), **as_json)
        if form == "postmark, fields":
            return post(client, "postmark/inbound/", json.dumps(postmark_fields(sender)), **as_json)
        if form == "mailjet, fields":
            event = {"Headers": {"From": [sender], "Message-ID": "<a@c>"}, "Text-part": WISH, "Parts": []}
            return post(client, "mailjet/inbound/", json.dumps(event), **as_json)
        more = {"body-mime": raw.decode()} if form == "mailgun, raw" else {
            "message-headers": json.dumps([["From", sender], ["Subject", "Hi"]]), "body-plain": WISH,
        }  # fmt: skip
        return post(client, "mailgun/inbound/", fields | more)

    @pytest.mark.parametrize("sender", ["zoe@customer.example", "(" * 50_000, "zoe@customer.example, " * 9_000])
    @pytest.mark.parametrize(
        "form",
        ["sendgrid, raw", "sendgrid, fields", "postmark, raw", "postmark, fields", "mailjet, fields", "mailgun, raw",
         "mailgun, fields"],
    )  # fmt: skip
    def test_stores_the_mail_and_a_worker_reads_it(self, client, settings, monkeypatch, form, sender):
        settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET, "MAILGUN_WEBHOOK_SIGNING_KEY": "k"}
        monkeypatch.setattr("anymail.webhooks.mailgun.MailgunBaseWebhookView.validate_request", lambda *args: None)
        assert self.send(client, form, sender).status_code == 200
        row = IncomingMessage.objects.get()
        assert sender[:60].encode() in bytes(row.raw)
        read_due(now=LATER)
        row.refresh_from_db()
        assert row.state == "read"
        assert WISH in row.text
        assert row.sender == ("zoe@customer.example" if "zoe" in sender else "")

    def test_its_files_arrive(self, client):
        attached = [
            {"Name": "Kündigung.pdf", "Content": PDF, "ContentType": "application/pdf"},
            {"Name": "a.eml", "Content": base64.b64encode(mail("x")).decode(), "ContentType": "message/rfc822"},
            {"Name": "b", "Content": "Yg==", "ContentType": "text/plain\r\nX: y"},
            {"Name": "empty.txt", "Content": "", "ContentType": "text/plain"},
        ]
        event = postmark_fields("zoe@customer.example", Attachments=attached)
        post(client, "postmark/inbound/", json.dumps(event), content_type="application/json")
        read_due(now=LATER)
        row = IncomingMessage.objects.get()
        names = [(name, kind) for name, kind, _ in row.files]
        assert names == [("Kündigung.pdf", "application/pdf"), ("a.eml", "message/rfc822"),
                         ("b", "application/octet-stream"), ("empty.txt", "text/plain")]  # fmt: skip
        assert file_of(row, 0).content == b"%PDF-1.7 a scan"

    @pytest.mark.parametrize("mark", ["\ud800", "\ufffe"])
    def test_text_that_no_mail_can_hold_is_replaced(self, client, mark):
        event = postmark_fields("zoe@customer.example", Subject=f"Hi{mark}", TextBody=f"{WISH}{mark}", HtmlBody="")
        answer = post(client, "postmark/inbound/", json.dumps(event), content_type="application/json")
        assert answer.status_code == 200
        read_due(now=LATER)
        row = IncomingMessage.objects.get()
        assert (row.subject, row.text.strip()) == ("Hi\ufffd", f"{WISH}\ufffd")


class TestHandedOver:
    def test_from_a_file_or_the_standard_input(self, tmp_path, monkeypatch):
        path = tmp_path / "mail.eml"
        path.write_bytes(mail("Please cancel my subscription."))
        with time_machine.travel(LATER, tick=False):
            call_command("receive_mail", str(path), stdout=io.StringIO())
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(mail("Where is my invoice?"))))
            call_command("receive_mail", stdout=io.StringIO())
        read_due(now=LATER)
        assert CancellationRequest.objects.get().received_at == NOW
        assert IncomingMessage.objects.filter(state="read").count() == 2

    def test_nothing_and_no_file_are_refused(self, tmp_path):
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("receive_mail", str(tmp_path / "none.eml"))
        (tmp_path / "empty.eml").write_bytes(b"\n")
        with pytest.raises(CommandError, match="input is empty"):
            call_command("receive_mail", str(tmp_path / "empty.eml"))

    def test_at_its_own_time(self):
        out = io.StringIO()
        call_command("read_mail", "--now", "2026-02-12T14:07:31+01:00", stdout=out)
        assert out.getvalue() == "0 fetched, 0 read, 0 messages did not arrive.\n"
        with pytest.raises(CommandError):
            call_command("read_mail", "--now", "2026-02-12T14:07:31")


def test_the_erasure_of_an_account_takes_its_mail_with_it(client):
    from cancellations.services.conversations import close
    from cancellations.services.erasure import erase

    holder = cast.account()
    row = cast.waits_for_an_answer(holder, "My name is Alice Secret.")
    close(conversation=row, by=cast.staff("support"), words="Alice Secret called.", now=NOW)
    erase(account=holder, by=cast.staff("manager"), ground="Asked for it", now=datetime(2027, 1, 1, tzinfo=UTC))
    kept = fresh(IncomingMessage.objects.get())
    row = fresh(row)
    assert (kept.raw.tobytes() if hasattr(kept.raw, "tobytes") else bytes(kept.raw), kept.arrived_at) == (b"", NOW)
    told = " ".join(str(value) for one in (kept, row) for value in vars(one).values())
    assert "Secret" not in told
    assert holder.email not in told
    history = " ".join(str(vars(event)) for event in row.events.all())
    assert "Secret" not in history
    assert holder.email not in history


def test_mail_that_is_kept_long_enough_is_forgotten(settings):
    from cancellations.services.erasure import apply_retention

    settings.RETENTION_MESSAGE_DAYS = 30
    row = cast.waits_for_an_answer(cast.account(), "My name is Alice Secret.")
    apply_retention(now=datetime(2026, 3, 1, tzinfo=UTC))
    assert "Secret" in IncomingMessage.objects.get(thread=row.reference).text
    apply_retention(now=datetime(2026, 4, 1, tzinfo=UTC))
    assert IncomingMessage.objects.get(thread=row.reference).text == "(erased)"

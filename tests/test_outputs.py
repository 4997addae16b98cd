"""What the database may hold from before the rule for text: no output fails on it, and none is forged by it."""

import csv
import io
import json
from xml.etree import ElementTree

import pytest
from icalendar import Calendar
from moneyed import Money

from accounts.desk.exports import csv_lines
from billing.bank_files.orders import Transfer, as_csv, as_pain
from cancellations.models import Receipt
from cancellations.receipts.pdf import receipt_pdf
from cancellations.web.calendar import calendar_event
from messaging.outbound.rendering import render
from messaging.text import is_keepable
from tests import cast, databases

HOSTILE = ["a\x0bb", "a\x00b", "a\ud800b", "a\u202eb", "a\ufffeb", "a\r\nBcc: b", "a\x1b[31mb", "\u2069\u202e"]
IN_DATABASE = [text for text in HOSTILE if "\x00" not in text and "\ud800" not in text]  # PostgreSQL refuses those
IBAN = "DE89370400440532013000"


@pytest.mark.django_db
@pytest.mark.parametrize("text", IN_DATABASE)
def test_the_feed_of_the_policy_stays_xml(client, text):
    version = cast.policy()
    with databases.without_guards():  # as it was published before the rule
        type(version).objects.filter(pk=version.pk).update(change_summary=text)
    page = client.get("/policy/feed/")
    assert page.status_code == 200
    ElementTree.fromstring(page.content)
    for address in ("/policy/history/", f"/policy/{version.number}/"):
        assert client.get(address).status_code == 200


@pytest.mark.parametrize("text", HOSTILE[:-1])  # a name of marks alone is refused when it is entered
def test_a_file_for_the_bank_stays_what_it_is(text):
    transfer = Transfer("RF-1", text, IBAN, Money("1", "EUR"), "Refund")
    options = {"batch": "B-1", "company": "Us", "account": IBAN, "bic": "", "on": cast.date(2026, 4, 1)}
    ElementTree.fromstring(as_pain([transfer], **options))
    (row,) = csv.DictReader(io.StringIO(as_csv([transfer]).decode("utf-8-sig"), newline=""))
    assert is_keepable(row["name"])


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_an_export_is_encoded_and_read_again(text):
    lines = "".join(csv_lines([("x", lambda row: row)], [text])).encode()
    ((cell,),) = list(csv.reader(io.StringIO(lines.decode("utf-8-sig"), newline="")))[1:]
    assert is_keepable(cell)


@pytest.mark.django_db
@pytest.mark.parametrize("text", IN_DATABASE)
def test_the_pdf_of_a_receipt_is_made(text):
    request = cast.in_review()
    receipt = Receipt.objects.get(declaration=request.declaration)
    content = json.dumps({**json.loads(receipt.content), "words": text, "name": text}, ensure_ascii=False)
    assert receipt_pdf(content, number=1, seal=receipt.seal, issued=cast.NOW).startswith(b"%PDF-")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_mail_has_one_subject_and_both_parts(text):
    mail = render("answer", {"words": text, "subject": text, "reference": text})
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject
    for part in (mail.subject, mail.text, mail.html):
        part.encode()
        assert is_keepable(part)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_calendar_file_is_read_again(text):
    event = calendar_event(
        name="CR-1-end", day=cast.date(2026, 4, 1), summary=text, description=text, url="https://cancel.example.com/",
        remind_days=1, made_at=cast.NOW,
    )  # fmt: skip
    content = event if isinstance(event, bytes) else event.to_ical()
    (read,) = Calendar.from_ical(content).walk("VEVENT")
    assert "BCC" not in read

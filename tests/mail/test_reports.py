"""Delivery reports as real mail systems write them, each with our Message-ID somewhere inside."""

import pytest

from messaging.inbound.mime import parse
from messaging.inbound.reports import report_of
from tests.mail.corpus import html, mail, parts, plain

OURS = "<6f9619ff-8b86-4011-b42d-00c04fc964ff@atntcrm.com>"
ZOE = "zoe@customer.example"
ORIGINAL = (
    f"From: support@atntcrm.com\nTo: {ZOE}\nReferences: <first@atntcrm.com>\nMessage-ID: {OURS}\nSubject: Bye\n\nBye\n"
)
RETURNED = f"Content-Type: message/rfc822\n\n{ORIGINAL}"
DAEMON = "Mail Delivery System <MAILER-DAEMON@mx.customer.example>"


def report(body: str = "", *, sender: str = DAEMON, **given):
    return report_of(parse(mail(body, sender=sender, **given), whole=True))


def status(action: str, code: str) -> str:
    return f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; {ZOE}\nAction: {action}\nStatus: {code}\n"


FORMS = {
    "Postfix": parts(plain("I'm sorry"), status("failed", "5.1.1"), RETURNED, kind="report", parameters="; report-type=delivery-status"),
    "Amazon WorkMail, without a status": parts(plain("Technical report:\n\n550 5.1.1 unknown"), RETURNED),
    "Exchange 2003": parts(plain("Your message did not reach some or all of the intended recipients."), RETURNED),
    "HTML and the original": parts(html("<p>Address not found</p>"), RETURNED),
    "qmail": {"body": f"Hi. This is the qmail-send program at mx.\nI wasn't able to deliver your message.\n\n<{ZOE}>:\n"
                      f"No such user.\n\n--- Below this line is a copy of the message.\n\n{ORIGINAL}"},
    "DragonFly": {"body": f"This is the DragonFly Mail Agent v0.13 at mx.\n\nThere was an error delivering your mail to <{ZOE}>.\n\n"
                          f"550 5.1.1 unknown\n\nMessage headers follow\n\n{ORIGINAL}"},
    "a quoted original": {"body": "It could not be delivered: 550 unknown\n\n" + "".join(f"> {line}\n" for line in ORIGINAL.splitlines())},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_our_message_id_is_found_wherever_it_stands(form):
    found = report(subject="Undelivered Mail Returned to Sender", **form)
    assert (found.message_ids[0], found.failed) == (OURS, True)


@pytest.mark.parametrize(
    ("sender", "headers", "subject"),
    [
        ("postmaster@customer.example", (), "Undeliverable: Bye"),
        ("MDaemon@customer.example", (), "Warning"),
        ("system@customer.example", ("Return-Path: <>",), "Unzustellbar: Bye"),
        ("microsoftexchange329e@customer.example", ("Return-Path: <>",), "Undeliverable: Bye"),
    ],
)
def test_who_writes_reports(sender, headers, subject):
    assert report(**FORMS["Exchange 2003"], sender=sender, headers=headers, subject=subject) is not None


@pytest.mark.parametrize(
    ("sender", "headers", "subject"),
    [
        ("Zoe <zoe@customer.example>", (), "Fwd: Undelivered Mail Returned to Sender"),
        ("Zoe <zoe@customer.example>", (), "Your mail"),
        ("Zoe <zoe@customer.example>", ("Return-Path: <>",), "Out of office"),
    ],
)
def test_who_writes_none(sender, headers, subject):
    assert report(**FORMS["Exchange 2003"], sender=sender, headers=headers, subject=subject) is None


@pytest.mark.parametrize(
    ("words", "failed"),
    [
        ("550 5.1.1 User unknown", True),
        ("The message could not be delivered for 2 days. Giving up.", True),
        ("451 4.7.1 Greylisted, please try again later. Delivery will be retried.", False),
        ("Your message is delayed. You do not need to resend it.", False),
        ("Temporary problem 4.4.1; then 5.4.7 Delivery expired", True),
        ("Something happened.", True),
    ],
)
def test_hard_and_soft_are_told_apart_without_a_status(words, failed):
    assert report(**parts(plain(words), RETURNED), subject="Mail").failed is failed


@pytest.mark.parametrize(
    ("action", "code", "failed"),
    [
        ("failed", "5.1.1", True),
        ("failed", "4.4.7", True),
        ("delayed", "4.4.1", False),
        ("", "5.0.0", True),
        ("relayed", "5.0.0", False),
    ],
)
def test_and_with_one(action, code, failed):
    form = parts(plain("x"), status(action, code), RETURNED, kind="report", parameters="; report-type=delivery-status")
    assert report(**form).failed is failed


def test_a_report_that_names_nothing_is_understood_by_nobody():
    found = report("Mail could not be delivered.", subject="Failure")
    assert (found.is_understood, found.failed) == (False, True)


def test_a_report_without_the_original_names_its_recipient():
    words = "Hi. This is the qmail-send program at mx.\nI'm afraid I wasn't able to deliver your message to the following addresses."
    assert report(f"{words}\n\n<{ZOE}>:\nNo such user.\n", subject="failure notice").recipient == ZOE

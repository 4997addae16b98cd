"""kill -9 at any step: of fetching, of storing, of reading, of answering. Nothing is lost, nothing is done twice."""

from collections import Counter
from datetime import timedelta

import pytest
from django.core.management import call_command

from cancellations.models import CancellationRequest, Conversation
from messaging.models import IncomingMessage, OutgoingMessage
from tests import cast
from tests.cast import NOW
from tests.mail.corpus import mail
from tests.workers import ended, killed_somewhere, started

CANCEL, ASK = 25, 25


def rows() -> int:
    return IncomingMessage.objects.count() + IncomingMessage.objects.exclude(state="waiting").count()


@pytest.mark.django_db(transaction=True)
def test_readers_that_are_killed_lose_nothing_and_repeat_nothing(mailbox):
    cast.policy()
    for number in range(CANCEL):
        sender = f"c{number}@customer.example"
        mailbox.deliver(mail("Please cancel my subscription.", sender=sender, message_id=f"<c{number}@c>"), NOW)
        asker = f"q{number}@customer.example"
        mailbox.deliver(mail("Where is my invoice?", sender=asker, message_id=f"<q{number}@c>"), NOW)
    kills = 0
    for attempt in range(40):
        moment = NOW + timedelta(minutes=10 * attempt)  # the leases of the dead run out
        running = started(call_command, "read_mail", "--now", moment.isoformat(), INBOUND_MAILBOXES=[mailbox.url])
        if attempt < 8:
            kills += killed_somewhere(running, rows)
        else:
            ended(running)
        if IncomingMessage.objects.exclude(state="waiting").count() == CANCEL + ASK:
            break
    assert kills >= 4, "hardly any run was ended in the middle, so this proves little"
    assert Counter(IncomingMessage.objects.values_list("state", flat=True)) == {"read": CANCEL + ASK}
    assert CancellationRequest.objects.count() == CANCEL
    assert set(CancellationRequest.objects.values_list("received_at", flat=True)) == {NOW}
    assert Conversation.objects.count() == ASK
    letters = OutgoingMessage.objects.filter(kind="prove_address").values_list("recipient", flat=True)
    assert Counter(letters) == {f"c{number}@customer.example": 1 for number in range(CANCEL)}


@pytest.mark.django_db(transaction=True)
def test_several_readers_at_once_share_the_work(mailbox):
    cast.policy()
    for number in range(30):
        sender = f"c{number}@customer.example"
        mailbox.deliver(mail("Please cancel my subscription.", sender=sender, message_id=f"<c{number}@c>"), NOW)
    command = (call_command, "read_mail", "--now", NOW.isoformat())
    for one in [started(*command, INBOUND_MAILBOXES=[mailbox.url]) for _ in range(3)]:
        assert ended(one) == 0
    assert IncomingMessage.objects.count() == 30
    ended(started(*command, INBOUND_MAILBOXES=[mailbox.url]))
    assert CancellationRequest.objects.count() == OutgoingMessage.objects.count() == 30

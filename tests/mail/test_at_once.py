"""Mails of one sender at the same moment are filed one after the other: each finds the conversation of the others."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from cancellations.models import CancellationRequest, Conversation
from cancellations.services.conversations import open_tasks_for_failed_messages
from cancellations.services.mail import read_due
from messaging.models import Door, IncomingMessage, MessageState, OutgoingMessage
from messaging.services.inbox import store
from tests import cast
from tests.cast import NOW
from tests.mail.corpus import mail

HOUR = timedelta(hours=1)


def stored(words, at=NOW, **given):
    return store(raw=mail(words, **given), arrived_at=at, door=Door.COMMAND, now=at)


def is_waiting_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


def meanwhile(act):
    """Starts `act` on a connection of its own, and returns its thread once it waits for a lock or has ended."""

    def run():
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive() and not is_waiting_for_a_lock():
        time.sleep(0.01)
    return thread


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    @pytest.fixture
    def letter(self):
        cast.policy()
        cast.in_review(cast.subscription(cast.account(email="alice@customer.example")))
        cast.deliver_all()
        return OutgoingMessage.objects.get(kind="received")

    def read_beside(self, *acts):
        """Lets the first act finish only when each of the others waits for it, or has not waited."""
        with transaction.atomic():
            acts[0]()
            threads = [meanwhile(act) for act in acts[1:]]
        for thread in threads:
            thread.join()

    def test_two_replies_about_a_request_stand_in_one_conversation(self, letter):
        headers = (f"In-Reply-To: {letter.message_id}",)
        stored("When will I get my data?", headers=headers)
        self.read_beside(
            lambda: read_due(now=NOW),
            lambda: (stored("And my invoices?", headers=headers), read_due(now=NOW)),
        )
        assert Conversation.objects.count() == 1
        assert IncomingMessage.objects.filter(thread=Conversation.objects.get().reference, state="read").count() == 2

    def test_a_mail_and_the_reply_to_it_stand_in_one_conversation(self, letter):
        stored("Where is my invoice?", message_id="<q1@c>")
        self.read_beside(
            lambda: read_due(now=NOW),
            lambda: (stored("Hello?", message_id="<q2@c>", headers=("References: <q1@c>",)), read_due(now=NOW)),
        )
        assert Conversation.objects.count() == 1

    def test_a_reply_and_a_message_that_did_not_arrive_are_one_task(self, letter):
        stored("When will I get my data?", headers=(f"In-Reply-To: {letter.message_id}",))
        OutgoingMessage.objects.update(state=MessageState.BOUNCED)
        self.read_beside(lambda: read_due(now=NOW), lambda: open_tasks_for_failed_messages(now=NOW))
        assert Conversation.objects.count() == 1

    def test_mails_of_two_people_do_not_wait_for_each_other(self, letter):
        stored("Hello?", sender="carol@customer.example")  # the audit log writes down the columns of a table once
        read_due(now=NOW)
        stored("Where is my invoice?")
        with transaction.atomic():
            read_due(now=NOW)
            bobs = meanwhile(lambda: (stored("Where is mine?", sender="Bob <bob@customer.example>"), read_due(now=NOW)))
            assert not bobs.is_alive()
        assert Conversation.objects.count() == 3


@pytest.mark.django_db
class TestOutOfOrder:
    """Workers may read a reply before the mail that it replies to."""

    @pytest.fixture(autouse=True)
    def policy(self):
        cast.policy()

    def test_they_stand_in_one_conversation(self):
        stored("Hello?", at=NOW + HOUR, message_id="<q2@c>", headers=("In-Reply-To: <q1@c>",))
        read_due(now=NOW + HOUR)
        stored("Where is my invoice?", message_id="<q1@c>")
        read_due(now=NOW + HOUR)
        assert Conversation.objects.count() == 1

    def test_a_cancellation_still_counts_from_its_own_arrival(self):
        cast.subscription(cast.account(email="alice@customer.example"))
        stored("Cancel my plan, I said!", at=NOW + HOUR, message_id="<q2@c>", headers=("In-Reply-To: <q1@c>",))
        read_due(now=NOW + HOUR)
        stored("Please cancel my subscription.", message_id="<q1@c>")
        read_due(now=NOW + HOUR)
        assert set(CancellationRequest.objects.values_list("received_at", flat=True)) == {NOW, NOW + HOUR}

    def test_the_reply_of_somebody_else_is_their_own(self):
        stored("Me too!", at=NOW + HOUR, sender="bob@customer.example", headers=("In-Reply-To: <q1@c>",))
        read_due(now=NOW + HOUR)
        stored("Where is my invoice?", message_id="<q1@c>")
        read_due(now=NOW + HOUR)
        assert Conversation.objects.count() == 2

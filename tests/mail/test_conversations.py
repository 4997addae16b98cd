"""What people write is answered by a person: threaded, filed, made a request of, closed; and what did not arrive."""

from datetime import date, timedelta

import pytest

from cancellations.models import CancellationRequest, Conversation
from cancellations.services import conversations
from cancellations.services.common import RequestRefused
from cancellations.services.conversations import open_tasks_for_failed_messages
from cancellations.services.enforcement import enforce
from cancellations.services.mail import read_due
from cancellations.services.reminders import notify_staff
from cancellations.services.submission import verify
from messaging.addresses import reply_address
from messaging.models import Door, IncomingMessage, MessageState, OutgoingMessage
from messaging.services.inbox import store
from tests import cast
from tests.cast import NOW, fresh
from tests.mail.corpus import FAILED, mail

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def alice():
    return cast.account()


def write(holder, words, at=NOW, **given):
    sender = f"{holder.name} <{holder.email}>"
    kept = store(raw=mail(words, sender=sender, **given), arrived_at=at, door=Door.COMMAND, now=at)
    read_due(now=at)
    return fresh(kept)


def desk_of(row):
    return f"/admin/cancellations/conversation/{row.pk}/"


class TestAnswering:
    def test_goes_out_below_the_mail_and_what_comes_back_lands_in_the_same_conversation(self, alice):
        row = cast.waits_for_an_answer(alice)
        support = cast.at_desk(cast.staff("support"))
        support.post(f"{desk_of(row)}do/answer/", {"words": "It is under «Billing».", "close": ""})
        sent = OutgoingMessage.objects.get(kind="answer")
        came = IncomingMessage.objects.get()
        assert (sent.recipient, sent.in_reply_to, sent.references) == (alice.email, came.message_id, [came.message_id])
        assert sent.subject == "Re: Hello"
        assert "> Where is my invoice?" in sent.text
        assert fresh(row).state == "waiting"
        again = write(alice, "Thanks, but it is empty.", at=NOW + HOUR, headers=(f"In-Reply-To: {sent.message_id}",))
        row = fresh(row)
        assert (again.thread, row.state, row.waiting_since) == (row.reference, "open", NOW + HOUR)

    @pytest.mark.parametrize("checked", ["", FAILED])
    def test_what_somebody_may_have_written_in_another_name_is_not_sent_on(self, alice, checked):
        lure = "Your account is blocked, log in at https://bank.example/login now. " * 3
        came = write(alice, lure, subject=lure, checked=checked)
        row = Conversation.objects.get()
        conversations.answer(conversation=row, by=cast.staff("support"), words="We did not write that.", now=NOW)
        sent = OutgoingMessage.objects.get(kind="answer")
        for part in (sent.subject, sent.text, sent.html):
            assert "bank.example" not in part
        assert "blocked" not in sent.text + sent.html.partition("</title>")[2]
        assert len(sent.subject) <= len("Re: ") + 80
        assert sent.in_reply_to == came.message_id

    def test_by_its_signed_address_as_well(self, alice, settings):
        settings.REPLY_ADDRESS = "support+{token}@atntcrm.com"
        row = cast.waits_for_an_answer(alice)
        conversations.close(conversation=row, by=cast.staff("support"), words="", now=NOW)
        again = write(alice, "Are you there?", at=NOW + HOUR, to=reply_address(row.reference))
        assert (again.thread, fresh(row).state) == (row.reference, "open")

    def test_in_the_language_of_the_customer_with_his_words_below(self, alice):
        row = fresh(write(alice, "Guten Tag, wo finde ich die Rechnung? Vielen Dank und Grüße"))
        conversation = Conversation.objects.get(reference=row.thread)
        conversations.answer(conversation=conversation, by=cast.staff("support"), words="Hier.", now=NOW)
        assert "Sie schrieben am 12. Februar 2026" in OutgoingMessage.objects.get(kind="answer").text

    def test_nothing_typed_is_lost_where_something_is_missing(self, alice):
        row = cast.waits_for_an_answer(alice)
        answer = cast.at_desk(cast.staff("support")).post(f"{desk_of(row)}do/file/", {"reference": "CR-NONE-NONE"})
        assert answer.status_code == 422
        page = answer.content.decode()
        assert 'value="CR-NONE-NONE"' in page
        assert "There is no request with this reference." in page

    def test_the_preview_is_the_mail_that_goes_out(self, alice):
        row = cast.waits_for_an_answer(alice)
        page = cast.at_desk(cast.staff("support")).post(f"{desk_of(row)}preview/answer/", {"words": "<b>Hi</b>"})
        assert "&lt;b&gt;Hi&lt;/b&gt;" in page.content.decode()
        assert not OutgoingMessage.objects.filter(kind="answer").exists()


class TestAsking:
    def test_a_question_comes_back_to_its_request(self, alice):
        request = cast.in_review(cast.subscription(alice))
        conversations.ask(request=request, by=cast.staff("support"), words="Which of both?", now=NOW)
        sent = OutgoingMessage.objects.get(kind="question")
        assert sent.about == request.declaration
        back = write(alice, "The first one.", at=NOW + HOUR, headers=(f"In-Reply-To: {sent.message_id}",))
        row = Conversation.objects.get()
        assert (back.about, row.request, row.state) == (request.declaration, request, "open")
        page = cast.at_desk(cast.staff("support")).get(f"/admin/cancellations/cancellationrequest/{request.pk}/change/")
        assert f"/admin/messaging/incomingmessage/{back.pk}/change/" in page.content.decode()


class TestFiling:
    def test_its_mail_stands_in_the_story_of_the_request(self, alice):
        request = cast.in_review(cast.subscription(alice))
        row = cast.waits_for_an_answer(alice, "About my cancellation: thank you.")
        filed = conversations.file_under(
            conversation=row, by=cast.staff("support"), reference=request.declaration.lower(), now=NOW
        )
        assert (filed.request, filed.about) == (request, request.declaration)
        assert IncomingMessage.objects.get().about == request.declaration


class TestMakingARequestOfIt:
    def test_counts_from_the_mails_arrival_and_asks_for_proof(self, alice):
        of = cast.subscription(alice)
        row = cast.waits_for_an_answer(alice, "I am leaving you for good.", at=NOW)
        request = conversations.declare(
            conversation=row, by=cast.staff("support"), account_number=alice.account_number, now=NOW + 20 * HOUR
        )
        assert (request.state, request.channel, request.received_at) == ("unverified", "email", NOW)
        assert "I am leaving you for good." in request.words
        assert OutgoingMessage.objects.get(kind="prove_address").in_reply_to
        assert (fresh(row).state, fresh(row).about) == ("closed", request.declaration)
        assert of.requests.count() == 0

    def test_twice_gives_the_same(self, alice):
        row = cast.waits_for_an_answer(alice, "I am leaving.")
        sam = cast.staff("support")
        first = conversations.declare(conversation=row, by=sam, now=NOW)
        assert conversations.declare(conversation=row, by=sam, now=NOW) == first
        assert CancellationRequest.objects.count() == 1

    def test_after_our_own_long_silence_the_sender_still_has_time_for_the_proof(self, alice):
        of = cast.subscription(alice)
        row = cast.waits_for_an_answer(alice, "I am leaving.")
        late = NOW + timedelta(days=45)
        request = conversations.declare(conversation=row, by=cast.staff("support"), now=late)
        assert enforce(now=late + timedelta(days=6)) == []
        verify(request=request, identifier=alice.username, now=late + timedelta(days=6))
        request = fresh(request)
        assert (request.subscription, request.received_at, request.effective_on) == (of, NOW, date(2026, 2, 28))

    def test_a_question_of_ours_is_no_mail(self, alice):
        request = cast.in_review(cast.subscription(alice))
        row = conversations.ask(request=request, by=cast.staff("support"), words="Which?", now=NOW)
        with pytest.raises(RequestRefused):
            conversations.declare(conversation=row, by=cast.staff("support"), now=NOW)


class TestWhatDidNotArrive:
    @pytest.fixture
    def failed(self, alice):
        request = cast.scheduled(cast.subscription(alice))
        cast.deliver_all()
        OutgoingMessage.objects.filter(kind="scheduled").update(state=MessageState.BOUNCED, last_error="No such user")
        assert open_tasks_for_failed_messages(now=NOW) == 1
        return request

    def test_is_told_of_once_and_shown_with_the_request(self, failed):
        assert open_tasks_for_failed_messages(now=NOW) == 0
        row = Conversation.objects.get()
        assert (row.todo, row.request) == ("not_informed", failed)
        desk = cast.at_desk(cast.staff("support"))
        page = desk.get(f"/admin/cancellations/cancellationrequest/{failed.pk}/change/").content.decode()
        assert "The customer is not informed" in page
        listed = desk.get("/admin/cancellations/cancellationrequest/?informed=no").content.decode()
        assert failed.reference in listed
        cast.in_review()
        assert desk.get("/admin/cancellations/cancellationrequest/?informed=no").content.decode().count("CR-") >= 1

    def test_is_sent_again(self, failed):
        row = Conversation.objects.get()
        conversations.send_again(conversation=row, by=cast.staff("support"), now=NOW)
        assert OutgoingMessage.objects.get(kind="scheduled").state == "pending"
        assert fresh(row).state == "waiting"

    def test_fails_again_and_is_a_task_again(self, failed):
        row = Conversation.objects.get()
        conversations.send_again(conversation=row, by=cast.staff("support"), now=NOW)
        OutgoingMessage.objects.filter(kind="scheduled").update(state=MessageState.DEAD)
        assert open_tasks_for_failed_messages(now=NOW + HOUR) == 1
        assert (fresh(row).state, Conversation.objects.count()) == ("open", 1)

    def test_is_closed_only_with_how_the_customer_was_informed(self, failed):
        row = Conversation.objects.get()
        with pytest.raises(RequestRefused):
            conversations.close(conversation=row, by=cast.staff("support"), words=" ", now=NOW)
        conversations.close(conversation=row, by=cast.staff("support"), words="By telephone.", now=NOW)
        assert not OutgoingMessage.objects.get(kind="scheduled").has_failed
        desk = cast.at_desk(cast.staff("support"))
        page = desk.get(f"/admin/cancellations/cancellationrequest/{failed.pk}/change/").content.decode()
        assert "The customer is not informed" not in page

    def test_a_proving_link_that_is_gone_is_asked_for_anew(self, alice):
        cast.unverified(alice)
        gone = "(Held a code or a proving link; removed once sent.)"
        OutgoingMessage.objects.update(state=MessageState.SENT, text=gone)
        OutgoingMessage.objects.update(state=MessageState.BOUNCED)
        open_tasks_for_failed_messages(now=NOW)
        with pytest.raises(RequestRefused, match="Ask for proof again"):
            conversations.send_again(conversation=Conversation.objects.get(), by=cast.staff("support"), now=NOW)

    def test_words_to_staff_and_codes_make_no_task(self, alice):
        from messaging.services.outbox import queue_message

        for kind in ("staff_digest", "sign_in_code"):
            queue_message(kind=kind, recipient="x@atntcrm.example", context={}, now=NOW)
        OutgoingMessage.objects.update(state=MessageState.DEAD)
        assert open_tasks_for_failed_messages(now=NOW) == 0
        assert OutgoingMessage.objects.filter(noticed=True).count() == 2


class TestTheQueue:
    def test_is_empty_is_searched_and_filtered(self, alice):
        desk = cast.at_desk(cast.staff("support"))
        assert desk.get("/admin/cancellations/conversation/").status_code == 200
        row = cast.waits_for_an_answer(alice)
        for query in ("q=" + row.reference, "q=" + alice.email[:8], "todo__exact=answer", "state__exact=open"):
            assert row.reference in desk.get(f"/admin/cancellations/conversation/?{query}").content.decode(), query
        assert row.reference not in desk.get("/admin/cancellations/conversation/?todo__exact=maybe").content.decode()
        page = desk.get(f"{desk_of(row)}change/").content.decode()
        assert "Where is my invoice?" in page

    def test_is_shared_out(self, alice):
        row, sam = cast.waits_for_an_answer(alice), cast.staff("support")
        desk = cast.at_desk(sam)
        desk.post(f"{desk_of(row)}do/claim/", {})
        assert fresh(row).assigned_to == sam
        assert row.reference in desk.get("/admin/cancellations/conversation/?assigned=me").content.decode()
        with pytest.raises(RequestRefused):
            conversations.assign(conversation=row, to=cast.staff("finance"), by=sam, now=NOW)
        desk.post(f"{desk_of(row)}do/release/", {})
        assert fresh(row).assigned_to is None

    def test_what_waits_for_more_than_a_day_is_overdue(self, alice, settings):
        settings.STAFF_DIGEST_HOUR = -1
        cast.staff("support")
        row = cast.waits_for_an_answer(alice)
        assert notify_staff(now=NOW + 23 * HOUR) == 0
        assert notify_staff(now=NOW + 25 * HOUR) == 1
        told = OutgoingMessage.objects.get(kind="staff_overdue")
        assert f"{row.reference}, since 12 February 2026: answer it" in told.text
        assert notify_staff(now=NOW + 26 * HOUR) == 0

    def test_two_people_at_once(self, alice):
        row, sam, mara = cast.waits_for_an_answer(alice), cast.staff("support"), cast.staff("manager")
        page = cast.at_desk(sam).get(f"{desk_of(row)}do/answer/")
        seen = page.context["seen"]
        conversations.close(conversation=row, by=mara, words="Called.", now=NOW)
        answer = cast.at_desk(sam).post(f"{desk_of(row)}do/answer/", {"words": "Hello", "seen": seen})
        assert answer.status_code == 409
        assert "Closed by Mara" in answer.content.decode()
        assert "Hello" in answer.content.decode()
        assert not OutgoingMessage.objects.filter(kind="answer").exists()

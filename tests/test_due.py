"""One row never harms another: each kind of due work, with a row that fails and neighbours that go on."""

from contextlib import nullcontext
from datetime import timedelta
from itertools import count

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError
from django.db.backends.postgresql.base import DatabaseWrapper

from accounts.models import StaffAction
from billing.gateways import Answer
from billing.services import sending
from billing.services.review import approve, propose
from billing.services.sending import send, send_due
from cancellations.models import CancellationRequest, Erasure
from cancellations.services.conversations import open_tasks_for_failed_messages
from cancellations.services.enforcement import enforce
from cancellations.services.erasure import apply_retention
from cancellations.services.mail import read_due
from cancellations.services.reminders import notify_staff
from messaging.due import Run, Work
from messaging.inbound.mailboxes import Listed, source_of
from messaging.models import (
    Door,
    EventType,
    IncomingMessage,
    Mailbox,
    MessageState,
    OutgoingMessage,
    SetAside,
    WebhookDelivery,
    WebhookEndpoint,
)
from messaging.services import inbox
from messaging.services.inbox import store
from messaging.services.outbox import deliver_due, queue_message
from messaging.services.webhooks import add_endpoint, call_due, emit
from tests import cast
from tests.cast import NOW, fresh
from tests.databases import as_owner
from tests.webhooks.conftest import receiver  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(days=60)
_numbers = count(1)


def poison(row, operation="UPDATE", errcode="P0001"):
    """From now on the database refuses to change this row, or to insert any like it."""
    name, table = f"poison_{next(_numbers)}", row._meta.db_table
    which = "" if operation == "INSERT" else f"WHEN (OLD.{row._meta.pk.column}::text = '{row.pk}')"
    with as_owner() as cursor:
        cursor.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger AS $$ BEGIN RAISE 'broken row' "
            f"USING DETAIL = 'Zoe', ERRCODE = '{errcode}'; END $$ LANGUAGE plpgsql"
        )
        cursor.execute(
            f"CREATE TRIGGER {name} BEFORE {operation} ON {table} FOR EACH ROW {which} EXECUTE FUNCTION {name}()"
        )

    def cure():
        with as_owner() as cursor:
            cursor.execute(f"DROP TRIGGER {name} ON {table}")

    return cure


def set_aside():
    return [(row.work, row.key) for row in SetAside.objects.order_by("work", "key")]


class TestEnforcement:
    @pytest.mark.parametrize("place", [0, 3, 6])
    def test_requests_that_take_effect(self, place):
        rows = [cast.scheduled() for _ in range(7)]
        poison(rows[place].subscription)
        assert sorted(result.what for result in enforce(now=LATER)) == [*6 * ["effective"], "set aside"]
        assert "broken row" in fresh(rows[place]).enforcement_error
        assert enforce(now=LATER) == []

    def test_requests_that_are_superseded_do_not_hold_up_those_that_are_due(self):
        bad, good, due = cast.in_review(), cast.in_review(), cast.scheduled()
        for request in (bad, good):
            type(request.subscription).objects.filter(pk=request.subscription_id).update(
                ended_on=NOW.date(), ended_by="crm"
            )
        cure = poison(bad)
        assert [result.what for result in enforce(now=LATER)] == ["superseded", "effective"]
        assert set_aside() == [("requests.supersede", str(bad.pk)), ("requests.take_effect", str(bad.pk))]
        assert fresh(due).state == "effective"
        cure()
        SetAside.objects.all().delete()
        assert [result.what for result in enforce(now=LATER)] == ["superseded"]

    def test_many_bad_ones_among_many(self):
        rows = [cast.scheduled() for _ in range(20)]
        for row in rows[::3]:
            poison(row.subscription)
        enforce(now=LATER)
        assert CancellationRequest.objects.filter(state="effective").count() == 13

    def test_a_row_that_the_database_gives_up_stays_due_and_the_others_go_on(self):
        rows = [cast.scheduled() for _ in range(3)]
        cure = poison(rows[0].subscription, errcode="57014")  # as statement_timeout does
        assert [result.what for result in enforce(now=LATER)] == ["effective", "effective"]
        assert fresh(rows[0]).enforcement_error == ""
        cure()
        assert [result.what for result in enforce(now=LATER)] == ["effective"]


class Bank:
    def __init__(self):
        self.answer = Answer("paid", "re_1")

    def send(self, key, parts):
        return self.answer


class TestRefunds:
    @pytest.fixture
    def sent(self, monkeypatch):
        monkeypatch.setattr(sending, "gateway_name", lambda refund: "bank")
        monkeypatch.setattr(sending, "gateway_by_name", lambda name: Bank())
        fiona, frank = cast.staff("finance"), cast.staff("finance", "Frank")
        proposed = [propose(refund=cast.refund_requested(), basis="unused", by=fiona, now=NOW) for _ in range(4)]
        approved = [approve(refund=refund, by=frank, now=NOW) for refund in proposed]
        return [send(refund=refund, by=frank, now=NOW) for refund in approved]

    def test_a_lease_that_fails(self, sent):
        cure = poison(sent[0])
        assert send_due(now=NOW) == 3
        assert set_aside() == [("refunds.send", str(sent[0].pk))]
        assert send_due(now=LATER) == 0
        cure()
        SetAside.objects.all().delete()
        assert send_due(now=LATER) == 1

    def test_an_answer_that_cannot_be_recorded(self, sent, monkeypatch):
        real = sending._record

        def failing(refund, answer, now):
            if refund.pk == sent[0].pk:
                raise DatabaseError("broken row")
            return real(refund, answer, now)

        monkeypatch.setattr(sending, "_record", failing)
        assert send_due(now=NOW) == 3
        assert set_aside() == [("refunds.send", str(sent[0].pk))]
        assert fresh(sent[0]).state == "sending"


def failed_messages(number):
    request = cast.in_review()
    OutgoingMessage.objects.all().delete()
    made = [
        queue_message(
            kind="withdrawn", recipient=f"c{n}@customer.example", context={"reference": "x"}, now=NOW,
            about=request.declaration,
        )
        for n in range(number)
    ]  # fmt: skip
    OutgoingMessage.objects.update(state=MessageState.DEAD)
    return made


def test_messages_that_did_not_arrive():
    messages = failed_messages(5)
    poison(messages[1])
    assert open_tasks_for_failed_messages(now=NOW) == 4
    assert set_aside() == [("messages.notice_failed", str(messages[1].pk))]
    assert open_tasks_for_failed_messages(now=NOW) == 0


def test_messages_to_send(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    messages = [
        queue_message(kind="withdrawn", recipient=f"c{n}@customer.example", context={"reference": "x"}, now=NOW)
        for n in range(5)
    ]
    poison(messages[2])
    assert deliver_due(now=NOW) == 4
    assert set_aside() == [("messages.deliver", str(messages[2].pk))]


def test_webhooks(receiver):  # noqa: F811
    add_endpoint(name="CRM", url=receiver.url, event_types=list(EventType.values), now=NOW)
    for number in range(4):
        emit(type=EventType.SUBSCRIPTION_ENDED, subject=f"account:{number}", data={}, now=NOW)
    rows = list(WebhookDelivery.objects.order_by("pk"))
    poison(rows[0])
    assert call_due(now=NOW) == 3
    assert set_aside() == [("webhooks.call", str(rows[0].pk))]


def test_webhook_endpoints_that_fail(settings):
    settings.STAFF_DIGEST_HOUR, settings.STAFF_OVERDUE, settings.WEBHOOK_PRIVATE_TARGETS = -1, False, True
    for name in ("A", "B"):
        add_endpoint(name=name, url="http://127.0.0.1:1/", event_types=["refund.paid"], now=NOW)
    WebhookEndpoint.objects.update(failing_since=NOW)
    bad = WebhookEndpoint.objects.order_by("pk").first()
    poison(bad)
    notify_staff(now=NOW + timedelta(days=6))
    assert set_aside() == [("webhooks.warn", str(bad.pk))]
    assert WebhookEndpoint.objects.exclude(pk=bad.pk).get().state == "disabled"


def test_incoming_mail():
    cast.policy()
    raw = b"From: a@customer.example\r\nSubject: Hi\r\n\r\nWhere is my invoice?"
    mails = [store(raw=raw + b"!" * n, arrived_at=NOW, door=Door.COMMAND, now=NOW) for n in range(3)]
    first = min(mails, key=lambda mail: mail.pk)
    poison(first)
    assert read_due(now=NOW) == 2
    assert set_aside() == [("mails.read", str(first.pk))]
    assert set(IncomingMessage.objects.values_list("state", flat=True)) == {"waiting", "read"}


class TestRetention:
    @pytest.fixture
    def old(self, settings):
        settings.RETENTION_CASE_DAYS = 100
        made = []
        for _ in range(3):
            of = cast.subscription()
            type(of).objects.filter(pk=of.pk).update(ended_on=NOW.date(), ended_by="crm")
            made.append(of.account)
        return made

    def test_an_account_that_fails(self, old):
        poison(old[0])
        assert apply_retention(now=NOW + timedelta(days=200))["accounts"] == 2
        assert set_aside() == [("accounts.erase", str(old[0].pk))]

    def test_an_account_that_something_blocks_is_passed_and_is_no_task(self, old):
        queue_message(kind="withdrawn", recipient=old[0].email, context={"reference": "x"}, now=NOW)
        assert apply_retention(now=NOW + timedelta(days=200))["accounts"] == 2
        assert set_aside() == []
        assert not Erasure.objects.filter(account=old[0]).exists()


class TestStaff:
    @pytest.fixture
    def bad(self):
        messages = failed_messages(2)
        self.cure = poison(messages[0])
        open_tasks_for_failed_messages(now=NOW)
        return messages[0]

    def test_see_it_on_the_first_page_and_get_an_escalation(self, bad, settings):
        settings.STAFF_DIGEST_HOUR = -1
        desk = cast.at_desk(cast.staff("manager"))
        assert f"messages.notice_failed {bad.pk}" in desk.get("/admin/").content.decode()
        page = desk.get("/admin/messaging/setaside/").content.decode()
        assert "Open a task for a message that did not arrive" in page
        assert f"/admin/messaging/outgoingmessage/{bad.pk}/change/" in page
        assert notify_staff(now=NOW) == 1
        assert str(bad.pk) in OutgoingMessage.objects.get(kind="staff_overdue").text
        assert notify_staff(now=NOW + timedelta(hours=1)) == 0

    @pytest.mark.parametrize(("role", "tried"), [("support", 1), ("finance", 1), ("manager", 1)])
    def test_try_it_again_once_it_is_mended(self, bad, role, tried):
        row = SetAside.objects.get()
        self.cure()
        desk = cast.at_desk(cast.staff(role))
        desk.post("/admin/messaging/setaside/", {"action": "try_again", "_selected_action": [row.pk]})
        assert open_tasks_for_failed_messages(now=NOW) == tried
        assert set_aside() == []
        assert StaffAction.objects.get(verb="try_again").why == row.error

    def test_what_fails_again_is_set_aside_again(self, bad):
        desk = cast.at_desk(cast.staff("support"))
        desk.post(
            "/admin/messaging/setaside/", {"action": "try_again", "_selected_action": [SetAside.objects.get().pk]}
        )
        assert open_tasks_for_failed_messages(now=NOW) == 0
        assert len(set_aside()) == 1

    def test_the_error_holds_no_values_of_the_row(self):
        request = cast.scheduled()
        poison(request.subscription)
        enforce(now=LATER)
        assert fresh(request).enforcement_error == "InternalError: broken row"


class TestAMailbox:
    class Folder:
        uid_validity, mails = 7, {1: b"Subject: a\n\nb", 2: b"Subject: c\n\nd"}

        def after(self, uid):
            return [number for number in self.mails if number > uid]

        def listed(self, uids):
            return [Listed(uid, len(self.mails[uid]), NOW) for uid in uids]

        def content(self, uid, limit):
            return self.mails[uid]

    def test_a_mail_that_the_database_refuses_is_not_passed_over(self, monkeypatch):
        """Only "stored already" may be taken for stored."""
        monkeypatch.setattr(inbox, "open_folder", lambda source: nullcontext(self.Folder()))
        source = source_of("imaps://portal:x@mail.example/INBOX")
        cure = poison(IncomingMessage(), "INSERT", "23514")
        assert inbox.fetch(source=source, run=Run(NOW)) == 0
        mailbox = Mailbox.objects.get()
        assert mailbox.last_error.startswith("IntegrityError: broken row")
        assert mailbox.last_uid == 0
        cure()
        assert inbox.fetch(source=source, run=Run(NOW + timedelta(hours=1))) == 2
        assert Mailbox.objects.get().last_error == ""


class TestTheRunner:
    def numbers(self, process, **options):
        """Work on conversations of the cast's accounts, which stand for rows of any kind."""
        from accounts.models import Account

        due = options.pop("due", lambda now: Account.objects.filter(status="active").order_by("pk"))
        options = {"name": "test.work", "task": "test.task", "label": "test", "batch": 4} | options
        try:
            return Work(due=due, process=process, **options)
        finally:
            Work.registry.pop("test.work", None)

    def test_a_lost_connection_ends_the_run_and_sets_nothing_aside(self, monkeypatch):
        cast.account()

        def lose(keys, now):
            monkeypatch.setattr(DatabaseWrapper, "is_usable", lambda self: False)
            raise OperationalError("server closed the connection unexpectedly")

        with pytest.raises(OperationalError):
            list(self.numbers(lose).results(Run(NOW)))
        assert set_aside() == []

    def test_rows_that_stay_due_are_seen_once_a_run(self):
        holders = [cast.account() for _ in range(10)]
        seen = []
        work = self.numbers(lambda keys, now: seen.append(keys) or [], order=("pk",))
        assert list(work.results(Run(NOW))) == []
        assert [key for keys in seen for key in keys] == [holder.pk for holder in holders]

    def test_a_run_that_is_over_ends_after_its_batch_and_wakes_the_next(self, monkeypatch):
        from messaging import due

        woken = []
        monkeypatch.setattr(due, "wake", woken.append)
        for _ in range(10):
            cast.account()
        work = self.numbers(lambda keys, now: [len(keys)], order=("pk",))
        assert list(work.results(Run(NOW, seconds=0))) == [4]
        assert woken == ["test.task"]

    def test_what_a_failed_half_had_written_is_undone(self):
        from accounts.models import Account

        holders = [cast.account() for _ in range(4)]

        def close(keys, now):
            for key in keys:
                Account.objects.filter(pk=key).update(status="closed")
                if key == holders[2].pk:
                    raise ValueError("bad row")
            return keys

        work = self.numbers(close, order=("pk",))
        assert list(work.results(Run(NOW))) == [holders[0].pk, holders[1].pk, holders[3].pk]
        assert [fresh(holder).status for holder in holders] == ["closed", "closed", "active", "closed"]
        assert SetAside.objects.get().error == "ValueError: bad row"

    def test_the_time_is_that_of_the_batch(self, monkeypatch):
        for _ in range(5):
            cast.account()
        times = []
        clock = iter(range(0, 1000, 10))
        monkeypatch.setattr("messaging.due.time.monotonic", lambda: next(clock))
        list(self.numbers(lambda keys, now: times.append(now) or [], order=("pk",)).results(Run(NOW)))
        assert times[0] > NOW
        assert times[1] > times[0]


def test_the_command_goes_on_behind_a_bad_row(capsys):
    bad, good = cast.scheduled(), cast.scheduled()
    poison(bad.subscription)
    call_command("enforce", now=LATER.isoformat())
    assert f"{good.reference}  effective" in capsys.readouterr().out

"""Webhooks to a receiver that verifies them with the library of the standard."""

import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from standardwebhooks.webhooks import WebhookVerificationError

from billing.services.review import approve, propose
from billing.services.sending import settle
from cancellations.models import Kind
from cancellations.services.reminders import notify_staff
from cancellations.services.submission import verify, withdraw
from cancellations.services.termination import reverse
from messaging.due import Run
from messaging.models import EventType, OutgoingMessage, WebhookDelivery, WebhookEndpoint, WebhookEvent
from messaging.outbound import targets
from messaging.outbound.targets import Refused, is_public, post
from messaging.services import webhooks
from messaging.services.webhooks import (
    RETRY_AFTER,
    EndpointRefused,
    add_endpoint,
    call_due,
    emit,
    enable,
    rotate_secret,
    secrets_of,
    send_again,
)
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def endpoint(receiver):
    return add_endpoint(name="CRM", url=receiver.url, event_types=list(EventType.values), now=NOW)


def happen(subject="account:AT-1", now=NOW, **data):
    emit(type=EventType.SUBSCRIPTION_ENDED, subject=subject, data=data, now=now)


class TestWhatIsSent:
    def test_is_signed_by_the_standard(self, endpoint, receiver):
        with time_machine.travel(NOW, tick=False):
            happen(ended_on="2026-02-28")
            assert call_due(now=timezone.now()) == 1
            told = receiver.verify(secrets_of(endpoint, NOW)[0])
        assert told == {
            "type": "subscription.ended", "version": "1", "timestamp": "2026-02-12T13:07:31Z",
            "subject": "account:AT-1", "data": {"ended_on": "2026-02-28"},
        }  # fmt: skip
        assert fresh(WebhookDelivery.objects.get()).state == "delivered"

    def test_a_wrong_secret_does_not_fit(self, endpoint, receiver):
        other = add_endpoint(name="Other", url=receiver.url, event_types=["policy.published"], now=NOW)
        with time_machine.travel(NOW, tick=False):
            happen()
            call_due(now=timezone.now())
            with pytest.raises(WebhookVerificationError):
                receiver.verify(secrets_of(other, NOW)[0])

    def test_after_a_rotation_both_secrets_fit_for_a_day(self, endpoint, receiver):
        old = secrets_of(endpoint, NOW)[0]
        rotate_secret(endpoint=endpoint, now=NOW)
        with pytest.raises(EndpointRefused):
            rotate_secret(endpoint=endpoint, now=NOW)
        with time_machine.travel(NOW, tick=False):
            happen()
            call_due(now=timezone.now())
            for secret in (old, secrets_of(fresh(endpoint), NOW)[0]):
                receiver.verify(secret)
        with time_machine.travel(NOW + 2 * DAY, tick=False):
            happen(now=timezone.now())
            call_due(now=timezone.now())
            with pytest.raises(WebhookVerificationError):
                receiver.verify(old)

    def test_a_secret_does_not_lie_open_in_the_database(self, endpoint):
        assert "whsec_" not in endpoint.secret_sealed
        assert secrets_of(endpoint, NOW)[0].startswith("whsec_")

    def test_a_repeat_has_the_same_id_and_body(self, endpoint, receiver):
        receiver.answers = [(503, {})]
        happen(name="Zoë")
        call_due(now=NOW)
        call_due(now=NOW + timedelta(minutes=1))
        (first, body), (second, again) = receiver.got
        assert (first["webhook-id"], body) == (second["webhook-id"], again)

    def test_nothing_is_told_of_what_did_not_happen(self, endpoint):
        with transaction.atomic():
            happen()
            transaction.set_rollback(True)
        assert not WebhookEvent.objects.exists()


class TestOrder:
    def test_a_subject_waits_for_what_came_before_and_others_do_not(self, endpoint, receiver):
        receiver.answers = [(500, {})]
        happen(n=1)
        happen(n=2)
        happen(subject="account:AT-2", n=3)
        assert call_due(now=NOW) == 1
        assert [event["data"]["n"] for event in receiver.events()] == [1, 3]
        assert call_due(now=NOW + timedelta(minutes=1)) == 2
        assert [event["data"]["n"] for event in receiver.events()] == [1, 3, 1, 2]

    def test_retries_go_on_for_three_days_and_then_let_the_next_pass(self, endpoint, receiver):
        receiver.answers = [(500, {})] * (len(RETRY_AFTER) + 5)
        happen(n=1)
        moment = NOW
        while (row := WebhookDelivery.objects.get()).state == "pending":
            moment = row.due_at
            call_due(now=moment)
        assert (row.state, moment - NOW) == ("given_up", timedelta(days=3))
        assert row.attempts > 8
        receiver.answers = []
        happen(n=2, now=moment)
        assert call_due(now=moment) == 1
        assert send_again(delivery=row, now=moment)
        assert call_due(now=moment) == 1
        assert receiver.events()[-1]["data"] == {"n": 1}

    def test_a_receiver_may_ask_for_time(self, endpoint, receiver):
        receiver.answers = [(429, {"Retry-After": "900"})]
        happen()
        call_due(now=NOW)
        assert WebhookDelivery.objects.get().due_at == NOW + timedelta(seconds=900)

    def test_a_worker_that_died_is_followed_by_another(self, endpoint, receiver):
        happen()
        WebhookDelivery.objects.update(due_at=NOW + timedelta(minutes=2))  # as a dead worker leaves it: leased
        assert call_due(now=NOW) == 0
        assert call_due(now=NOW + timedelta(minutes=2)) == 1


class TestLongFailure:
    def test_warns_after_a_day_and_disables_after_five(self, endpoint, receiver, settings):
        settings.STAFF_DIGEST_HOUR, settings.STAFF_OVERDUE = -1, False
        cast.User.objects.create_user("admin@desk.example", "a-long-password", is_staff=True).groups.add(
            cast.Group.objects.get(name="administrator")
        )
        receiver.answers = [(500, {})] * 99
        happen()
        call_due(now=NOW)
        assert notify_staff(now=NOW + timedelta(hours=23)) == 0
        assert notify_staff(now=NOW + DAY) == 1
        assert notify_staff(now=NOW + DAY + timedelta(hours=1)) == 0
        assert fresh(endpoint).state == "active"
        assert notify_staff(now=NOW + 5 * DAY) == 1
        assert fresh(endpoint).state == "disabled"
        told = OutgoingMessage.objects.order_by("created_at", "written_at").values_list("subject", flat=True)
        assert list(told) == ["A webhook endpoint is failing: CRM", "A webhook endpoint was disabled: CRM"]

    def test_enabling_locks_in_the_order_of_the_worker(self, endpoint, receiver):
        """The worker holds a delivery when it records on the endpoint that the call failed."""
        receiver.answers = [(410, {})]
        happen(n=2)
        call_due(now=NOW)
        with CaptureQueriesContext(connection) as queries:
            enable(endpoint=endpoint, now=NOW + DAY)
        locks = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
        assert [sql.partition(' FROM "')[2].partition('"')[0] for sql in locks] == [
            "messaging_webhookdelivery",
            "messaging_webhookendpoint",
        ]

    def test_while_disabled_nothing_is_lost(self, endpoint, receiver):
        receiver.answers = [(410, {})]
        happen(n=1)
        call_due(now=NOW)
        assert fresh(endpoint).state == "disabled"
        happen(n=2)
        assert call_due(now=NOW + DAY) == 0
        enable(endpoint=endpoint, now=NOW + DAY)
        assert call_due(now=NOW + DAY) == 2
        assert [event["data"]["n"] for event in receiver.events()] == [1, 1, 2]

    def test_one_success_forgets_it(self, endpoint, receiver):
        receiver.answers = [(500, {})]
        happen()
        call_due(now=NOW)
        assert fresh(endpoint).failing_since == NOW
        call_due(now=NOW + DAY)
        assert fresh(endpoint).failing_since is None


class TestWhereItMayLead:
    @pytest.mark.parametrize(
        "url",
        ["http://crm.example.com/", "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.7/", "https://169.254.169.254/",
         "https://192.168.1.1/", "https://[::ffff:10.0.0.1]/", "https://[fd00::1]/", "https://0.0.0.0/", "https://localhost/",
         "https://100.64.0.1/", "https://[64:ff9b::7f00:1]/", "https://user:pw@crm.example.com/", "ftp://crm.example.com/",
         "https://", "https://crm.example.com:0/", "https://224.0.0.1/", "file:///etc/passwd", "javascript:alert(1)"],
    )  # fmt: skip
    def test_not_into_our_own_network(self, url):
        with pytest.raises(EndpointRefused):
            add_endpoint(name="X", url=url, event_types=["policy.published"], now=NOW)
        assert not WebhookEndpoint.objects.exists()

    @pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "169.254.169.254", "::ffff:127.0.0.1"])
    def test_not_by_a_name_that_leads_there(self, monkeypatch, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        answer = [(family, socket.SOCK_STREAM, 6, "", (address, 443))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer)  # the world's names, not our code
        with pytest.raises(Refused):
            post("https://innocent.example.com/", b"{}", {})

    @pytest.mark.parametrize(
        "address",
        ["fec0::1", "fe80::1", "fd00::1", "::", "::1", "ff0e::1", "100::1", "2001:db8::1", "3fff::1", "5f00::1",
         "4000::1", "2001::1", "2001:2::1", "2001:20::1", "2620:4f:8000::1", "192.88.99.1", "192.0.0.9", "192.31.196.1",
         "198.18.0.1", "203.0.113.1", "100.64.0.1", "240.0.0.1", "255.255.255.255",
         "224.0.1.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::",
         "2002:0808:0808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    )  # fmt: skip
    def test_no_special_block_is_public(self, address):
        assert not is_public(ip_address(address))

    @pytest.mark.parametrize(
        "address", ["93.184.216.34", "1.1.1.1", "192.88.98.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
    )
    def test_addresses_of_the_internet_are_public(self, address):
        assert is_public(ip_address(address))

    def test_a_name_of_several_addresses_is_judged_by_each(self, monkeypatch):
        answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in ("93.184.216.34", "10.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer)
        with pytest.raises(Refused):
            post("https://innocent.example.com/", b"{}", {})

    def test_no_redirect_is_followed(self, endpoint, receiver):
        receiver.answers = [(302, {"Location": receiver.url + "/elsewhere"})]
        happen()
        call_due(now=NOW)
        row = WebhookDelivery.objects.get()
        assert (row.state, row.last_status, len(receiver.got), receiver.seen) == ("pending", 302, 1, [])
        assert "do not follow redirects" in row.last_error

    def test_without_the_setting_a_private_endpoint_is_called_no_more(self, endpoint, receiver, settings):
        settings.WEBHOOK_PRIVATE_TARGETS = False
        happen()
        assert call_due(now=NOW) == 0
        assert receiver.got == []


class TestWhatHappens:
    """Each event, from the deed to the receiver."""

    @pytest.fixture
    def heard(self, endpoint, receiver):
        def told(now=NOW + 400 * DAY):
            call_due(now=now)
            return receiver.types()

        return told

    def test_a_cancellation_from_receipt_to_end(self, heard, receiver):
        of = cast.subscription()
        cast.policy()
        request = cast.scheduled(of)
        cast.pass_time(request.effective_at)
        assert heard() == ["policy.published", "request.received", "request.scheduled", "subscription.ended"]
        data = receiver.events()[1]["data"]
        assert data["received_at"] == "2026-02-12T13:07:31+00:00"
        assert (data["account_number"], data["on_time"], data["effective_on"]) == (
            of.account.account_number,
            True,
            "2026-02-28",
        )
        assert len({event["subject"] for event in receiver.events()[1:]}) == 1

    def test_a_guests_is_told_once_it_is_proven(self, heard):
        request = cast.unverified(cast.subscription().account)
        assert "request.received" not in heard()
        verify(request=request, now=NOW)
        assert heard()[-1] == "request.received"

    def test_what_is_taken_back(self, heard):
        request = cast.in_review()
        withdraw(requests=[request], now=NOW)
        assert heard()[-1] == "request.withdrawn"

    def test_a_termination_and_its_reversal(self, heard, receiver):
        of = cast.subscription()
        made = cast.terminated(of.account)
        reverse(termination=made, by=cast.staff("manager"), ground="It was somebody else.", now=NOW)
        assert heard()[1:] == ["account.terminated", "subscription.ended", "account.reinstated"]
        assert receiver.events()[1]["data"]["subscriptions"] == [of.reference]
        assert receiver.events()[2]["data"]["cause"] == "termination"

    def test_a_refund(self, heard, receiver):
        refund = propose(refund=cast.refund_requested(), by=cast.staff("finance"), basis="unused", now=NOW)
        approve(refund=refund, by=cast.staff("finance", "Frank"), now=NOW)
        settle(refund=fresh(refund), by=cast.staff("finance", "Frank"), reference="TRF 1", paid_on=NOW.date(), now=NOW)
        assert heard() == ["refund.approved", "refund.paid"]
        data = receiver.events()[1]["data"]
        assert (data["amount"], data["currency"], data["paid_on"]) == ("20.00", "EUR", "2026-02-12")
        assert data["lines"] == [{"payment": refund.lines.get().payment.reference, "amount": "20.00"}]

    def test_a_cooling_off_cancellation_has_its_end_at_once(self, heard):
        of = cast.subscription(started_on=NOW.date(), billing_anchor=NOW.date())
        cast.policy(cooling_off_days=14)
        cast.in_review(of, kind=Kind.COOLING_OFF)
        assert heard()[1:] == ["request.received", "request.scheduled"]

    def test_an_endpoint_hears_only_what_it_chose(self, receiver):
        cast.policy()
        add_endpoint(name="Books", url=receiver.url, event_types=["refund.paid"], now=NOW)
        cast.scheduled()
        assert not WebhookDelivery.objects.exists()


class TestAtTheDesk:
    @pytest.fixture
    def desk(self, client):
        person = cast.User.objects.create_user("admin@desk.example", "a-long-password", is_staff=True)
        person.groups.add(cast.Group.objects.get(name="administrator"))
        return cast.at_desk(person, client)

    def test_an_endpoint_is_added_and_its_secret_is_shown_to_whoever_keeps_it(self, desk, settings):
        given = {"name": "CRM", "url": "https://crm.example.com/in", "event_types": ["refund.paid", "policy.published"]}
        answer = desk.post("/admin/messaging/webhookendpoint/add/", given)
        page = desk.get(answer.url).content.decode()
        assert secrets_of(WebhookEndpoint.objects.get(), NOW)[0] in page
        manager = cast.at_desk(cast.staff("manager"))
        assert manager.get(answer.url).status_code == 403

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"url": "https://10.0.0.1/"}, "not a public address"),
            ({"url": "http://crm.example.com/"}, "begin with https"),
            ({"url": "nonsense"}, "Enter an address like"),
            ({"event_types": []}, "Choose the events to send"),
            ({"event_types": ["refund.burnt"]}, "is not one of the available choices"),
            ({"name": "Old"}, "Another endpoint has this name"),
        ],
    )
    def test_what_is_wrong_is_said_and_what_was_typed_stays(self, desk, changed, said):
        add_endpoint(name="Old", url="https://old.example.com/", event_types=["refund.paid"], now=NOW)
        given = {"name": "CRM", "url": "https://crm.example.com/in", "event_types": ["refund.paid"], **changed}
        answer = desk.post("/admin/messaging/webhookendpoint/add/", given)
        assert answer.status_code == 422
        page = answer.content.decode()
        assert said in page
        assert f'value="{given["name"]}"' in page
        assert WebhookEndpoint.objects.count() == 1

    def test_a_delivery_is_sent_again(self, desk, endpoint, receiver):
        happen()
        call_due(now=NOW)
        row = WebhookDelivery.objects.get()
        desk.post(f"/admin/messaging/webhookdelivery/{row.pk}/do/send-again/", {})
        assert fresh(row).state == "pending"
        call_due(now=timezone.now())
        assert len(receiver.got) == 2
        assert "subscription.ended" in desk.get(f"/admin/messaging/webhookdelivery/{row.pk}/change/").content.decode()

    def test_the_deeds_are_in_the_audit(self, desk):
        from accounts.models import StaffAction

        given = {"name": "CRM", "url": "https://crm.example.com/in", "event_types": ["refund.paid"]}
        made = desk.post("/admin/messaging/webhookendpoint/add/", given).url
        base = made.removesuffix("change/")
        desk.post(base + "do/rotate/", {})
        desk.post(base + "do/disable/", {"why": "It moves"})
        desk.post(base + "do/enable/", {})
        told = list(StaffAction.objects.filter(about="CRM").order_by("pk").values_list("verb", flat=True))
        assert told == ["webhook_add", "webhook_rotate", "webhook_disable", "webhook_enable"]


class TestASlowReceiver:
    """It holds up neither other endpoints nor a worker."""

    @pytest.fixture
    def slow(self, settings):
        settings.WEBHOOK_PRIVATE_TARGETS = True
        with Dripping() as address:
            yield add_endpoint(name="Slow", url=address, event_types=list(EventType.values), now=NOW)

    def test_that_drips_is_ended_by_the_total_time(self, slow, monkeypatch):
        monkeypatch.setattr(targets, "TOTAL_SECONDS", 0.3)
        happen()
        assert call_due(now=NOW) == 0
        assert "not complete after 0.3 seconds" in WebhookDelivery.objects.get().last_error

    def test_rests_while_others_are_called(self, slow, receiver, monkeypatch):
        monkeypatch.setattr(targets, "TOTAL_SECONDS", 0.2)
        monkeypatch.setattr(webhooks, "SLOW_SECONDS", 0.1)
        for number in range(20):
            happen(subject=f"account:{number}")
        healthy = add_endpoint(name="Healthy", url=receiver.url, event_types=list(EventType.values), now=NOW)
        happen(subject="account:later")
        call_due(now=NOW, seconds=1.5)
        assert healthy.deliveries.get().state == "delivered"
        assert slow.deliveries.filter(attempts__gt=0).count() < 5
        assert fresh(slow).next_call_at > NOW

    def test_is_called_once_at_a_time(self, slow):
        WebhookEndpoint.objects.filter(pk=slow.pk).update(next_call_at=NOW - timedelta(seconds=1))
        happen(subject="account:1"), happen(subject="account:2")
        first = next(webhooks.CALLS.results(Run(NOW)))
        assert first.endpoint == slow
        assert list(webhooks.CALLS.results(Run(NOW))) == []

    def test_that_is_quick_again_does_not_rest(self, endpoint):
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(next_call_at=NOW - timedelta(seconds=1))
        happen()
        assert call_due(now=NOW) == 1
        assert fresh(endpoint).next_call_at is None


class Dripping:
    """Answers a byte every 50 milliseconds, and never ends."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/"

    def __exit__(self, *_):
        self.socket.close()

    def _serve(self):
        with suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                threading.Thread(target=self._drip, args=[client], daemon=True).start()

    def _drip(self, client):
        with suppress(OSError), client:
            while True:
                client.send(b"H")
                time.sleep(0.05)

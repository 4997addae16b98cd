"""The law's dates beside the policy's: on pages, in mails, frozen in the row, and enforced."""

from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pytest
import time_machine
from django.test import Client

from billing.models import Refund, Subscription
from billing.rules.periods import Interval, start_of_day
from cancellations.models import CancellationRequest, Kind
from cancellations.queries.outcomes import outcome
from cancellations.services.common import RequestRefused
from cancellations.services.enforcement import enforce
from cancellations.services.mail import read_due
from cancellations.services.review import change_kind, waive_notice
from cancellations.services.submission import verify
from messaging.models import Door, OutgoingMessage
from messaging.services.inbox import store
from tests import cast
from tests.cast import fresh

pytestmark = pytest.mark.django_db
D = date.fromisoformat


@pytest.fixture(autouse=True)
def policy(db):
    return cast.policy()


def at(day, hour=12):
    return datetime.combine(D(day), datetime.min.time(), tzinfo=UTC) + timedelta(hours=hour)


def contract(country, started, unit="year", anchor=None, customer="consumer", **fields):
    holder = cast.account(country=country, customer_type=customer)
    return cast.subscription(
        holder,
        started_on=D(started),
        billing_anchor=D(anchor or started),
        interval_unit=unit,
        **{name: D(value) if isinstance(value, str) else value for name, value in fields.items()},
    )


def signed_in(of):
    client = Client()
    client.force_login(cast.User.objects.filter(email=of.account.email).first() or cast.customer(of.account))
    return client


class TestAnEndOfTheCompanysOwnSystem:
    def test_an_earlier_one_stands_on_page_mail_and_row(self):
        of = contract("AT", "2026-01-31", "month")
        of.ended_on, of.ended_by = D("2026-03-15"), "crm"
        of.save()
        with time_machine.travel(at("2026-02-20"), tick=False):
            account_page = signed_in(of).get("/subscriptions/").content.decode()
            request = cast.in_review(of, at("2026-02-20"))
            page = signed_in(of).get(f"/requests/{request.reference}/").content.decode()
        assert "already has an end in our records" in account_page
        assert request.effective_on == D("2026-03-15")
        for text in (page, OutgoingMessage.objects.get(kind="received").text):
            assert "By your cancellation alone, your subscription would end on 31 March 2026" in text
            assert "an earlier end of this subscription, 15 March 2026. That end stands." in text
        enforce(now=at("2026-03-16"))
        assert (fresh(request).state, fresh(of).ended_on) == ("effective", D("2026-03-15"))

    def test_one_that_arrives_later_is_named_at_once(self):
        of = contract("AT", "2026-01-31", "month")
        request = cast.in_review(of, at("2026-02-20"))
        Subscription.objects.update(ended_on=D("2026-03-15"), ended_by="crm")
        with time_machine.travel(at("2026-02-21"), tick=False):
            page = signed_in(of).get(f"/requests/{request.reference}/").content.decode()
        assert "Our records now have an earlier end of this subscription: <strong>15" in page
        assert request.effective_on == D("2026-03-31")


class TestAMonthAfterTheTerm:
    def test_page_mail_receipt_and_row_show_both_dates_and_the_source(self):
        of = contract("DE", "2024-06-01")
        with time_machine.travel(at("2026-06-10"), tick=False):
            request = cast.in_review(of, at("2026-06-10"))
            page = signed_in(of).get(f"/requests/{request.reference}/").content.decode()
        assert (request.effective_on, request.law_end_on) == (D("2026-07-11"), D("2026-07-11"))
        assert request.law_source == "BGB § 309 Nr. 9"
        mail = OutgoingMessage.objects.get(kind="received").text
        for text in (page, mail):
            assert "By the policy, your subscription ends on 1 June 2027" in text
            assert "By the law (BGB § 309 Nr. 9), it ends on 11 July 2026" in text
        enforce(now=at("2026-07-12"))
        assert fresh(of).ended_on == D("2026-07-11")

    def test_the_frozen_end_stays_when_the_facts_change(self):
        of = contract("DE", "2024-06-01")
        request = cast.in_review(of, at("2026-06-10"))
        of.account.customer_type = "business"
        of.account.save()
        enforce(now=at("2026-07-12"))
        assert (fresh(request).state, fresh(of).ended_on) == ("effective", D("2026-07-11"))

    def test_the_setting_says_how_an_unknown_customer_counts(self, settings, policy):
        of = contract("DE", "2024-06-01", customer="unknown")
        assumed = outcome(of, received_at=at("2026-06-10"), policy=policy)
        assert (assumed.effective_on, assumed.end.is_by_law) == (D("2026-07-11"), True)
        assert "so we assumed that you are a consumer" in " ".join(assumed.assessment.explanation)
        settings.UNKNOWN_CUSTOMERS = "business"
        assert outcome(of, received_at=at("2026-06-10"), policy=policy).effective_on == D("2027-06-01")

    def test_late_notice_cannot_be_waived_to_a_later_date(self):
        of = contract("DE", "2024-06-01")
        request = cast.in_review(of, at("2026-05-25"))
        assert (request.on_time, request.effective_on) == (False, D("2026-06-26"))
        waived = waive_notice(request=request, by=cast.staff("support"), ground="Ill.", now=at("2026-05-26"))
        assert waived.effective_on == D("2026-06-01")
        again = cast.in_review(contract("DE", "2024-06-01", unit="month"), at("2026-05-25"))
        with pytest.raises(RequestRefused):
            waive_notice(request=again, by=cast.staff("support"), ground=" ", now=at("2026-05-26"))


class TestAtOnce:
    """Renewed on 1 June 2026, and nobody reminded the customer."""

    def test_it_ends_at_the_time_of_receipt_and_the_unused_part_is_due_within_30_days(self):
        of = contract("FR", "2024-06-01")
        cast.payment(of, D("2026-06-01"), D("2027-06-01"), cast.euros("365"))
        received = at("2026-08-20")
        with time_machine.travel(received, tick=False):
            client = signed_in(of)
            page = client.get("/subscriptions/").content.decode()
            assert "any day: it ends at once" in page
            assert client.get("/subscriptions/cancel-by.ics", {"subscription": of.reference}).status_code == 404
        request = cast.in_review(of, received)
        assert (request.state, request.effective_at, request.at_once) == ("scheduled", received, True)
        enforce(now=received + timedelta(minutes=1))
        refund = Refund.objects.get()
        assert (fresh(of).ended_on, refund.pay_by_on) == (D("2026-08-20"), D("2026-09-19"))
        assert refund.computed_basis == "unused"
        assert fresh(request).refund_quoted == cast.euros("285")  # 285 of 365 days

    def test_a_requested_end_date_counts(self):
        of = contract("FR", "2024-06-01")
        request = cast.in_review(of, at("2026-08-20"), requested_end=D("2026-10-15"))
        assert (request.effective_on, request.at_once, request.state) == (D("2026-10-15"), False, "in_review")
        assert request.effective_at == start_of_day(D("2026-10-15"), of.account.time_zone)

    def test_a_reminder_that_is_recorded_leaves_the_policys_date(self):
        of = contract("FR", "2024-06-01", reminded_on="2026-04-15")
        assert cast.in_review(of, at("2026-08-20")).effective_on == D("2027-06-01")


class TestTheCoolingOffDays:
    @pytest.mark.parametrize(
        ("country", "customer", "started", "last"),
        [
            ("DE", "consumer", "2026-06-01", "2026-06-15"),
            ("FR", "consumer", "2026-06-06", "2026-06-22"),
            ("GB", "consumer", "2026-06-06", "2026-06-20"),
            ("FR", "business", "2026-06-06", "2026-06-20"),
            ("DE", "consumer", "2026-12-11", "2026-12-28"),
        ],
    )
    def test_on_the_last_day_it_ends_at_once_and_one_day_later_it_counts_as_ordinary(
        self, country, customer, started, last, policy
    ):
        of = contract(country, started, unit="month", customer=customer)
        in_time = outcome(of, received_at=at(last, 21), policy=policy, kind=Kind.COOLING_OFF)
        assert (in_time.kind, in_time.effective_at, in_time.at_once) == (Kind.COOLING_OFF, at(last, 21), True)
        after = at(last, 21) + timedelta(days=1)
        assert outcome(of, received_at=after, policy=policy, kind=Kind.COOLING_OFF).kind == Kind.ORDINARY
        request = cast.in_review(of, at(last, 21), kind=Kind.COOLING_OFF)
        assert (request.state, request.effective_at) == ("scheduled", at(last, 21))

    def test_a_later_conclusion_counts(self, policy):
        of = contract("AT", "2026-06-01", concluded_on="2026-06-10")
        assert outcome(of, received_at=at("2026-06-24"), policy=policy, kind=Kind.COOLING_OFF).kind == Kind.COOLING_OFF

    @pytest.mark.parametrize(
        ("country", "customer", "pay_by"),
        [
            ("GB", "consumer", D("2026-06-19")),
            ("DE", "consumer", D("2026-06-19")),
            ("GB", "business", None),
            ("US", "consumer", None),
        ],
    )
    def test_the_money_is_due_within_14_days_where_the_law_says_so(self, country, customer, pay_by):
        of = contract(country, "2026-06-01", unit="month", customer=customer)
        cast.payment(of, D("2026-06-01"), D("2026-07-01"))
        cast.in_review(of, at("2026-06-05"), kind=Kind.COOLING_OFF)
        enforce(now=at("2026-06-05", 13))
        assert Refund.objects.get().pay_by_on == pay_by

    @pytest.mark.parametrize(("requested_on", "basis", "sum_"), [(None, "full", "30"), ("2026-06-01", "unused", "26")])
    def test_who_asked_to_start_at_once_pays_for_the_days_used(self, requested_on, basis, sum_):
        facts = {"start_requested_on": requested_on} if requested_on else {}
        of = contract("DE", "2026-06-01", unit="month", **facts)
        cast.payment(of, D("2026-06-01"), D("2026-07-01"))
        request = cast.in_review(of, at("2026-06-05"), kind=Kind.COOLING_OFF)
        enforce(now=at("2026-06-05", 13))
        assert (Refund.objects.get().computed_basis, request.refund_quoted) == (basis, cast.euros(sum_))


class TestAMailThatWasSentInTimeAndArrivedLater:
    def declared(self, sent, arrived):
        of = contract("DE", "2026-06-01", unit="month")
        raw = (
            f"From: <{of.account.email}>\r\nSubject: Widerruf\r\nMessage-ID: <w@c>\r\n"
            f"Date: {format_datetime(sent)}\r\n\r\nHiermit widerrufe ich den Vertrag {of.account.account_number}."
        )
        store(raw=raw.encode(), arrived_at=arrived, door=Door.COMMAND, now=arrived)
        read_due(now=arrived)
        request = CancellationRequest.objects.get()
        verify(request=request, identifier=of.account.account_number, now=arrived)
        return fresh(request)

    def test_it_goes_to_review_with_both_times(self, client):
        request = self.declared(at("2026-06-15", 20), at("2026-06-16", 9))
        assert (request.kind_declared, request.kind, request.state) == ("cooling_off", "ordinary", "in_review")
        assert (request.sent_at, request.received_at) == (at("2026-06-15", 20), at("2026-06-16", 9))
        with time_machine.travel(at("2026-06-16", 10), tick=False):
            desk = cast.at_desk(cast.staff("support"))
            page = desk.get(f"/admin/cancellations/cancellationrequest/{request.pk}/change/").content.decode()
        assert "Sent within the cooling-off days, arrived later" in page
        assert "15 June 2026, 22:00" in page
        assert "16 June 2026, 11:00" in page

    def test_staff_decide_that_the_day_of_sending_counts(self):
        request = self.declared(at("2026-06-15", 20), at("2026-06-16", 9))
        changed = change_kind(
            request=request,
            by=cast.staff("support"),
            kind=Kind.COOLING_OFF,
            ground="Sent in time.",
            now=at("2026-06-17"),
        )
        assert (changed.kind, changed.sending_counts) == (Kind.COOLING_OFF, True)
        assert changed.effective_at == at("2026-06-16", 9)
        enforce(now=at("2026-06-17"))
        assert fresh(changed).state == "effective"

    def test_a_mail_that_was_sent_too_late_cannot_count_so(self):
        request = self.declared(at("2026-06-16", 8), at("2026-06-16", 9))
        with pytest.raises(RequestRefused, match="The cooling-off days were over"):
            change_kind(
                request=request, by=cast.staff("support"), kind=Kind.COOLING_OFF, ground="Kind.", now=at("2026-06-17")
            )

    def test_a_time_of_sending_after_the_arrival_is_no_fact(self):
        assert self.declared(at("2026-06-17", 8), at("2026-06-16", 9)).sent_at is None


def test_the_law_of_the_day_of_receipt_counts_whenever_it_is_decided(policy):
    of = contract("IT", "2020-06-01")
    before, after = at("2023-12-30"), at("2023-12-31")
    assert outcome(of, received_at=before, policy=policy).end.law is None
    assert outcome(of, received_at=after, policy=policy).at_once


def test_of_a_minimum_term_the_page_names_the_last_day_that_works():
    of = contract("AT", "2026-01-31", unit="month", minimum_term_ends_on="2026-06-30")
    with time_machine.travel(at("2026-02-12"), tick=False):
        client = signed_in(of)
        page = client.get("/subscriptions/").content.decode()
        file = client.get("/subscriptions/cancel-by.ics", {"subscription": of.reference}).content.decode()
    assert "for the end of the minimum term, 30 June 2026" in page
    assert "20260620" in file
    assert "for 30 June 2026" in file.replace("\r\n ", "")
    request = cast.in_review(of, at("2026-02-12"))
    assert (request.deadline_on, request.deadline_for, request.effective_on) == (
        D("2026-06-20"),
        D("2026-06-30"),
        D("2026-06-30"),
    )
    assert Subscription.objects.get().interval == Interval("month")

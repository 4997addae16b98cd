"""Reminders of renewals: in the window of the law, once, in bulk, recorded, and seen by the law's date."""

from datetime import UTC, date, datetime, timedelta

import pytest

from cancellations.models import RenewalReminder, RenewalRun
from cancellations.queries.outcomes import outcome
from cancellations.rules.reminders import reminder_rule
from cancellations.services.renewals import remind_of_renewals
from messaging.models import OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
D = date.fromisoformat


@pytest.fixture(autouse=True)
def policy(db):
    return cast.policy(notice_days=10)


def at(day):
    return datetime.combine(D(day), datetime.min.time(), tzinfo=UTC) + timedelta(hours=12)


def yearly(country="FR", region="", customer="consumer", language="en", **fields):
    holder = cast.account(country=country, region=region, customer_type=customer, language=language)
    contract = {"interval_unit": "year", "started_on": D("2025-06-01"), "billing_anchor": D("2025-06-01")} | fields
    return cast.subscription(holder, **contract)


class TestTheWindow:
    """It renews on 1 June 2026, and the last day to cancel is 22 May."""

    @pytest.mark.parametrize(
        ("country", "region", "day", "is_sent"),
        [
            ("FR", "", "2026-02-27", False),
            ("FR", "", "2026-02-28", True),
            ("FR", "", "2026-04-22", True),
            ("FR", "", "2026-04-23", False),
            ("IT", "", "2026-03-22", False),
            ("IT", "", "2026-03-23", True),
            ("IT", "", "2026-04-22", True),
            ("IT", "", "2026-04-23", False),
            ("ES", "", "2026-04-06", False),
            ("ES", "", "2026-04-07", True),
            ("ES", "", "2026-05-07", True),
            ("ES", "", "2026-05-08", False),
            ("US", "MA", "2026-04-21", False),
            ("US", "MA", "2026-04-22", True),
            ("US", "MA", "2026-05-17", True),
            ("US", "MA", "2026-05-18", False),
            ("US", "NY", "2026-04-06", False),
            ("US", "NY", "2026-04-07", True),
            ("US", "NY", "2026-05-07", True),
            ("US", "NY", "2026-05-08", False),
            ("US", "CA", "2026-05-01", False),
            ("US", "", "2026-05-01", False),
            ("DE", "", "2026-04-10", False),
            ("AT", "", "2026-04-10", False),
        ],
    )
    def test_of_each_place(self, country, region, day, is_sent):
        yearly(country, region)
        assert remind_of_renewals(now=at(day)) == is_sent

    def test_a_reminder_of_any_day_in_it_is_in_time_for_the_law(self, policy):
        for country in ("FR", "IT"):
            of = yearly(country)
            rule = reminder_rule(country, "")
            for days in range(400):
                today = D("2025-06-02") + timedelta(days)
                facts = {"last_day": D("2026-05-22"), "renews_on": D("2026-06-01"), "period_days": 365}
                if rule.is_due(today=today, **facts):
                    of.reminded_on = today
                    end = outcome(of, received_at=at("2026-08-20"), policy=policy)
                    assert end.effective_on == D("2027-06-01"), today


class TestTheMail:
    def test_it_names_the_last_day_the_price_and_the_way_to_leave(self):
        of = yearly()
        remind_of_renewals(now=at("2026-03-15"))
        mail = OutgoingMessage.objects.get(kind="renewal_reminder")
        assert mail.recipient == of.account.email
        for words in ("renews on 1 June 2026", "**22 May 2026**", "€30.00", f"/cancel/?subscription={of.reference}"):
            assert words in mail.text
        row = RenewalReminder.objects.get()
        assert (row.subscription, row.renews_on, row.last_day_on) == (of, D("2026-06-01"), D("2026-05-22"))
        assert (row.reminded_on, row.source) == (D("2026-03-15"), "Code de la consommation, article L. 215-1")

    @pytest.mark.parametrize(("language", "words"), [("de", "kündigen Sie bis zum"), ("fr", "résiliez au plus tard")])
    def test_in_the_language_of_the_account(self, language, words):
        yearly(language=language)
        remind_of_renewals(now=at("2026-03-15"))
        assert words in OutgoingMessage.objects.get().text

    def test_once_for_a_renewal_and_again_for_the_next(self):
        yearly()
        counts = [remind_of_renewals(now=at(day)) for day in ("2026-03-15", "2026-03-15", "2026-03-16", "2027-03-15")]
        assert counts == [1, 0, 0, 1]


class TestTheLawSeesIt:
    @pytest.mark.parametrize("country", ["FR", "IT"])
    def test_a_reminded_contract_ends_by_the_policy_and_another_at_once(self, policy, country):
        of, later = yearly(country), at("2026-08-20")
        assert outcome(of, received_at=later, policy=policy).effective_on == D("2026-08-20")
        remind_of_renewals(now=at("2026-03-30"))
        assert outcome(of, received_at=later, policy=policy).effective_on == D("2027-06-01")

    def test_also_when_the_next_renewal_was_reminded_of_since(self, policy):
        of = yearly()
        remind_of_renewals(now=at("2026-03-30"))
        remind_of_renewals(now=at("2027-03-30"))
        assert outcome(of, received_at=at("2027-04-02"), policy=policy).effective_on == D("2027-06-01")


class TestNobodyElse:
    @pytest.mark.parametrize(
        "fields",
        [
            {"customer": "business"},
            {"interval_unit": "month"},
            {"ended_on": D("2026-05-01"), "ended_by": "crm"},
        ],
    )
    def test_is_reminded(self, fields):
        yearly(**fields)
        assert remind_of_renewals(now=at("2026-03-15")) == 0

    def test_of_a_cancelled_subscription(self):
        cast.in_review(yearly(), at("2026-03-01"))
        assert remind_of_renewals(now=at("2026-03-15")) == 0

    def test_where_the_company_sends_its_own(self, settings):
        settings.RENEWAL_REMINDERS = False
        yearly()
        assert remind_of_renewals(now=at("2026-03-15")) == 0
        assert not RenewalRun.objects.exists()

    def test_an_unknown_customer_counts_as_the_setting_says(self, settings):
        yearly(customer="unknown")
        settings.UNKNOWN_CUSTOMERS = "business"
        assert remind_of_renewals(now=at("2026-03-15")) == 0
        settings.UNKNOWN_CUSTOMERS = "consumer"
        assert remind_of_renewals(now=at("2026-03-16")) == 1


def test_batches_go_on_where_they_were_and_one_bad_row_holds_nobody_up(monkeypatch):
    monkeypatch.setattr("cancellations.services.renewals.BATCH", 2)
    rows = [yearly() for _ in range(5)]
    type(rows[1]).objects.filter(pk=rows[1].pk).update(billing_anchor=date.max)
    assert remind_of_renewals(now=at("2026-03-15")) == 4
    run = RenewalRun.objects.get()
    assert (run.sent, run.reached, run.finished_at is not None) == (4, rows[-1].pk, True)

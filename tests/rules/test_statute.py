"""The latest end by law, place by place: contracts, renewals, reminders and month ends."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.periods import Interval
from cancellations.rules import statute
from cancellations.rules.statute import StatutoryEnd, latest_end

D = date.fromisoformat
YEAR, MONTH = Interval("year"), Interval("month")


def end(received, started, *, country="DE", interval=YEAR, anchor=None, consumer=True, **facts):
    dates = {name: D(day) for name, day in facts.items()}
    return latest_end(
        received_on=D(received), started_on=D(started), anchor=D(anchor or started), interval=interval, country=country,
        consumer=consumer, **dates,
    )  # fmt: skip


class TestAMonthAfterTheTerm:
    @pytest.mark.parametrize(
        ("received", "started", "interval", "effective"),
        [
            ("2026-06-10", "2024-06-01", YEAR, "2026-07-11"),
            ("2026-04-10", "2026-01-15", MONTH, "2026-05-11"),
            ("2026-05-01", "2026-03-01", YEAR, "2027-03-01"),  # within the first term
            ("2026-01-31", "2024-06-01", YEAR, "2026-03-01"),  # 28 February and a day
            ("2027-02-28", "2026-03-01", YEAR, "2027-03-29"),  # the last day of the term
        ],
    )
    @pytest.mark.parametrize("country", ["DE", "NL", "de"])
    def test_the_end(self, received, started, interval, effective, country):
        found = end(received, started, interval=interval, country=country)
        assert found is not None
        assert (found.effective_on, found.refund_days) == (D(effective), None)

    def test_a_minimum_term_holds(self):
        assert end("2026-06-10", "2026-01-01", minimum_term_ends_on="2028-01-01").effective_on == D("2028-01-01")

    def test_contracts_before_the_law_are_left_to_the_policy(self):
        assert end("2026-06-10", "2022-02-28") is None
        assert end("2026-06-10", "2022-03-01") is not None
        assert end("2026-06-10", "2022-03-01", concluded_on="2022-02-28") is None
        assert end("2026-06-10", "2011-11-30", country="NL") is None

    def test_the_source_is_named(self):
        assert end("2026-06-10", "2024-06-01").source == "BGB § 309 Nr. 9"
        assert end("2026-06-10", "2024-06-01", country="NL").source == "BW 6:236 sub j, p"


class TestWithoutAReminder:
    """Renewed on 2026-06-01, so 31 May was the last day to refuse that."""

    @pytest.mark.parametrize(
        ("country", "reminded", "at_once"),
        [
            ("FR", None, True),
            ("FR", "2026-04-01", False),
            ("FR", "2026-04-30", False),  # a month before
            ("FR", "2026-05-01", True),  # too late
            ("FR", "2026-02-28", False),  # three months before
            ("FR", "2026-02-27", True),  # too early
            ("FR", "2025-04-01", True),  # of the renewal before
            ("IT", None, True),
            ("IT", "2026-05-01", False),  # 30 days before
            ("IT", "2026-05-02", True),
            ("IT", "2025-05-01", True),  # of the renewal before
        ],
    )
    def test_it_ends_at_once(self, country, reminded, at_once):
        facts = {"reminded_on": reminded} if reminded else {}
        found = end("2026-08-20", "2024-06-01", country=country, **facts)
        assert (found is not None) == at_once
        if found is not None:
            assert found.effective_on == D("2026-08-20")
            assert found.refund_days == {"FR": 30, "IT": None}[country]

    @pytest.mark.parametrize("country", ["FR", "IT"])
    def test_within_the_first_term_the_policy_decides(self, country):
        assert end("2025-05-31", "2024-06-01", country=country) is None
        assert end("2025-06-01", "2024-06-01", country=country) is not None

    def test_the_law_of_the_day_of_receipt_counts(self):
        assert end("2023-12-30", "2020-06-01", country="IT") is None
        assert end("2023-12-31", "2020-06-01", country="IT") is not None


class TestNobodyElse:
    @pytest.mark.parametrize("country", ["", "GB", "US", "AT", "XX"])
    def test_other_places(self, country):
        assert end("2026-06-10", "2024-06-01", country=country) is None

    @pytest.mark.parametrize("country", ["DE", "NL", "FR", "IT"])
    def test_businesses(self, country):
        assert end("2026-06-10", "2024-06-01", country=country, consumer=False) is None

    def test_a_rule_that_nobody_verified_is_off(self, monkeypatch):
        rules = tuple(replace(rule, verified=False) for rule in statute.RULES)
        monkeypatch.setattr(statute, "RULES", rules)
        assert end("2026-06-10", "2024-06-01") is None

    def test_a_rule_that_ended_is_off_from_that_day_on(self, monkeypatch):
        rules = tuple(replace(rule, valid_to=D("2026-06-10")) for rule in statute.RULES)
        monkeypatch.setattr(statute, "RULES", rules)
        assert end("2026-06-10", "2024-06-01") is None
        assert end("2026-06-09", "2024-06-01") is not None


@given(st.dates(D("2023-01-01"), D("2033-12-31")), st.integers(0, 2000), st.sampled_from(["DE", "NL", "FR", "IT"]))
def test_the_end_is_never_before_the_receipt_and_after_the_term_never_far(received, age, country):
    started = received - timedelta(days=age)
    found = latest_end(
        received_on=received, started_on=started, anchor=started, interval=YEAR, country=country, consumer=True
    )
    if found is not None:
        assert isinstance(found, StatutoryEnd)
        assert found.effective_on >= received
        if age > 366:
            assert (found.effective_on - received).days <= 32


def test_the_calendar_ends():
    with pytest.raises(ValueError, match="calendar ends"):
        end("9999-12-20", "9990-01-01")

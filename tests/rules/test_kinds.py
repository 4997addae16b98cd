"""Cooling-off and for-cause: the pure rules, and what an outcome makes of them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.periods import Interval
from cancellations.models import Kind
from cancellations.queries.outcomes import outcome
from cancellations.rules.cooling_off import assess_cooling_off, cooling_off_term
from cancellations.rules.notice import assess, assess_for_cause
from tests import cast

MONTH = Interval("month")
START = date(2026, 2, 1)


@pytest.mark.parametrize(
    ("received", "days", "within"),
    [
        (date(2026, 2, 1), 14, True),
        (date(2026, 2, 15), 14, True),  # the first day is not counted, the last day counts wholly
        (date(2026, 2, 16), 14, False),
        (date(2026, 1, 20), 14, True),  # before it starts
        (date(2026, 2, 1), 1, True),
        (date(2026, 2, 1), 0, False),
    ],
)
def test_the_cooling_off_days_run_from_the_start_and_the_last_counts(received, days, within):
    found = assess_cooling_off(
        received_on=received, term=cooling_off_term(started_on=START, policy_days=days, country=""), anchor=START,
        interval=MONTH,
    )  # fmt: skip
    assert (found is not None) == within
    if found is not None:
        assert (found.effective_on, found.on_time) == (received, True)
        assert found.deadline_on == START + timedelta(days=days)


@given(st.integers(-30, 60), st.integers(0, 40))
def test_cooling_off_is_open_just_where_the_rule_says(offset, days):
    received = START + timedelta(days=offset)
    found = assess_cooling_off(
        received_on=received, term=cooling_off_term(started_on=START, policy_days=days, country=""), anchor=START,
        interval=MONTH,
    )  # fmt: skip
    assert (found is not None) == (days > 0 and received <= START + timedelta(days=days))


def test_an_accepted_ground_ends_it_on_the_day_of_receipt():
    ordinary = assess(received_on=date(2026, 2, 25), anchor=START, interval=MONTH, notice_days=10)
    found = assess_for_cause(ordinary, received_on=date(2026, 2, 25))
    assert (found.effective_on, found.on_time) == (date(2026, 2, 25), True)
    assert "we accepted it" in " ".join(found.explanation)


@pytest.mark.django_db
class TestOutcomes:
    received_at = datetime(2026, 2, 12, 23, 30, tzinfo=UTC)  # in Berlin it is the 13th

    def test_cooling_off_ends_at_the_instant_of_receipt_and_returns_all(self):
        of = cast.subscription(started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 1))
        cast.payment(of, date(2026, 2, 1), date(2026, 3, 1))
        found = outcome(of, received_at=self.received_at, policy=cast.policy(), kind=Kind.COOLING_OFF)
        assert (found.kind, found.at_once) == (Kind.COOLING_OFF, True)
        assert (found.effective_on, found.effective_at) == (date(2026, 2, 13), self.received_at)
        assert found.refund == cast.euros("30")

    def test_after_its_days_it_counts_as_ordinary_and_says_so(self):
        of = cast.subscription()
        policy = cast.policy()
        found = outcome(of, received_at=self.received_at, policy=policy, kind=Kind.COOLING_OFF)
        ordinary = outcome(of, received_at=self.received_at, policy=policy)
        assert (found.kind, found.at_once, found.effective_at) == (Kind.ORDINARY, False, ordinary.effective_at)
        assert "The cooling-off days ended on 14 February 2025" in " ".join(found.assessment.explanation)

    def test_a_ground_that_nobody_accepted_gives_the_ordinary_date(self):
        of, policy = cast.subscription(), cast.policy()
        asked = {"received_at": self.received_at, "policy": policy, "kind": Kind.FOR_CAUSE}
        assert outcome(of, **asked).effective_on == date(2026, 2, 28)
        accepted = outcome(of, **asked, ground_accepted=True)
        assert (accepted.effective_on, accepted.effective_at) == (date(2026, 2, 13), self.received_at)

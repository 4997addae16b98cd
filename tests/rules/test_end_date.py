"""The end by the policy and by the law: which of the two counts, and the last day that is shown for it."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.rules.periods import Interval, next_billing_date
from cancellations.rules.end_date import Contract, Terms, assess_end

D = date.fromisoformat
YEAR, MONTH = Interval("year"), Interval("month")


def contract(started, interval=YEAR, country="DE", **facts):
    days = {name: D(value) for name, value in facts.items()}
    return Contract(D(started), D(started), interval, country=country, is_consumer=True, **days)


def words(end):
    return " ".join(end.assessment.explanation)


class TestTheEarlierDateCounts:
    @pytest.mark.parametrize(
        ("started", "interval", "received", "policy", "law", "effective"),
        [
            ("2024-06-01", YEAR, "2026-06-10", "2027-06-01", "2026-07-11", "2026-07-11"),
            ("2026-01-15", MONTH, "2026-04-10", "2026-05-15", "2026-05-11", "2026-05-11"),
            ("2026-03-01", YEAR, "2026-05-01", "2027-03-01", "2027-03-01", "2027-03-01"),
            ("2024-06-01", MONTH, "2026-04-10", "2026-05-01", "2026-05-11", "2026-05-01"),
        ],
    )
    def test_and_both_are_named(self, started, interval, received, policy, law, effective):
        end = assess_end(contract(started, interval), Terms(10), received_on=D(received))
        assert (end.policy_on, end.law_on, end.assessment.effective_on) == (D(policy), D(law), D(effective))
        assert end.is_by_law == (law < policy)
        assert "BGB § 309 Nr. 9" in words(end)
        for day in (policy, law):
            assert f"{D(day).day} {D(day):%B %Y}" in words(end)
        conclusion = "by the policy, your subscription ends" if law == policy else "The earlier of the two dates counts"
        assert conclusion in words(end)

    def test_with_a_requested_end_the_laws_date_is_the_later_of_the_two(self):
        of, terms = contract("2024-06-01"), Terms(10)
        wish = assess_end(of, terms, received_on=D("2026-06-10"), requested_end=D("2026-09-15"))
        assert wish.assessment.effective_on == wish.law_on == D("2026-09-15")
        before = assess_end(of, terms, received_on=D("2026-06-10"), requested_end=D("2026-06-20"))
        assert before.assessment.effective_on == D("2026-07-11")

    def test_at_once_where_nobody_reminded_of_the_renewal(self):
        of = contract("2024-06-01", country="FR")
        end = assess_end(of, Terms(10), received_on=D("2026-08-20"))
        assert (end.assessment.effective_on, end.law.refund_days) == (D("2026-08-20"), 30)
        assert "ends at once" in end.assessment.explanation[-1]
        assert "we have no record of one" in words(end)
        reminded = contract("2024-06-01", country="FR", reminded_on="2026-04-15")
        assert assess_end(reminded, Terms(10), received_on=D("2026-08-20")).assessment.effective_on == D("2027-06-01")

    def test_a_business_has_the_policys_date(self):
        of = Contract(D("2024-06-01"), D("2024-06-01"), YEAR, country="DE")
        end = assess_end(of, Terms(10), received_on=D("2026-06-10"))
        assert (end.assessment.effective_on, end.law) == (D("2027-06-01"), None)

    def test_the_explanation_says_what_was_assumed(self):
        facts = {"concluded_on": "2026-02-20", "minimum_term_ends_on": "2027-03-01"}
        bare, full = (
            assess_end(contract("2026-03-01", **f), Terms(10), received_on=D("2026-05-01")) for f in ({}, facts)
        )
        assert "we assumed the day of its start, 1 March 2026" in words(bare)
        assert "the first billing period is one, until 1 March 2027" in words(bare)
        assert "assumed" not in words(full)
        unknown = Contract(D("2024-06-01"), D("2024-06-01"), YEAR, country="NL", is_consumer=True, is_type_assumed=True)
        assert "so we assumed that you are a consumer" in words(
            assess_end(unknown, Terms(10), received_on=D("2026-06-10"))
        )


class TestAnEndKnownElsewhere:
    @pytest.mark.parametrize(
        ("elsewhere", "received", "effective"),
        [
            ("2026-03-15", "2026-02-20", "2026-03-15"),
            ("2026-03-31", "2026-02-20", "2026-03-31"),  # the same date
            ("2026-04-15", "2026-02-20", "2026-03-31"),  # a later one does not count
            ("2026-02-20", "2026-02-20", "2026-03-31"),  # had come already
        ],
    )
    def test_an_earlier_one_stands(self, elsewhere, received, effective):
        of = contract("2026-01-31", MONTH, country="AT", ends_elsewhere_on=elsewhere)
        end = assess_end(of, Terms(10), received_on=D(received))
        assert end.assessment.effective_on == D(effective)
        assert end.is_elsewhere == (effective == "2026-03-15")
        assert ("That end stands" in words(end)) == end.is_elsewhere

    def test_it_is_earlier_than_the_laws_date(self):
        of = contract("2024-06-01", ends_elsewhere_on="2026-07-01")
        end = assess_end(of, Terms(10), received_on=D("2026-06-10"))
        assert (end.assessment.effective_on, end.law_on, end.is_by_law) == (D("2026-07-01"), D("2026-07-11"), False)


class TestTheMinimumTerm:
    of = contract("2026-01-31", MONTH, country="AT", minimum_term_ends_on="2026-06-15")

    @pytest.mark.parametrize(
        ("received", "effective", "on_time"),
        [("2026-02-10", "2026-06-30", True), ("2026-06-20", "2026-06-30", True), ("2026-06-21", "2026-07-31", False)],
    )
    def test_the_policys_date_is_not_before_it(self, received, effective, on_time):
        found = assess_end(self.of, Terms(10), received_on=D(received)).assessment
        assert (found.effective_on, found.on_time) == (D(effective), on_time)
        assert (found.deadline_for, found.deadline_on) == (D("2026-06-30"), D("2026-06-20"))
        if received < "2026-06":
            assert found.next_billing_on == D("2026-02-28")
            assert "minimum term that ends on 15 June 2026" in " ".join(found.explanation)

    def test_a_trial_can_be_left_before_it(self):
        of = contract("2026-01-31", MONTH, country="AT", trial_ends_on="2026-02-28", minimum_term_ends_on="2027-02-28")
        assert assess_end(of, Terms(10), received_on=D("2026-02-27")).assessment.effective_on == D("2026-02-28")


class TestTheTrial:
    def test_a_trial_without_notice_can_be_left_until_the_day_before_its_end(self):
        of = Contract(D("2026-11-20"), D("2026-12-04"), MONTH, trial_ends_on=D("2026-12-04"))
        last = assess_end(of, Terms(0), received_on=D("2026-11-26")).assessment.deadline_on
        assert last == D("2026-12-03")
        assert assess_end(of, Terms(0), received_on=last).assessment.effective_on == D("2026-12-04")
        assert assess_end(of, Terms(0), received_on=D("2026-12-04")).assessment.effective_on == D("2027-01-04")

    def test_its_own_notice_counts_also_where_the_policys_is_shorter(self):
        of = Contract(D("2026-11-20"), D("2026-12-04"), MONTH, trial_ends_on=D("2026-12-04"))
        late = assess_end(of, Terms(0, trial_notice_days=5), received_on=D("2026-12-01")).assessment
        assert (late.deadline_on, late.on_time, late.effective_on) == (D("2026-11-29"), False, D("2027-01-04"))
        assert "so it is late" in " ".join(late.explanation)


@st.composite
def cases(draw):
    started = draw(st.dates(D("2020-01-01"), D("2030-12-31")))
    interval = draw(st.builds(Interval, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 13)))
    anchor = started + timedelta(days=draw(st.sampled_from([0, 0, 3, 40])))
    term = draw(st.sampled_from([None, None, 1, 100, 400, 800]))
    trial = draw(st.sampled_from([None, None, 7, 30, 90]))
    reminded = draw(st.none() | st.integers(0, 1500))
    return {
        "contract": Contract(
            started,
            anchor,
            interval,
            trial_ends_on=trial and started + timedelta(days=trial),
            minimum_term_ends_on=term and started + timedelta(days=term),
            reminded_on=None if reminded is None else started + timedelta(days=reminded),
            country=draw(st.sampled_from(["", "AT", "DE", "NL", "FR", "IT"])),
            is_consumer=True,
        ),
        "terms": Terms(draw(st.sampled_from([0, 1, 7, 10, 30, 45, 90])), draw(st.sampled_from([0, 1, 5, 40]))),
        "received_on": started + timedelta(days=draw(st.integers(0, 1500))),
    }


@settings(max_examples=400)
@given(cases())
def test_cancelling_works_on_each_shown_last_day_and_one_day_later_it_does_not(case):
    of, terms = case["contract"], case["terms"]
    shown = assess_end(of, terms, received_on=case["received_on"])
    last, day = shown.assessment.deadline_on, shown.assessment.deadline_for
    assert last < day
    was_in_trial = of.trial_ends_on is not None and last < of.trial_ends_on <= case["received_on"]
    if last < of.started_on or was_in_trial:  # a day that had passed, under the rule of the trial
        return
    on_last = assess_end(of, terms, received_on=last).assessment
    after = assess_end(of, terms, received_on=last + timedelta(days=1))
    assert on_last.effective_on <= day
    assert after.assessment.effective_on > day or after.law_on == last + timedelta(days=1)  # at once, by the law


@settings(max_examples=400)
@given(cases(), st.none() | st.integers(0, 900))
def test_the_earlier_of_the_two_dates_counts_and_is_never_before_the_receipt(case, wish):
    of, received = case["contract"], case["received_on"]
    requested = None if wish is None else received + timedelta(days=wish)
    end = assess_end(of, case["terms"], received_on=received, requested_end=requested)
    effective = end.assessment.effective_on
    assert effective == min(end.policy_on, end.law_on or date.max)
    assert effective >= received
    assert requested is None or effective >= requested
    in_trial = of.trial_ends_on is not None and effective == of.trial_ends_on
    if of.minimum_term_ends_on and not end.is_by_law and not in_trial:
        assert end.policy_on >= of.minimum_term_ends_on
    if not end.is_by_law and not in_trial:
        assert next_billing_date(of.anchor, of.interval, effective - timedelta(days=1)) == effective

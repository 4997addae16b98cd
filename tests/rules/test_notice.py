from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.periods import Interval, billing_date
from cancellations.notice import assess, assess_trial

D = date.fromisoformat
TABLE = """
2026-01-31 1 month  10 2026-02-18 -          2026-02-28 2026-02-18 yes 2026-02-28
2026-01-31 1 month  10 2026-02-19 -          2026-02-28 2026-02-18 no  2026-03-31
2026-01-31 1 month  10 2026-02-28 -          2026-03-31 2026-03-21 yes 2026-03-31
2026-01-15 1 month  45 2026-03-10 -          2026-03-15 2026-01-29 no  2026-05-15
2024-02-29 1 year   30 2026-01-30 -          2026-02-28 2026-01-29 no  2027-02-28
2026-06-01 1 month   0 2026-07-01 -          2026-08-01 2026-08-01 yes 2026-08-01
2026-06-01 2 week    7 2026-06-10 -          2026-06-15 2026-06-08 no  2026-06-29
2026-06-01 3 month  14 2026-06-10 2026-11-15 2026-09-01 2026-08-18 yes 2026-12-01
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_the_policy_table(row):
    anchor, count, unit, notice, received, wish, upcoming, deadline, on_time, effective = row.split()
    found = assess(
        received_on=D(received),
        anchor=D(anchor),
        interval=Interval(unit, int(count)),
        notice_days=int(notice),
        requested_end=None if wish == "-" else D(wish),
    )
    assert (found.next_billing_on, found.deadline_on) == (D(upcoming), D(deadline))
    assert (found.on_time, found.effective_on) == (on_time == "yes", D(effective))


cases = st.fixed_dictionaries(
    {
        "received_on": st.dates(date(2020, 1, 1), date(2040, 1, 1)),
        "anchor": st.dates(date(2015, 1, 1), date(2041, 1, 1)),
        "interval": st.builds(Interval, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 15)),
        "notice_days": st.integers(0, 400),
        "requested_end": st.none() | st.dates(date(2019, 1, 1), date(2050, 1, 1)),
    }
)


@given(cases)
def test_the_effective_date_is_the_earliest_billing_date_that_fits(case):
    found = assess(**case)
    k = 0
    while True:  # the rule as it is written, one billing date after the other
        day = billing_date(case["anchor"], case["interval"], k)
        met = day > case["received_on"] and day - timedelta(days=case["notice_days"]) >= case["received_on"]
        if met and (case["requested_end"] is None or day >= case["requested_end"]):
            break
        k += 1
    assert found.effective_on == day
    assert found.on_time == (case["received_on"] <= found.deadline_on)


@given(cases, st.integers(0, 500))
def test_a_later_receipt_never_ends_earlier(case, later):
    moved = case | {"received_on": case["received_on"] + timedelta(days=later)}
    assert assess(**moved).effective_on >= assess(**case).effective_on


@given(cases)
def test_the_explanation_names_what_it_decides(case):
    found = assess(**case)
    assert str(found.effective_on.year) in found.explanation[-1]
    assert ("so it is late" in " ".join(found.explanation)) == (not found.on_time)


def test_a_trial_ends_without_a_charge():
    found = assess_trial(received_on=D("2026-02-26"), trial_ends_on=D("2026-02-27"), trial_notice_days=0)
    assert found is not None
    assert (found.effective_on, found.on_time) == (D("2026-02-27"), True)
    assert "Nothing is charged." in found.explanation


@pytest.mark.parametrize(
    ("received", "notice", "wish"), [("2026-02-27", 0, None), ("2026-02-26", 3, None), ("2026-02-20", 0, "2026-03-01")]
)
def test_outside_the_trial_rule_the_ordinary_one_holds(received, notice, wish):
    found = assess_trial(
        received_on=D(received),
        trial_ends_on=D("2026-02-27"),
        trial_notice_days=notice,
        requested_end=wish and D(wish),
    )
    assert found is None


@pytest.mark.parametrize("notice", [-1, 1.5, True, None])
def test_impossible_notice_is_refused(notice):
    with pytest.raises(ValueError, match="whole number of days"):
        assess(received_on=D("2026-01-01"), anchor=D("2026-01-01"), interval=Interval("month"), notice_days=notice)

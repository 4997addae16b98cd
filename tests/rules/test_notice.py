from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.periods import Interval, Period, billing_date, next_billing_date, start_of_day
from cancellations.queries.outcomes import outcome
from cancellations.rules.notice import assess, assess_trial
from tests import cast

D = date.fromisoformat
TABLE = """
2026-01-31 1 month  10 2026-02-18 -          2026-02-28 2026-02-18 yes 2026-02-28
2026-01-31 1 month  10 2026-02-19 -          2026-02-28 2026-02-18 no  2026-03-31
2026-01-31 1 month  10 2026-02-28 -          2026-03-31 2026-03-21 yes 2026-03-31
2026-01-15 1 month  45 2026-03-10 -          2026-03-15 2026-01-29 no  2026-05-15
2024-02-29 1 year   30 2026-01-30 -          2026-02-28 2026-01-29 no  2027-02-28
2026-06-01 1 month   0 2026-07-01 -          2026-08-01 2026-07-31 yes 2026-08-01
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


@given(cases, st.integers(0, 400))
def test_within_the_time_up_to_the_deadline_the_end_does_not_move(case, earlier):
    """Whoever is in time for a billing date, and the day before as well, gets the same end date."""
    found = assess(**case)
    before = case["received_on"] - timedelta(days=earlier)
    same_period = assess(**case | {"received_on": before})
    if found.on_time and same_period.next_billing_on == found.next_billing_on:
        assert (same_period.on_time, same_period.effective_on) == (True, found.effective_on)


@given(cases)
def test_the_effective_date_is_a_billing_date_that_meets_the_notice(case):
    found = assess(**case)
    anchor, interval = case["anchor"], case["interval"]
    day_before = found.effective_on - timedelta(days=1)
    assert next_billing_date(anchor, interval, day_before) == found.effective_on
    assert found.effective_on > case["received_on"]
    assert found.effective_on - timedelta(days=case["notice_days"]) >= case["received_on"]


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


ZONES = [
    "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Niue",
    "America/St_Johns", "Asia/Kolkata", "America/Havana", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia",
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ZONES)
def test_the_last_second_of_the_deadline_day_is_in_time_and_the_next_is_not(zone):
    of = cast.subscription(cast.account(time_zone=zone))
    policy = cast.policy()
    last = start_of_day(D("2026-02-19"), zone) - timedelta(seconds=1)  # deadline: 18 February, the whole day
    in_time = outcome(of, received_at=last, policy=policy)
    late = outcome(of, received_at=last + timedelta(seconds=1), policy=policy)
    assert (in_time.assessment.on_time, in_time.effective_on) == (True, D("2026-02-28"))
    assert (late.assessment.on_time, late.effective_on) == (False, D("2026-03-31"))
    assert in_time.effective_at == start_of_day(D("2026-02-28"), zone)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ZONES)
def test_the_end_does_not_move_within_the_deadline_day(zone):
    of, policy = cast.subscription(cast.account(time_zone=zone)), cast.policy()
    start, end = start_of_day(D("2026-02-18"), zone), start_of_day(D("2026-02-19"), zone)
    step = (end - start - timedelta(seconds=1)) / 24
    moments = [start + n * step for n in range(25)]
    found = {outcome(of, received_at=moment, policy=policy).effective_at for moment in moments}
    assert found == {start_of_day(D("2026-02-28"), zone)}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "billing_day", "instant"),
    [
        ("America/Havana", "2026-03-08", datetime(2026, 3, 8, 5, tzinfo=UTC)),  # midnight is skipped
        ("America/Havana", "2026-11-01", datetime(2026, 11, 1, 4, tzinfo=UTC)),  # midnight comes twice
        ("Asia/Beirut", "2026-03-29", datetime(2026, 3, 28, 22, tzinfo=UTC)),  # midnight is skipped
        ("Pacific/Apia", "2011-12-30", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # the whole day never was
    ],
)
def test_the_end_is_the_first_instant_of_a_day_whose_midnight_is_skipped_or_doubled(zone, billing_day, instant):
    day = D(billing_day)
    of = cast.subscription(cast.account(time_zone=zone), started_on=date(2010, 1, day.day), billing_anchor=day)
    policy = cast.policy(notice_days=0)
    found = outcome(of, received_at=instant - timedelta(days=20), policy=policy)
    assert (found.effective_on, found.effective_at) == (day, instant)


@pytest.mark.django_db
def test_before_the_anchor_the_first_shorter_period_is_prorated():
    of = cast.subscription(started_on=date(2026, 2, 10), billing_anchor=date(2026, 3, 1))
    cast.payment(of, date(2026, 2, 10), date(2026, 3, 1), cast.euros("19"))
    assert of.period_on(date(2026, 2, 12)) == Period(date(2026, 2, 10), date(2026, 3, 1))
    found = outcome(of, received_at=datetime(2026, 2, 12, 12, tzinfo=UTC), policy=cast.policy())
    assert (found.assessment.next_billing_on, found.effective_on) == (date(2026, 3, 1), date(2026, 3, 1))
    accepted = outcome(
        of, received_at=datetime(2026, 2, 12, 12, tzinfo=UTC), policy=cast.policy(), kind="for_cause",
        ground_accepted=True,
    )  # fmt: skip
    assert accepted.refund == cast.euros("17")  # 17 of 19 days

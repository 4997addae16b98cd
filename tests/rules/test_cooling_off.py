"""The last cooling-off day: counted by Regulation 1182/71 in the EU and EEA, and as it is elsewhere."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cancellations.rules.cooling_off import cooling_off_days, last_day
from cancellations.rules.jurisdictions import EU

D = date.fromisoformat


@pytest.mark.parametrize(
    ("started", "country", "last"),
    [
        ("2026-06-01", "DE", "2026-06-15"),
        ("2026-06-06", "FR", "2026-06-22"),  # 20 June is a Saturday
        ("2026-06-06", "GB", "2026-06-20"),
        ("2026-06-06", "", "2026-06-20"),
        ("2026-06-06", "US", "2026-06-20"),
        ("2026-06-06", "fr", "2026-06-22"),
        ("2026-12-11", "DE", "2026-12-28"),  # 25 and 26 December are holidays, the 27th is a Sunday
        ("2026-06-06", "NO", "2026-06-22"),  # the EEA as well
        ("2026-06-30", "FR", "2026-07-15"),  # 14 July is a holiday in France
        ("2026-06-30", "DE", "2026-07-14"),
    ],
)
def test_the_last_day_is_the_next_working_day_where_european_law_says_so(started, country, last):
    assert last_day(started_on=D(started), days=14, country=country) == D(last)


@given(st.dates(D("2020-01-01"), D("2030-12-31")), st.integers(0, 60), st.sampled_from(["", "US", "GB", *sorted(EU)]))
def test_the_last_day_never_comes_sooner_than_the_days_say(started, days, country):
    last = last_day(started_on=started, days=days, country=country)
    assert 0 <= (last - started).days - days <= 7
    assert country not in EU or last.weekday() < 5


@pytest.mark.parametrize("days", [-1, 1.5, True])
def test_days_are_whole(days):
    with pytest.raises(ValueError, match="whole number of days"):
        last_day(started_on=D("2026-06-01"), days=days, country="DE")


def test_the_calendar_ends():
    with pytest.raises(ValueError, match="calendar ends"):
        last_day(started_on=date.max, days=14, country="DE")


@pytest.mark.parametrize(
    ("policy", "country", "days"),
    [(14, "DE", 14), (0, "DE", 14), (30, "DE", 30), (0, "GB", 14), (0, "US", 0), (7, "", 7)],
)
def test_the_greater_of_the_policys_days_and_the_places_counts(policy, country, days):
    assert cooling_off_days(policy, country) == days

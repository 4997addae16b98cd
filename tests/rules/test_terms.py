"""Terms that differ by plan or interval: the most exact row counts, for each value on its own."""

import pytest

from cancellations.rules.terms import SpecialTerms, most_exact

EXACT = SpecialTerms(plan_code="PRO-TEAM", notice_days=30)
LONG = SpecialTerms(plan_code="PRO-T*", notice_days=20, trial_notice_days=3)
SHORT = SpecialTerms(plan_code="PRO-*", notice_days=15, refund_basis="full")
YEARLY = SpecialTerms(interval_unit="year", notice_days=60, trial_notice_days=7)
ALL = [YEARLY, SHORT, LONG, EXACT]


@pytest.mark.parametrize(
    ("plan", "unit", "terms"),
    [
        ("PRO-TEAM", "year", EXACT),
        ("PRO-TEAM-2", "year", LONG),
        ("PRO-", "month", SHORT),
        ("PRO", "year", YEARLY),
        ("pro-team", "month", None),
        ("", "year", YEARLY),
        ("BASIC", "month", None),
    ],
)
@pytest.mark.parametrize("rows", [ALL, ALL[::-1]], ids=["", "reversed"])
def test_the_most_exact_row_counts(rows, plan, unit, terms):
    assert most_exact(rows, "notice_days", plan_code=plan, interval_unit=unit) == terms


def test_what_a_row_does_not_set_is_left_to_the_next():
    exact = {"plan_code": "PRO-TEAM", "interval_unit": "year"}
    assert most_exact(ALL, "trial_notice_days", **exact) == LONG
    assert most_exact(ALL, "refund_basis", **exact) == SHORT
    assert most_exact([EXACT], "trial_notice_days", **exact) is None


def test_zero_days_are_a_value():
    rows = [SpecialTerms(plan_code="PRO", notice_days=0), YEARLY]
    assert most_exact(rows, "notice_days", plan_code="PRO", interval_unit="year") == rows[0]

"""Special terms of a policy version: every place that names an end date uses them, and customers can read them."""

from datetime import UTC, date, datetime

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from cancellations.models import PolicyVersion
from cancellations.models.policy import special_terms_are_complete
from cancellations.queries.outcomes import outcome
from cancellations.services.termination import terminate
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db

ROW = {"plan_code": "", "interval_unit": "", "notice_days": None, "trial_notice_days": None, "refund_basis": ""}
TEAM = ROW | {"plan_code": "team", "notice_days": 30}
YEARLY = ROW | {"interval_unit": "year", "notice_days": 60, "refund_basis": "full"}


def test_the_end_of_a_request_keeps_the_notice_of_its_plan():
    cast.policy(notice_days=10, special_terms=[TEAM])
    team, basic = cast.subscription(), cast.subscription(plan_code="basic")
    # received on 12 February: 16 days before 28 February
    assert cast.in_review(basic).effective_on == date(2026, 2, 28)
    request = cast.in_review(team)
    assert request.effective_on == date(2026, 3, 31)
    assert ["special_plan", {}] in request.explanation
    customer = Client()
    customer.force_login(cast.customer(team.account))
    page = customer.get(f"/requests/{request.reference}/").content.decode()
    assert "The policy has a notice period of its own for your plan." in page


def test_the_interval_and_the_trial_have_their_own():
    policy = cast.policy(special_terms=[YEARLY, ROW | {"plan_code": "te*", "trial_notice_days": 5}])
    yearly = cast.subscription(interval_unit="year", started_on=date(2026, 1, 15), billing_anchor=date(2026, 1, 15))
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert outcome(yearly, received_at=at, policy=policy).effective_on == date(2028, 1, 15)
    trial = cast.subscription(
        started_on=date(2026, 11, 1), billing_anchor=date(2026, 12, 1), trial_ends_on=date(2026, 12, 1)
    )
    found = outcome(trial, received_at=at, policy=policy)
    assert (found.assessment.deadline_on, found.effective_on) == (date(2026, 11, 26), date(2026, 12, 1))
    assert "a notice period of its own for your plan" in " ".join(found.assessment.explanation)


def test_a_termination_starts_from_the_basis_of_the_subscription():
    cast.policy(special_terms=[YEARLY])
    account = cast.account()
    for unit in ("year", "month"):
        cast.payment(cast.subscription(account, interval_unit=unit), date(2026, 2, 1), date(2026, 3, 1))
    termination = terminate(case=cast.case(account), by=cast.staff("manager"), now=NOW)
    rows = termination.subscriptions.all()
    assert {row.subscription.interval_unit: row.refund.computed_basis for row in rows} == {
        "year": "full",
        "month": "unused",
    }


def test_customers_read_them_on_the_page_of_the_policy_and_in_the_comparison():
    cast.policy()
    cast.policy(special_terms=[TEAM, YEARLY])
    page = Client().get("/policy/").content.decode()
    for words in ("Terms that differ", "plan team", "30 days", "billed by the year", "60 days", "full amount"):
        assert words in page
    assert "Terms that differ" not in Client().get("/policy/1/").content.decode()
    comparison = Client().get("/policy/compare/1/2/").content.decode()
    assert "Notice, plan team" in comparison
    assert "Refund proposed on a termination, billed by the year" in comparison
    assert "Some plans have a notice period of their own" in Client().get("/").content.decode()


def form_data(**rows):
    """The form of a draft, with rows by the name of their table."""
    data = {"number": 7, "text": "Notice is {notice_days}.", "notice_days": 7, "trial_notice_days": 0}
    data |= {"cooling_off_days": 14, "verification_days": 30, "review_mode": "every", "refund_decision_days": 5}
    data |= {"refund_payment_days": 10, "termination_basis": "unused"}
    for name, entries in rows.items():
        data[f"{name}-rows"] = len(entries)
        for number, entry in enumerate(entries):
            data |= {f"{name}-{number}-{column}": value for column, value in entry.items()}
    return data


class TestTheFormHasRows:
    url = "admin:cancellations_policyversion_add"

    def test_a_draft_keeps_what_was_typed_and_shows_it_again(self):
        cast.policy()
        mara = cast.at_desk(cast.staff("manager"))
        limits = [{"currency": "eur", "limit": "750"}, {"currency": "", "limit": ""}]
        terms = [
            {"plan_code": "PRO-*", "notice_days": "30", "refund_basis": "full"},
            {"interval_unit": "year", "trial_notice_days": "0"},
        ]
        assert mara.post(reverse(self.url), form_data(approval_limits=limits, special_terms=terms)).status_code == 302
        draft = PolicyVersion.objects.get(number=7)
        assert draft.approval_limits == {"EUR": "750"}
        assert draft.special_terms == [
            ROW | {"plan_code": "PRO-*", "notice_days": 30, "refund_basis": "full"},
            ROW | {"interval_unit": "year", "trial_notice_days": 0},
        ]
        page = mara.get(reverse("admin:cancellations_policyversion_change", args=[draft.pk])).content.decode()
        assert 'value="PRO-*"' in page
        assert 'value="750"' in page
        assert "{&quot;" not in page  # no JSON
        mara.post(
            reverse("admin:cancellations_policyversion_change", args=[draft.pk]),
            form_data(approval_limits=[], special_terms=[]),
        )
        assert (fresh(draft).approval_limits, fresh(draft).special_terms) == ({}, [])

    @pytest.mark.parametrize(
        ("name", "row", "sentence"),
        [
            ("approval_limits", {"currency": "XX", "limit": "5"}, "Row 1, Currency: XX is no currency code"),
            ("approval_limits", {"currency": "EUR", "limit": "much"}, "Row 1, One approver up to: Enter a number"),
            ("approval_limits", {"currency": "EUR"}, "Row 1, One approver up to: This field is required"),
            ("special_terms", {"plan_code": "PRO"}, "PRO: write what differs"),
            ("special_terms", {"notice_days": "5"}, "write either a plan code or a billing interval"),
            ("special_terms", {"plan_code": "*", "notice_days": "5"}, "write * only at the end of a plan code"),
            ("special_terms", {"plan_code": "PRO", "notice_days": "-1"}, "Row 1, Notice (days): Ensure this value"),
        ],
    )
    def test_a_slip_is_named_with_its_row_and_what_was_typed_stays(self, name, row, sentence):
        mara = cast.at_desk(cast.staff("manager"))
        response = mara.post(reverse(self.url), form_data(**{name: [row]}))
        page = response.content.decode()
        assert response.status_code == 200
        assert sentence in page
        assert all(f'value="{value}"' in page for value in row.values())
        assert not PolicyVersion.objects.exists()

    def test_two_rows_for_the_same_are_refused(self):
        mara = cast.at_desk(cast.staff("manager"))
        twice = [{"currency": "EUR", "limit": "1"}] * 2
        assert "two rows for EUR" in mara.post(reverse(self.url), form_data(approval_limits=twice)).content.decode()
        twice = [{"plan_code": "PRO", "notice_days": "1"}] * 2
        assert "two rows for PRO" in mara.post(reverse(self.url), form_data(special_terms=twice)).content.decode()


@pytest.mark.parametrize(
    "rows",
    [
        {},
        ["team"],
        [{"plan": "team"}],
        [ROW],
        [TEAM | {"interval_unit": "year"}],
        [TEAM | {"plan_code": "te*m"}],
        [YEARLY | {"interval_unit": "decade"}],
        [TEAM | {"notice_days": "30"}],
        [TEAM | {"notice_days": True}],
        [TEAM | {"refund_basis": "custom"}],
        [TEAM, TEAM],
    ],
)
def test_terms_that_cannot_be_are_not_published(rows):
    with pytest.raises(ValidationError):
        special_terms_are_complete(rows)

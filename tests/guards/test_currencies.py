"""A customer who paid in two currencies gets a refund in each."""

from datetime import date, timedelta

import pytest
from moneyed import Money

from billing.models import Refund
from billing.queries import payments_with_returned, without_a_refund
from billing.services.review import approve, decline, propose, void
from billing.services.sending import settle
from cancellations.models import Kind
from cancellations.services.common import RequestRefused
from cancellations.services.enforcement import enforce
from cancellations.services.submission import withdraw
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db


@pytest.fixture
def of():
    """Paid in euros and in francs for overlapping periods; the newest is in francs."""
    cast.policy()
    found = cast.subscription(started_on=date(2026, 2, 5), billing_anchor=date(2026, 2, 5), concluded_on=None)
    cast.payment(found, date(2026, 2, 5), date(2026, 6, 5), Money("30.00", "EUR"))
    cast.payment(found, date(2026, 2, 6), date(2026, 6, 6), Money("28.00", "CHF"))
    return found


def cooled_off(of):
    """Within the cooling-off days, so that all money is to be returned."""
    cast.in_review(of, kind=Kind.COOLING_OFF, reason="")
    enforce(now=NOW + timedelta(minutes=1))
    return list(Refund.objects.order_by("currency"))


def test_each_currency_has_a_review(of):
    main, other = cooled_off(of)
    assert (main.currency, other.beside) == ("", main)
    sums = {propose(refund=each, basis="full", by=cast.staff("support"), now=NOW).amount for each in (main, other)}
    assert sums == {Money("30.00", "EUR"), Money("28.00", "CHF")}
    payments = payments_with_returned(of)
    assert [without_a_refund(each, payments) for each in (main, other)] == [[], []]


def test_each_is_decided_and_paid_by_itself(of):
    main, other = cooled_off(of)
    propose(refund=main, basis="full", by=cast.staff("support"), now=NOW)
    decline(refund=other, by=cast.staff("finance"), ground="Paid back in cash.", now=NOW)
    approve(refund=main, by=cast.staff("finance", "Frank"), now=NOW)
    approve(refund=main, by=cast.staff("manager"), now=NOW)  # francs have no limit for one approver
    settle(refund=main, by=cast.staff("finance"), reference="SEPA 1", paid_on=NOW.date(), now=NOW)
    assert (fresh(main).state, fresh(other).state) == ("paid", "declined")


@pytest.fixture
def wanted(of):
    request = cast.scheduled(of, refund_wanted=True, refund_reason="I paid twice.")
    return request, list(Refund.objects.order_by("currency"))


def test_taking_the_cancellation_back_voids_both(wanted):
    request, refunds = wanted
    assert len(refunds) == 2
    withdraw(requests=[request], now=NOW)
    assert {fresh(each).state for each in refunds} == {"void"}


def test_but_not_if_one_is_on_its_way(wanted):
    request, (_, other) = wanted
    propose(refund=other, basis="full", by=cast.staff("support"), now=NOW)
    approve(refund=other, by=cast.staff("finance", "Frank"), now=NOW)
    settle(refund=other, by=cast.staff("finance"), reference="SEPA 1", paid_on=NOW.date(), now=NOW)
    with pytest.raises(RequestRefused, match=other.reference):
        withdraw(requests=[request], now=NOW)


def test_staff_void_one_alone(wanted):
    _, (main, other) = wanted
    void(refund=main, ground="Paid back in cash.", by=cast.staff("manager"), now=NOW)
    assert (fresh(main).state, fresh(other).state) == ("void", "requested")


def test_one_currency_has_one_review():
    cast.policy()
    found = cast.subscription(started_on=date(2026, 2, 5), billing_anchor=date(2026, 2, 5))
    cast.payment(found, date(2026, 2, 5), date(2026, 3, 5))
    assert len(cooled_off(found)) == 1


def test_the_customer_sees_both(of, client):
    refunds = cooled_off(of)
    for each in refunds:
        propose(refund=each, basis="full", by=cast.staff("support"), now=NOW)
    client = cast.Client()
    client.force_login(cast.customer(of.account))
    page = client.get(f"/requests/{refunds[0].about}/").content.decode()
    assert "30.00" in page
    assert "28.00" in page

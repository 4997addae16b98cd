"""Payments for a time after the end (charge watch): found whoever writes them, reviewed once, in sets."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Dispute, Payment, Refund, RefundBasis
from billing.services.review import decline, propose
from cancellations.services.charge_watch import CHARGES
from cancellations.services.enforcement import enforce
from cancellations.services.reminders import notify_staff
from messaging.due import Run
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db
END = date(2026, 2, 28)
LATER = NOW + timedelta(days=60)


def ended():
    """A request that ended its subscription on 28 February 2026."""
    request = cast.scheduled()
    enforce(now=LATER)
    request = fresh(request)
    assert request.effective_on == END
    return request


def charged(results):
    return [each for each in results if each.what == "charged"]


def test_a_payment_after_the_end_is_reviewed_within_a_tick_and_once():
    request = ended()
    payment = cast.payment(request.subscription, END, date(2026, 3, 31))
    assert len(charged(enforce(now=LATER))) == 1
    refund = Refund.objects.get(subscription=request.subscription)
    assert (refund.computed_basis, refund.charged_after_end, refund.ended_on) == (RefundBasis.FULL, True, END)
    assert fresh(request).refund == refund
    letter = OutgoingMessage.objects.get(kind="charged_after_end")
    assert letter.recipient == request.email_given
    assert payment.reference in letter.text
    assert not charged(enforce(now=LATER))
    lines = propose(refund=refund, basis=refund.computed_basis, by=cast.staff("finance"), now=LATER).lines.all()
    assert [line.money for line in lines] == [payment.amount]


def test_a_period_that_began_before_the_end_counts_in_part():
    request = ended()
    cast.payment(request.subscription, date(2026, 2, 14), date(2026, 3, 14))
    enforce(now=LATER)
    refund = fresh(request).refund
    assert refund.computed_basis == RefundBasis.UNUSED
    line = propose(refund=refund, basis=refund.computed_basis, by=cast.staff("finance"), now=LATER).lines.get()
    assert (line.unused_days, line.period_days) == (14, 28)


def test_an_open_review_starts_again_and_a_settled_one_gets_a_second():
    request = ended()
    cast.payment(request.subscription, END, date(2026, 3, 31))
    enforce(now=LATER)
    refund = fresh(request).refund
    finance = cast.staff("finance")
    propose(refund=refund, basis="full", by=finance, now=LATER)
    cast.payment(request.subscription, date(2026, 3, 31), date(2026, 4, 30))
    enforce(now=LATER)
    refund = fresh(refund)
    assert refund.state == "requested"
    assert not refund.lines.exists()
    assert Refund.objects.count() == 1
    decline(refund=refund, by=finance, ground="Used after the end.", now=LATER)
    cast.payment(request.subscription, date(2026, 4, 30), date(2026, 5, 31))
    enforce(now=LATER)
    second = Refund.objects.exclude(pk=refund.pk).get()
    assert fresh(request).refund == second
    assert second.charged_after_end


def test_after_a_termination():
    subscription = cast.subscription()
    termination = cast.terminated(subscription.account)
    cast.payment(subscription, date(2026, 3, 1), date(2026, 4, 1))
    enforce(now=LATER)
    refund = Refund.objects.get(subscription=subscription)
    assert (refund.about, refund.computed_basis) == (termination.reference, RefundBasis.FULL)


@pytest.mark.parametrize(
    "fields", [{"amount_refunded": 30}, {"dispute": Dispute.LOST}, {"dispute": Dispute.OPEN}], ids=str
)
def test_money_that_is_not_there_is_no_charge(fields):
    request = ended()
    cast.payment(request.subscription, END, date(2026, 3, 31), **fields)
    assert not charged(enforce(now=LATER))
    assert not Payment.objects.filter(is_to_check=True).exists()


def test_a_dispute_that_is_settled_for_us_is_looked_at_again():
    request = ended()
    payment = cast.payment(request.subscription, END, date(2026, 3, 31), dispute=Dispute.OPEN)
    enforce(now=LATER)
    Payment.objects.filter(pk=payment.pk).update(dispute=Dispute.WON)
    assert len(charged(enforce(now=LATER))) == 1


def test_what_was_paid_before_the_end_or_of_a_contract_that_runs_is_no_charge():
    request = ended()
    cast.payment(request.subscription, date(2026, 1, 31), END)
    cast.payment(cast.subscription(), date(2026, 3, 1), date(2026, 4, 1))
    assert not Payment.objects.filter(is_to_check=True).exists()


def test_a_payment_known_before_the_end_is_reviewed_by_the_end_itself():
    request = cast.scheduled()
    cast.payment(request.subscription, END, date(2026, 3, 31))
    assert not charged(enforce(now=LATER))
    assert fresh(request).refund is not None
    assert not charged(enforce(now=LATER))


def test_staff_hear_once_and_see_the_filter():
    request = ended()
    cast.staff("finance")
    cast.payment(request.subscription, END, date(2026, 3, 31))
    enforce(now=LATER)
    notify_staff(now=LATER)
    notify_staff(now=LATER + timedelta(minutes=5))
    letters = OutgoingMessage.objects.filter(kind="staff_charged")
    assert letters.count() == letters.values("recipient").distinct().count() > 0
    assert request.declaration in letters.first().text


def test_a_thousand_are_found_in_one_run_with_few_statements():
    subscriptions = [cast.subscription() for _ in range(40)]
    for each in subscriptions:
        type(each).objects.filter(pk=each.pk).update(ended_on=END, ended_by="portal")
    cast.policy()
    Payment.objects.bulk_create(
        Payment(
            reference=f"LATE-{n}-{k}",
            account_id=each.account_id,
            subscription=each,
            period_start=END + timedelta(days=31 * k),
            period_end=END + timedelta(days=31 * (k + 1)),
            amount=each.price,
            paid_at=NOW,
        )
        for n, each in enumerate(subscriptions)
        for k in range(25)
    )
    assert Payment.objects.filter(is_to_check=True).count() == 1000
    with CaptureQueriesContext(connection) as statements:
        refunds = list(CHARGES.results(Run(LATER)))
    assert len(refunds) == len({refund.subscription_id for refund in refunds}) == 40
    assert not Payment.objects.filter(is_to_check=True).exists()
    letters = sum("messaging_outgoingmessage" in each["sql"] for each in statements)
    assert len(statements) - letters < 150

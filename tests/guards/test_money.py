"""Four eyes and the cap, against services, forged SQL and real parallel transactions."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from moneyed import Money

from billing.models import Refund, RefundLine, Subscription
from billing.models.states import IllegalTransition
from billing.queries import prepaid_beyond
from billing.services.common import RefundRefused
from billing.services.review import approve, decline, propose
from billing.services.sending import settle
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW

pytestmark = pytest.mark.django_db


def proposed(**case):
    return propose(refund=cast.refund_requested(**case), basis="unused", by=cast.staff("finance"), now=NOW)


def test_the_proposal_is_the_unused_share_by_payment():
    refund = proposed()
    line = refund.lines.get()
    assert (refund.amount, line.unused_days, line.period_days) == (cast.euros("20"), 20, 30)


@pytest.mark.parametrize(("paid", "unused"), [(Money(1000, "JPY"), "667"), (Money("10.000", "BHD"), "6.667")])
def test_the_proposal_is_rounded_to_the_currency(paid, unused):
    assert proposed(amount=paid).amount == Money(unused, paid.currency)


def test_money_that_we_returned_is_not_prepaid():
    refund = cast.refund_requested()
    subscription, day = refund.subscription, refund.ended_on
    assert prepaid_beyond(subscription, day)
    propose(refund=refund, basis="full", by=cast.staff("support"), now=NOW)
    assert not prepaid_beyond(subscription, day)
    decline(refund=refund, by=cast.staff("finance"), ground="The period was used.", now=NOW)
    assert prepaid_beyond(subscription, day)


def test_the_proposer_does_not_approve():
    with pytest.raises(RefundRefused, match="Somebody else"):
        approve(refund=proposed(), by=cast.staff("finance"), now=NOW)


def test_nor_does_he_by_sql():
    refund = proposed()
    with pytest.raises(IntegrityError, match="refund_proposer_is_not_approver"), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(state="approved", approved_by=refund.proposed_by)
    with pytest.raises(IntegrityError, match="approved_by_enough"), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(state="approved")


def test_above_the_limit_two_others_approve():
    refund = proposed(limits={"EUR": "19.99"})
    frank, mara = cast.staff("finance", "Frank"), cast.staff("manager")
    refund = approve(refund=refund, by=frank, now=NOW)
    assert refund.state == "proposed"
    with pytest.raises(RefundRefused, match="second person"):
        approve(refund=refund, by=frank, now=NOW)
    assert approve(refund=refund, by=mara, now=NOW).state == "approved"


def test_a_currency_without_a_limit_needs_two():
    assert proposed(limits={}).approvals_needed == 2


def test_the_limit_holds_by_sql():
    refund = proposed(limits={"EUR": "19.99"})
    with pytest.raises(IntegrityError, match="above the limit"), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(
            state="approved", approvals_needed=1, approved_by=cast.staff("finance", "Frank")
        )


def test_what_was_approved_does_not_change():
    refund = approve(refund=proposed(), by=cast.staff("finance", "Frank"), now=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        RefundLine.objects.filter(refund=refund).update(amount=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(amount=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        RefundLine.objects.filter(refund=refund).delete()


def test_proposing_anew_makes_that_person_the_proposer():
    refund, frank = proposed(), cast.staff("finance", "Frank")
    refund = propose(refund=refund, basis="custom", amount=Decimal("5"), ground="Goodwill", by=frank, now=NOW)
    assert (refund.proposed_by, refund.amount) == (frank, cast.euros("5"))
    assert approve(refund=refund, by=cast.staff("finance"), now=NOW).state == "approved"


@pytest.mark.parametrize(
    ("amount", "ground"), [(None, "x"), ("5", " "), ("0", "x"), ("-1", "x"), ("30.01", "x"), ("1.005", "x")]
)
def test_another_amount_needs_a_sum_that_fits_and_a_ground(amount, ground):
    refund = cast.refund_requested()
    with pytest.raises(RefundRefused):
        propose(
            refund=refund,
            basis="custom",
            amount=amount and Decimal(amount),
            ground=ground,
            by=cast.staff("finance"),
            now=NOW,
        )
    assert cast.fresh(refund).state == "requested"
    assert not refund.lines.exists()


def test_a_goodwill_sum_is_laid_over_the_newest_payments_first():
    refund = cast.refund_requested()
    Subscription.objects.filter(pk=refund.subscription.pk).update(started_on=date(2026, 3, 1))
    cast.payment(refund.subscription, date(2026, 3, 1), date(2026, 4, 1))
    refund = cast.fresh(refund)
    goodwill = {"refund": refund, "basis": "custom", "by": cast.staff("finance"), "now": NOW, "ground": "Goodwill"}
    with pytest.raises(RefundRefused, match=re.escape("return €60.00 at most, not €60.01")):
        propose(amount=Decimal("60.01"), **goodwill)
    lines = propose(amount=Decimal("45"), **goodwill).lines.order_by("-payment__period_start")
    assert [(line.amount, line.unused_days) for line in lines] == [(30, 20), (15, 0)]


def test_a_goodwill_sum_returns_no_payment_of_an_earlier_contract():
    refund = cast.refund_requested()  # its contract started on 1 April
    cast.payment(refund.subscription, date(2026, 3, 1), date(2026, 4, 1))
    goodwill = {"refund": refund, "basis": "custom", "by": cast.staff("finance"), "now": NOW, "ground": "Goodwill"}
    with pytest.raises(RefundRefused, match=re.escape("return €30.00 at most, not €45.00")):
        propose(amount=Decimal("45"), **goodwill)


def test_nothing_unused_is_refused_with_advice():
    refund = cast.refund_requested()
    Refund.objects.filter(pk=refund.pk).update(ended_on=date(2026, 5, 1))
    with pytest.raises(RefundRefused, match="Decline the refund"):
        propose(refund=cast.fresh(refund), basis="unused", by=cast.staff("finance"), now=NOW)


def test_a_second_refund_gets_what_is_left():
    first = proposed()
    second = Refund.objects.create(
        **{f.name: getattr(first, f.name) for f in Refund._meta.fields if f.name in KEPT},
        requested_at=NOW,
        state_changed_at=NOW,
    )
    frank = cast.staff("finance", "Frank")
    with pytest.raises(RefundRefused, match=r"10\.00 at most"):
        propose(refund=second, basis="custom", amount=Decimal("10.01"), ground="x", by=frank, now=NOW)
    assert propose(refund=second, basis="full", by=frank, now=NOW).amount == cast.euros("10")


def test_a_released_refund_frees_its_sum_and_is_held_to_the_cap_when_it_counts_again():
    first = approve(refund=proposed(), by=cast.staff("finance", "Frank"), now=NOW)
    Refund.objects.filter(pk=first.pk).update(state="sending")
    Refund.objects.filter(pk=first.pk).update(state="failed")
    second = Refund.objects.create(
        **{f.name: getattr(first, f.name) for f in Refund._meta.fields if f.name in KEPT},
        requested_at=NOW,
        state_changed_at=NOW,
    )
    propose(refund=second, basis="full", by=cast.staff("finance"), now=NOW)
    with pytest.raises(IntegrityError, match="exceed what was paid"), transaction.atomic():
        Refund.objects.filter(pk=first.pk).update(state="sending")


def test_declining_needs_a_ground_and_tells_the_customer():
    refund = cast.refund_requested()
    with pytest.raises(RefundRefused, match="ground"):
        decline(refund=refund, by=cast.staff("finance"), ground="  ", now=NOW)
    decline(refund=refund, by=cast.staff("finance"), ground="Used to the end", now=NOW)
    assert "Used to the end" in OutgoingMessage.objects.get(kind="refund_declined").text


def test_paid_needs_proof_and_tells_the_customer():
    refund = approve(refund=proposed(), by=cast.staff("finance", "Frank"), now=NOW)
    told = {"refund": refund, "by": cast.staff("finance"), "now": NOW}
    with pytest.raises(RefundRefused, match="reference"):
        settle(reference=" ", paid_on=NOW.date(), **told)
    with pytest.raises(RefundRefused, match="future"):
        settle(reference="SEPA 1", paid_on=date(2027, 1, 1), **told)
    assert settle(reference="SEPA 1", paid_on=NOW.date(), **told).state == "paid"
    assert "€20.00" in OutgoingMessage.objects.get(kind="refund_paid").subject
    with pytest.raises(IllegalTransition, match="paid"):
        settle(reference="SEPA 1", paid_on=NOW.date(), **told)


def test_money_may_arrive_after_the_company_booked_it_too():
    refund = approve(refund=proposed(), by=cast.staff("finance", "Frank"), now=NOW)
    Refund.objects.filter(pk=refund.pk).update(state="sending")
    refund.subscription.payments.update(amount_refunded=20)
    assert settle(refund=refund, by=cast.staff("finance"), reference="X", paid_on=NOW.date(), now=NOW).state == "paid"


KEPT = {"account", "subscription", "about", "notify", "ended_on", "decision_due_on", "payment_days", "approval_limits"}


@pytest.mark.django_db(transaction=True)
def test_two_refunds_of_one_payment_at_the_same_moment_cannot_both_fit():
    first = cast.refund_requested()
    second = Refund.objects.create(
        **{f.name: getattr(first, f.name) for f in Refund._meta.fields if f.name in KEPT},
        requested_at=NOW,
        state_changed_at=NOW,
    )
    people = [cast.staff("finance"), cast.staff("finance", "Frank")]

    def try_it(case):
        refund, by = case
        try:
            return propose(refund=refund, basis="custom", amount=Decimal("16"), ground="x", by=by, now=NOW).amount
        except RefundRefused:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(try_it, zip([first, second], people, strict=True)))
    assert sorted(results, key=bool) == [None, cast.euros("16")]


@pytest.mark.django_db(transaction=True)
def test_the_cap_holds_for_raw_inserts_at_the_same_moment():
    refunds = [cast.refund_requested()]
    for _ in range(7):
        like = refunds[0]
        refunds.append(
            Refund.objects.create(
                **{f.name: getattr(like, f.name) for f in Refund._meta.fields if f.name in KEPT},
                requested_at=NOW,
                state_changed_at=NOW,
            )
        )
    paid = refunds[0].subscription.payments.get()

    def insert(refund):
        try:
            RefundLine.objects.create(refund=refund, payment=paid, amount=8, unused_days=1, period_days=30)
            return True
        except IntegrityError:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(insert, refunds)) == 3  # 3 × 8 = 24 of 30


@pytest.mark.django_db(transaction=True)
def test_two_approvers_at_the_same_moment_make_one_approval():
    refund = proposed()
    people = [cast.staff("finance", "Frank"), cast.staff("manager")]

    def try_it(by):
        try:
            return approve(refund=refund, by=by, now=NOW).state
        except IllegalTransition:
            return "refused"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(try_it, people)) == ["approved", "refused"]
    assert OutgoingMessage.objects.filter(kind="refund_approved").count() == 1

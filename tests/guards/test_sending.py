"""What becomes of an approved refund: sent, paid, failed, void; credit notes; money that is not there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, InternalError, connection, transaction

from accounts.models import User
from billing.gateways import Answer
from billing.models import CreditNote, Refund
from billing.models.states import IllegalTransition
from billing.queries import quote, quoted_total, returnable
from billing.services import sending
from billing.services.common import RefundRefused
from billing.services.review import approve, decline, propose, void
from billing.services.sending import fail, send, send_due, settle, take_back
from messaging.due import Run
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db
TODAY = NOW.date()


def approved(**case):
    refund = propose(refund=cast.refund_requested(**case), basis="unused", by=cast.staff("finance"), now=NOW)
    return approve(refund=refund, by=frank(), now=NOW)


def frank() -> User:
    return cast.staff("finance", "Frank")


def letters():
    return list(OutgoingMessage.objects.order_by("created_at", "id").values_list("kind", flat=True))


class TestNothingIsProposed:
    def test_it_needs_a_ground_and_is_not_approved_but_declined(self):
        refund, fiona = cast.refund_requested(), cast.staff("finance")
        with pytest.raises(RefundRefused, match="ground"):
            propose(refund=refund, basis="none", by=fiona, now=NOW)
        refund = propose(refund=refund, basis="none", ground="The damage is larger", by=fiona, now=NOW)
        assert (refund.state, refund.amount) == ("proposed", cast.euros("0"))
        with pytest.raises(RefundRefused, match="Decline the refund"):
            approve(refund=refund, by=frank(), now=NOW)
        assert letters() == []
        decline(refund=refund, by=frank(), ground="The damage is larger", now=NOW)
        assert letters() == ["refund_declined"]

    def test_nor_is_it_by_sql(self):
        refund = propose(refund=cast.refund_requested(), basis="none", ground="x", by=cast.staff("finance"), now=NOW)
        with pytest.raises(IntegrityError, match="has_a_sum"), transaction.atomic():
            Refund.objects.filter(pk=refund.pk).update(state="approved", approved_by=frank())

    def test_somebody_else_may_propose_a_sum_instead(self):
        refund = propose(refund=cast.refund_requested(), basis="none", ground="x", by=cast.staff("finance"), now=NOW)
        assert propose(refund=refund, basis="unused", by=frank(), now=NOW).amount == cast.euros("20")

    def test_an_unknown_basis_is_refused(self):
        with pytest.raises(RefundRefused, match="Choose the basis"):
            propose(refund=cast.refund_requested(), basis="all", by=cast.staff("finance"), now=NOW)


class TestMoneyThatIsNotThere:
    @pytest.mark.parametrize("dispute", ["open", "lost"])
    def test_a_disputed_payment_is_not_returned(self, dispute):
        refund = cast.refund_requested()
        refund.subscription.payments.update(dispute=dispute)
        assert quoted_total(quote(refund.subscription, ended_on=refund.ended_on)) == cast.euros("0")
        with pytest.raises(RefundRefused, match="Nothing can be returned"):
            propose(refund=refund, basis="full", by=cast.staff("finance"), now=NOW)
        with pytest.raises(IntegrityError, match="disputed"), transaction.atomic():
            refund.lines.create(payment=refund.subscription.payments.get(), amount=1, unused_days=1, period_days=30)

    def test_a_dispute_that_was_won_changes_nothing(self):
        refund = cast.refund_requested()
        refund.subscription.payments.update(dispute="won")
        assert propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW).amount == cast.euros("20")

    def test_a_dispute_that_arises_stops_approval_and_sending(self):
        proposal = propose(refund=cast.refund_requested(), basis="unused", by=cast.staff("finance"), now=NOW)
        proposal.subscription.payments.update(dispute="open")
        with pytest.raises(RefundRefused, match="under dispute"):
            approve(refund=proposal, by=frank(), now=NOW)
        proposal.subscription.payments.update(dispute="")
        done = approve(refund=proposal, by=frank(), now=NOW)
        proposal.subscription.payments.update(dispute="lost")
        with pytest.raises(RefundRefused, match="charged back"):
            send(refund=done, by=frank(), now=NOW)
        with pytest.raises(IntegrityError), transaction.atomic():
            Refund.objects.filter(pk=done.pk).update(state="sending")
        with pytest.raises(RefundRefused):
            settle(refund=done, by=frank(), reference="SEPA 1", paid_on=TODAY, now=NOW)
        assert fresh(done).state == "approved"


class TestByHand:
    def test_ordered_then_paid(self):
        refund = send(refund=approved(), by=frank(), now=NOW)
        assert (refund.state, refund.gateway, refund.attempt_due_at) == ("sending", "manual", None)
        assert send_due(now=NOW) == 0
        assert settle(refund=refund, by=frank(), reference="SEPA 1", paid_on=TODAY, now=NOW).state == "paid"

    def test_failed_sent_again_and_paid(self):
        refund = send(refund=approved(), by=frank(), now=NOW)
        with pytest.raises(RefundRefused, match="went wrong"):
            fail(refund=refund, by=frank(), ground=" ", now=NOW)
        refund = fail(refund=refund, by=frank(), ground="Account closed", now=NOW)
        assert (refund.state, refund.failure) == ("failed", "Account closed")
        assert "did not arrive" in OutgoingMessage.objects.get(kind="refund_failed").text
        send(refund=refund, by=frank(), now=NOW)
        assert settle(refund=refund, by=frank(), reference="SEPA 2", paid_on=TODAY, now=NOW).failure == ""

    def test_the_day_of_payment_is_plausible(self):
        with pytest.raises(RefundRefused, match="before the day on which the refund was requested"):
            settle(refund=approved(), by=frank(), reference="SEPA 1", paid_on=date(2020, 1, 1), now=NOW)

    @pytest.mark.parametrize("verb", [send, settle, fail])
    def test_not_before_it_is_approved(self, verb):
        refund = cast.refund_requested()
        told = {settle: {"reference": "x", "paid_on": TODAY}, fail: {"ground": "x"}, send: {}}[verb]
        with pytest.raises(IllegalTransition) as refused:
            verb(refund=refund, by=frank(), now=NOW, **told)
        assert (refused.value.reference, refused.value.state) == (refund.reference, "requested")


class TestVoid:
    def test_a_refund_that_lost_its_cause_frees_its_sum(self):
        refund = void(refund=approved(), by=frank(), ground="Taken back", now=NOW)
        assert refund.state == "void"
        assert "Taken back" in OutgoingMessage.objects.get(kind="refund_void").text
        assert quoted_total(quote(refund.subscription, ended_on=refund.ended_on)) == cast.euros("20")

    def test_not_once_money_moves(self):
        with pytest.raises(IllegalTransition, match="sending"):
            void(refund=send(refund=approved(), by=frank(), now=NOW), ground="x", now=NOW)

    def test_a_failed_one_is_owed_unless_the_payment_was_charged_back(self):
        refund = send(refund=approved(), by=frank(), now=NOW)
        refund = fail(refund=refund, by=frank(), ground="Account closed", now=NOW)
        with pytest.raises(RefundRefused, match="still owed"):
            void(refund=refund, by=frank(), ground="Too much work", now=NOW)
        refund.subscription.payments.update(dispute="lost")
        assert void(refund=refund, by=frank(), ground="The bank has returned it.", now=NOW).state == "void"
        assert OutgoingMessage.objects.filter(kind="refund_void").count() == 1


class TestCreditNotes:
    def pay(self, refund):
        return settle(refund=refund, by=frank(), reference="SEPA 1", paid_on=TODAY, now=NOW)

    def test_paid_refunds_are_numbered_without_gaps_in_the_order_of_payment(self):
        refunds = [approved() for _ in range(3)]
        void(refund=approved(), by=frank(), ground="x", now=NOW)
        paid = [self.pay(refunds[n]) for n in (2, 0, 1)]
        assert [one.credit_note for one in paid] == ["CN-000001", "CN-000002", "CN-000003"]
        for one in paid:
            assert one.credit_note in OutgoingMessage.objects.get(kind="refund_paid", recipient=one.notify).text

    def test_a_payment_that_was_rolled_back_leaves_no_gap(self):
        first, second = approved(), approved()
        with transaction.atomic():
            self.pay(first)
            transaction.set_rollback(True)
        assert (self.pay(second).credit_note_number, self.pay(first).credit_note_number) == (1, 2)

    def test_nobody_gives_or_takes_a_number_by_hand(self):
        first, second = self.pay(approved()), approved()
        Refund.objects.filter(pk=first.pk).update(credit_note_number=77)
        Refund.objects.filter(pk=second.pk).update(credit_note_number=5)
        assert (fresh(first).credit_note_number, fresh(second).credit_note_number) == (1, None)


@pytest.mark.django_db(transaction=True)
def test_many_payments_at_the_same_moment_are_numbered_without_gaps():
    refunds = [approved() for _ in range(8)]
    frank()

    def pay(refund):
        try:
            return settle(refund=refund, by=frank(), reference="X", paid_on=TODAY, now=NOW).credit_note_number
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(pay, refunds)) == list(range(1, 9))


def approved_over_two():
    """Of two payments, 20.00 and 30.00."""
    refund = cast.refund_requested()
    cast.payment(refund.subscription, date(2026, 4, 1), date(2026, 5, 1))
    propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW)
    return approve(refund=refund, by=frank(), now=NOW)


class Bank:
    """A gateway of ours for the worker's side of the matter: it answers as it is told, and remembers its keys."""

    def __init__(self, *answers):
        self.answers, self.keys = list(answers), []

    def send(self, key, part):
        self.keys.append((key, part.payment, part.amount))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def leased(now):
    """A refund as a worker holds it while it calls the gateway."""
    return next(sending.SENDING.results(Run(now)))


class TestThroughAGateway:
    @pytest.fixture
    def bank(self, monkeypatch):
        bank = Bank()
        monkeypatch.setattr(sending, "gateway_name", lambda refund: "bank")
        monkeypatch.setattr(sending, "gateway_by_name", lambda name: bank)
        return bank

    def test_the_state_is_committed_before_the_gateway_is_called(self, bank):
        refund = send(refund=approved(), by=frank(), now=NOW)
        assert (fresh(refund).state, bank.keys) == ("sending", [])
        bank.answers = [Answer("paid", "re_1")]
        assert send_due(now=NOW) == 1
        refund = fresh(refund)
        assert (refund.state, refund.settlement_reference, refund.settled_by) == ("paid", "re_1", None)
        assert bank.keys[0][0] == refund.pk

    @pytest.mark.parametrize("unclear", [Answer("unclear", detail="time-out"), RuntimeError("broken")])
    def test_an_unclear_answer_is_asked_again_with_the_same_key_and_never_assumed(self, bank, unclear):
        refund = send(refund=approved(), by=frank(), now=NOW)
        bank.answers = [unclear, Answer("paid", "re_1")]
        assert send_due(now=NOW) == 0
        assert fresh(refund).state == "sending"
        assert fresh(refund).failure
        assert send_due(now=NOW + timedelta(seconds=30)) == 0
        assert len(bank.keys) == 1
        with pytest.raises(RefundRefused, match="Wait for its answer"):
            settle(refund=refund, by=frank(), reference="x", paid_on=TODAY, now=NOW)
        assert send_due(now=NOW + timedelta(minutes=2)) == 1
        assert bank.keys[0] == bank.keys[1]
        assert letters().count("refund_paid") == 1

    def test_a_worker_that_died_while_calling_leaves_it_to_the_next(self, bank):
        refund = send(refund=approved(), by=frank(), now=NOW)
        assert leased(NOW).pk == refund.pk  # and is killed
        bank.answers = [Answer("paid", "re_1")]
        assert send_due(now=NOW + timedelta(minutes=1)) == 0
        assert send_due(now=NOW + timedelta(minutes=6)) == 1

    def test_an_answer_that_comes_after_the_lease_is_not_written_twice(self, bank):
        send(refund=approved(), by=frank(), now=NOW)
        slow = leased(NOW)
        bank.answers = [Answer("paid", "re_1")]
        send_due(now=NOW + timedelta(minutes=6))
        assert sending._record(slow, [Answer("failed", detail="late")], NOW) is False
        assert fresh(slow).state == "paid"

    def test_the_answer_of_a_call_before_it_was_sent_again_is_not_taken_for_the_new_one(self, bank):
        refund = send(refund=approved(), by=frank(), now=NOW)
        slow = leased(NOW)
        bank.answers = [Answer("failed", detail="Card expired"), Answer("paid", "re_2")]
        send_due(now=NOW + timedelta(minutes=6))
        send(refund=refund, by=frank(), now=NOW + timedelta(minutes=7))
        assert leased(NOW + timedelta(minutes=7)).attempts == 3
        assert sending._record(slow, [Answer("failed", detail="late")], NOW) is False
        assert send_due(now=NOW + timedelta(minutes=20)) == 1
        assert fresh(refund).state == "paid"

    @pytest.mark.parametrize("change", [{"amount_refunded": 20}, {"dispute": "open"}, {"dispute": "lost"}])
    def test_news_about_the_payment_of_a_refund_under_way_stops_neither_it_nor_the_others(self, bank, change):
        refunds = [send(refund=approved(), by=frank(), now=NOW) for _ in range(3)]
        bank.answers = [Answer("unclear", detail="time-out"), *2 * [Answer("paid", "re_1")]]
        assert send_due(now=NOW) == 2
        unclear = next(refund for refund in map(fresh, refunds) if refund.state == "sending")
        unclear.subscription.payments.update(**change)
        bank.answers = [Answer("unclear", detail="time-out"), Answer("paid", "re_2")]
        assert send_due(now=NOW + timedelta(minutes=2)) == 0
        assert send_due(now=NOW + timedelta(minutes=20)) == 1
        assert fresh(unclear).state == "paid"

    def test_failed_is_sent_again_or_settled_by_hand(self, bank):
        refund = send(refund=approved(), by=frank(), now=NOW)
        bank.answers = [Answer("failed", detail="Card expired")]
        send_due(now=NOW)
        assert (fresh(refund).state, fresh(refund).failure) == ("failed", "Card expired")
        done = settle(refund=refund, by=frank(), reference="SEPA 9", paid_on=TODAY, now=NOW)
        assert (done.state, done.settlement_reference, done.failure) == ("paid", "SEPA 9", "")

    def test_what_moved_of_a_refund_that_failed_stays_counted_and_is_not_sent_again(self, bank):
        refund = send(refund=approved_over_two(), by=frank(), now=NOW)
        bank.answers = [Answer("paid", "re_1"), Answer("failed", "re_2", "Card closed")]
        assert send_due(now=NOW) == 1
        refund = fresh(refund)
        first, second = refund.lines.order_by("payment_id")
        assert (refund.state, refund.failure) == ("failed", "Card closed")
        assert [(line.state, line.reference) for line in (first, second)] == [("returned", "re_1"), ("failed", "re_2")]
        assert refund.outstanding == second.money
        other = cast.refund_requested(subscription=refund.subscription)
        lines = propose(refund=other, basis="full", by=cast.staff("finance"), now=NOW).lines
        left = {
            first.payment_id: first.payment.amount.amount - first.amount,
            second.payment_id: second.payment.amount.amount,
        }
        assert dict(lines.values_list("payment_id", "amount")) == left
        decline(refund=other, by=frank(), ground="Another one is under way.", now=NOW)

        send(refund=refund, by=frank(), now=NOW)
        bank.answers = [Answer("paid", "re_3")]
        assert send_due(now=NOW) == 1
        assert [payment for _, payment, _ in bank.keys].count(first.payment.reference) == 1
        assert (fresh(refund).state, fresh(refund).settlement_reference) == ("paid", "re_1, re_3")

    def test_the_rest_is_paid_by_hand(self, bank):
        refund = send(refund=approved_over_two(), by=frank(), now=NOW)
        bank.answers = [Answer("paid", "re_1"), Answer("failed", detail="Card closed")]
        send_due(now=NOW)
        settle(refund=refund, by=frank(), reference="SEPA 9", paid_on=TODAY, now=NOW)
        lines = fresh(refund).lines.order_by("payment_id")
        assert list(lines.values_list("state", "reference")) == [("returned", "re_1"), ("returned", "SEPA 9")]
        take_back(refund=refund, by=frank(), ground="Account closed", now=NOW)
        assert list(lines.values_list("state", "reference")) == [("returned", "re_1"), ("failed", "SEPA 9")]
        assert fresh(refund).outstanding == lines.last().money

    @pytest.mark.parametrize("again", ["paid", "failed"])
    def test_a_line_with_an_unclear_answer_is_asked_again_alone(self, bank, again):
        refund = send(refund=approved_over_two(), by=frank(), now=NOW)
        bank.answers = [Answer("unclear", detail="time-out"), Answer("paid", "re_2")]
        assert send_due(now=NOW) == 0
        assert fresh(refund).state == "sending"
        bank.answers = [Answer(again, "re_1", "Card closed" if again == "failed" else "")]
        assert send_due(now=NOW + timedelta(minutes=2)) == 1
        assert fresh(refund).state == again

    def test_two_workers_call_it_once(self, bank):
        for _ in range(3):
            send(refund=approved(), by=frank(), now=NOW)
        bank.answers = 3 * [Answer("paid", "re_1")]
        assert (send_due(now=NOW), send_due(now=NOW)) == (3, 0)
        assert len(bank.keys) == 3


class TestTheMailAboutAProposal:
    def waiting(self):
        return [(mail.kind, mail.due_at - NOW) for mail in OutgoingMessage.objects.order_by("created_at", "due_at")]

    def test_leaves_after_a_pause_in_which_it_can_be_corrected(self):
        refund = cast.refund_requested()
        later = NOW + timedelta(minutes=10)
        propose(refund=refund, basis="full", by=cast.staff("finance"), now=NOW)
        propose(refund=refund, basis="unused", by=cast.staff("finance"), now=later)
        assert self.waiting() == [("refund_proposed", timedelta(minutes=25))]
        assert "€20" in OutgoingMessage.objects.get().text

    def test_is_needless_once_it_is_decided(self):
        approved()
        assert self.waiting() == [("refund_approved", timedelta(0))]

    def test_that_has_left_is_followed_by_the_decision(self):
        refund = propose(refund=cast.refund_requested(), basis="unused", by=cast.staff("finance"), now=NOW)
        approve(refund=refund, by=frank(), now=NOW + timedelta(hours=1))
        assert [kind for kind, _ in self.waiting()] == ["refund_proposed", "refund_approved"]

    def test_of_another_refund_is_not_held_back(self):
        first = propose(refund=cast.refund_requested(), basis="unused", by=cast.staff("finance"), now=NOW)
        second = cast.refund_requested()
        assert first.about == second.about
        propose(refund=second, basis="unused", by=cast.staff("finance"), now=NOW)
        decline(refund=second, by=frank(), ground="The period was used.", now=NOW)
        assert sorted(kind for kind, _ in self.waiting()) == ["refund_declined", "refund_proposed"]

    def test_is_not_sent_by_setting(self, settings):
        settings.REFUND_PROPOSAL_MAIL_MINUTES = None
        propose(refund=cast.refund_requested(), basis="unused", by=cast.staff("finance"), now=NOW)
        assert self.waiting() == []


class TestWhatCameBack:
    def test_is_owed_again_and_has_a_credit_note_of_its_own(self):
        refund = settle(refund=approved(), by=frank(), reference="SEPA 1", paid_on=TODAY, now=NOW)
        take_back(refund=refund, by=frank(), ground="Account closed", now=NOW)
        refund = fresh(refund)
        assert (refund.state, refund.failure, refund.paid_on, refund.credit_note) == (
            "failed",
            "Account closed",
            None,
            "",
        )
        settle(refund=refund, by=frank(), reference="SEPA 2", paid_on=TODAY, now=NOW)
        notes = [(str(note), str(note.reverses or ""), note.proof) for note in refund.credit_notes.all()]
        assert notes == [
            ("CN-000001", "", "SEPA 1"),
            ("CN-000002", "CN-000001", "Account closed"),
            ("CN-000003", "", "SEPA 2"),
        ]
        assert fresh(refund).credit_note == "CN-000003"
        assert letters().count("refund_failed") == 1

    def test_is_said_by_the_gateway_that_paid_it(self):
        refund = settle(refund=approved(), by=frank(), reference="re_1", paid_on=TODAY, now=NOW)
        Refund.objects.filter(pk=refund.pk).update(gateway="stripe")
        with pytest.raises(RefundRefused, match="Stripe paid this refund"):
            take_back(refund=refund, by=frank(), ground="Account closed", now=NOW)

    def test_only_of_what_was_paid(self):
        with pytest.raises(IllegalTransition):
            take_back(refund=approved(), by=frank(), ground="Account closed", now=NOW)

    def test_no_credit_note_is_changed_or_deleted(self):
        settle(refund=approved(), by=frank(), reference="SEPA 1", paid_on=TODAY, now=NOW)
        for forbidden in (CreditNote.objects.all().delete, lambda: CreditNote.objects.update(amount=1)):
            with pytest.raises(InternalError, match="Cannot"), transaction.atomic():
                forbidden()


class TestWhatTheExportCounts:
    """`amount_refunded` of an export is the company's figure, and includes the portal's refunds sooner or later."""

    def paid(self):
        refund = settle(refund=approved(), by=frank(), reference="SEPA 1", paid_on=TODAY, now=NOW)
        return refund.lines.get().payment

    @pytest.mark.parametrize(
        ("figures", "left"),
        [(["20"], "10"), (["20", "20"], "10"), (["25"], "5"), (["5"], "5"), (["5", "25"], "5"), (["0"], "10"),
         (["20", "0"], "10")],
    )  # fmt: skip
    def test_our_refund_is_not_counted_twice(self, figures, left):
        payment = self.paid()
        for figure in figures:
            payment.amount_refunded = Decimal(figure)
            payment.save()
            payment.refresh_from_db()
        assert returnable([payment]) == {payment.pk: Decimal(left)}
        second = cast.refund_requested(subscription=payment.subscription)
        amount = Decimal(left) + Decimal("0.01")
        with pytest.raises(RefundRefused, match="at most"):
            propose(refund=second, basis="custom", amount=amount, ground="x", by=cast.staff("finance"), now=NOW)
        propose(refund=second, basis="custom", amount=Decimal(left), ground="x", by=cast.staff("finance"), now=NOW)

    def test_one_of_two_refunds_is_recognised_by_its_sum(self):
        refund = settle(refund=approved(), by=frank(), reference="SEPA 1", paid_on=TODAY, now=NOW)
        second = cast.refund_requested(subscription=refund.subscription)
        propose(refund=second, basis="custom", amount=Decimal(4), ground="x", by=cast.staff("finance"), now=NOW)
        approve(refund=second, by=frank(), now=NOW)
        settle(refund=second, by=frank(), reference="SEPA 2", paid_on=TODAY, now=NOW)
        payment = refund.lines.get().payment
        for figure, ours in ((4, 4), (24, 24), (26, 24)):
            payment.amount_refunded = figure
            payment.save()
            payment.refresh_from_db()
            assert payment.refunded_by_us == ours


class TestAPartUnderDispute:
    @pytest.mark.parametrize(("part", "left"), [(None, "0"), ("10", "20"), ("30", "0"), ("0", "30")])
    @pytest.mark.parametrize("dispute", ["open", "lost"])
    def test_is_not_ours_to_return_and_the_rest_is(self, dispute, part, left):
        refund = cast.refund_requested()
        refund.subscription.payments.update(dispute=dispute, amount_disputed=part)
        amount = Decimal(left)
        assert list(returnable(refund.subscription.payments.all()).values()) == [amount]
        with pytest.raises(RefundRefused):
            propose(refund=refund, basis="custom", amount=amount + 1, ground="x", by=cast.staff("finance"), now=NOW)
        if amount:
            propose(refund=refund, basis="custom", amount=amount, ground="x", by=cast.staff("finance"), now=NOW)
            approve(refund=refund, by=frank(), now=NOW)

    def test_counts_once_it_is_settled_for_us(self):
        payment = cast.refund_requested().subscription.payments.get()
        payment.dispute, payment.amount_disputed = "won", Decimal(10)
        assert payment.refundable == payment.amount

    def test_stops_an_approved_refund_that_needs_it(self):
        refund = approved()
        refund.subscription.payments.update(dispute="open", amount_disputed=11)
        with pytest.raises(RefundRefused, match="with €11"):
            send(refund=refund, by=frank(), now=NOW)
        refund.subscription.payments.update(amount_disputed=10)
        assert send(refund=refund, by=frank(), now=NOW).state == "sending"

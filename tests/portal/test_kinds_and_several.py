"""Several subscriptions in one declaration; cooling-off and for-cause cancellations; files that support a ground."""

import re
from datetime import date, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.timeline import entries
from billing.models import Payment, Refund, Subscription
from billing.models.states import IllegalTransition
from billing.services.review import approve, propose
from billing.services.sending import send
from cancellations.letters.proof import proof_token
from cancellations.models import Attachment, CancellationRequest, Kind
from cancellations.rules.files import MAX_FILE_BYTES
from cancellations.services.common import RequestRefused
from cancellations.services.enforcement import enforce
from cancellations.services.review import change_kind, decline, schedule, waive_notice
from cancellations.services.submission import withdraw
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"


@pytest.fixture(autouse=True)
def moment():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def policy(db):
    return cast.policy()


@pytest.fixture
def bob(db):
    """Holds two subscriptions: monthly on the 31st, and on the 20th (whose deadline has passed)."""
    holder = cast.account("Bob")
    cast.subscription(holder)
    cast.subscription(holder, plan_name="Dialer", billing_anchor=date(2025, 1, 20))
    return holder


def signed_in(holder):
    client = Client()
    client.force_login(cast.User.objects.filter(email=holder.email).first() or cast.customer(holder))
    return client


def draft_of(response):
    return re.search(r'name="draft" value="([^"]+)"', response.content.decode())[1]


def confirm(client, response):
    return client.post("/cancel/", {"draft": draft_of(response), "step": "confirm"})


def references(holder):
    return [one.reference for one in holder.subscriptions.all()]


class TestSeveral:
    def test_one_declaration_gives_one_reference_one_receipt_and_a_decision_each(self, policy, bob):
        client = signed_in(bob)
        form = {"subscription": references(bob), "reason": "unused", "words": "All of it.", "step": "check"}
        checked = client.post("/cancel/", form)
        page = checked.content.decode()
        assert "Saturday, 28 February 2026" in page
        assert "Friday, 20 March 2026" in page
        received = client.get(confirm(client, checked).url).content.decode()
        first, second = CancellationRequest.objects.order_by("part")
        assert (second.reference, second.declaration) == (f"{first.reference}-2", first.reference)
        assert (first.effective_on, second.effective_on) == (date(2026, 2, 28), date(2026, 3, 20))
        assert received.count(first.reference) >= 1
        assert second.reference not in received
        (receipt,) = OutgoingMessage.objects.all()
        assert "28 February 2026" in receipt.text
        assert "20 March 2026" in receipt.text
        schedule(request=second, by=cast.staff("support"), now=NOW)
        decline(request=first, by=cast.staff("support"), ground="not_account_holder", now=NOW)
        status = client.get(f"/requests/{first.reference}/").content.decode()
        assert "Your cancellation of 2 subscriptions" in status
        assert "we could not accept this" in status
        assert "ends on" in status

    def test_the_same_form_twice_and_a_second_tab_make_no_second_declaration(self, policy, bob):
        client = signed_in(bob)
        form = {"subscription": references(bob), "reason": "unused", "step": "check"}
        tabs = [client.post("/cancel/", form) for _ in range(2)]
        urls = {confirm(client, tab).url for tab in [*tabs, tabs[0]]}
        assert len(urls) == 1
        assert CancellationRequest.objects.count() == 2

    def test_what_another_tab_cancelled_counts_together_with_it(self, policy, bob):
        client = signed_in(bob)
        form = {"subscription": references(bob), "reason": "unused", "words": "Both", "step": "check"}
        both = client.post("/cancel/", form)
        first = bob.subscriptions.first()
        lead = cast.in_review(first)
        page = client.get(confirm(client, both).url).content.decode()
        assert lead.declaration in page
        joined, own = CancellationRequest.objects.exclude(pk=lead.pk).order_by("part")
        assert (joined.words, joined.state, joined.joined_to) == ("Both", "superseded", lead)
        assert (own.state, own.declaration) == ("in_review", joined.declaration)
        assert first.requests.filter(state="in_review").count() == 1

    def test_subscriptions_of_two_accounts_are_not_one_declaration(self, policy, bob):
        other = cast.subscription(cast.account("Bob", email=bob.email))
        answer = signed_in(bob).post(
            "/cancel/", {"subscription": [*references(bob), other.reference], "reason": "unused", "step": "check"}
        )
        assert answer.status_code == 422
        assert "subscriptions of one account" in answer.content.decode()
        with pytest.raises(RequestRefused, match="one account"):
            cast.of_several(bob.subscriptions.first(), other)

    def test_a_guest_chooses_several_behind_the_link(self, client, policy, bob):
        request = cast.unverified(bob)
        link = reverse("request_proof", args=[proof_token(request)])
        assert client.post(link, {"subscription": references(bob)}).status_code == 302
        rows = CancellationRequest.objects.order_by("part")
        assert [(row.state, row.received_at, row.words) for row in rows] == 2 * [("in_review", NOW, request.words)]
        assert OutgoingMessage.objects.filter(kind="received").count() == 1
        assert "Your cancellation of 2 subscriptions" in client.get(f"/requests/{rows[1].reference}/").content.decode()

    def test_one_of_several_is_taken_back(self, policy, bob):
        first, second = cast.of_several(*bob.subscriptions.all())
        client = signed_in(bob)
        page = reverse("request_take_back", args=[first.declaration])
        answer = client.post(page, {})
        assert "Choose what you want to take back" in answer.content.decode()
        stranger = cast.in_review()
        assert client.post(page, {"request": stranger.reference}).status_code == 422
        client.post(page, {"request": second.reference})
        assert (fresh(first).state, fresh(second).state, fresh(stranger).state) == (
            "in_review",
            "withdrawn",
            "in_review",
        )
        assert "Dialer" in OutgoingMessage.objects.get(kind="withdrawn").text

    def test_taking_back_is_all_or_nothing(self, policy, bob, moment):
        first, second = cast.of_several(*bob.subscriptions.all())
        with pytest.raises(IllegalTransition) as refused:
            withdraw(requests=[first, second], now=first.effective_at)
        assert (refused.value.reference, refused.value.verb) == (first.reference, "withdraw")
        assert fresh(second).state == "in_review"

    def test_the_account_page_offers_all_together(self, policy, bob):
        page = signed_in(bob).get("/subscriptions/").content.decode()
        assert "Cancel all 2 together" in page
        query = re.search(r'href="/cancel/\?((?:subscription=[^"&]+&?(?:amp;)?){2})"', page)[1]
        form = signed_in(bob).get("/cancel/?" + query.replace("&amp;", "&")).content.decode()
        assert form.count(" checked") == 2


class TestCoolingOff:
    @pytest.fixture
    def new(self, db):
        of = cast.subscription(started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 1))
        cast.payment(of, date(2026, 2, 1), date(2026, 3, 1))
        return of

    def test_it_ends_at_the_instant_of_receipt_without_any_review(self, policy, new, moment):
        client = signed_in(new.account)
        assert "Withdraw from contract here" in client.get("/subscriptions/").content.decode()
        form = client.get("/cancel/?kind=cooling_off").content.decode()
        assert "Why are you leaving?" not in form
        checked = client.post("/cancel/", {"kind": "cooling_off", "subscription": new.reference, "step": "check"})
        assert "At once, when you confirm" in checked.content.decode()
        assert "Confirm withdrawal" in checked.content.decode()
        moment.shift(timedelta(minutes=3))
        page = client.get(confirm(client, checked).url).content.decode()
        assert "ends at once" in page
        request = CancellationRequest.objects.get()
        assert (request.state, request.effective_at, request.kind) == ("scheduled", NOW, Kind.COOLING_OFF)
        enforce(now=NOW + timedelta(minutes=4))
        assert fresh(request).state == "effective"
        assert fresh(new).ended_on == date(2026, 2, 12)
        refund = Refund.objects.get()
        assert (refund.computed_basis, refund.whole_contract) == ("full", True)
        proposal = propose(refund=refund, basis="full", by=cast.staff("finance"), now=NOW)
        assert proposal.amount == cast.euros("30")

    def test_after_its_days_the_way_is_closed_for_the_signed_in_and_ordinary_for_a_guest(self, policy, client):
        of = cast.subscription()
        answer = signed_in(of.account).get("/cancel/?kind=cooling_off", follow=True).content.decode()
        assert "within its cooling-off days" in answer
        request = cast.unverified(of.account, kind=Kind.COOLING_OFF, reason="")
        link = reverse("request_proof", args=[proof_token(request)])
        assert "The cooling-off days ended on" in client.get(link).content.decode()
        client.post(link)
        request = fresh(request)
        assert (request.kind_declared, request.kind, request.state) == ("cooling_off", "ordinary", "in_review")
        assert (request.effective_on, request.kind_ground) == (
            date(2026, 2, 28),
            "The cooling-off days were over when it was received",
        )

    def test_an_ordinary_one_that_waits_for_proof_does_not_swallow_it(self, policy, new, client):
        cast.unverified(new.account)
        request = cast.unverified(new.account, kind=Kind.COOLING_OFF, reason="")
        assert request.kind_declared == "cooling_off"
        client.post(reverse("request_proof", args=[proof_token(request)]))
        assert fresh(request).state == "scheduled"

    def test_late_proof_keeps_the_time_of_receipt(self, policy, new, client, moment):
        request = cast.unverified(new.account, kind=Kind.COOLING_OFF, reason="")
        moment.shift(timedelta(days=6))  # the 18th: the cooling-off days are over by now
        client.post(reverse("request_proof", args=[proof_token(request)]))
        enforce(now=NOW + timedelta(days=6))
        assert (fresh(request).state, fresh(new).ended_on) == ("effective", date(2026, 2, 12))

    def test_it_cannot_be_taken_back_once_received(self, policy, new):
        request = cast.in_review(new, kind=Kind.COOLING_OFF, reason="")
        with pytest.raises(IllegalTransition, match="effective"):
            withdraw(requests=[request], now=NOW + timedelta(seconds=1))

    def test_every_week_paid_since_the_start_is_part_of_it(self, policy):
        of = cast.subscription(started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 1), interval_unit="week")
        for start, end in ((1, 8), (8, 15)):
            cast.payment(of, date(2026, 2, start), date(2026, 2, end))
        cast.in_review(of, kind=Kind.COOLING_OFF, reason="")
        enforce(now=NOW + timedelta(minutes=1))
        refund = propose(refund=Refund.objects.get(), basis="full", by=cast.staff("finance"), now=NOW)
        assert (refund.amount, refund.lines.count()) == (cast.euros("60"), 2)


class TestForCause:
    def ask(self, of, **given):
        return cast.in_review(of, kind=Kind.FOR_CAUSE, reason="", cause="The CRM lost our contacts.", **given)

    def test_the_form_asks_for_the_ground_and_shows_the_date_that_holds_at_the_latest(self, policy):
        of = cast.subscription()
        client = signed_in(of.account)
        empty = client.post("/cancel/", {"kind": "for_cause", "subscription": of.reference, "step": "check"})
        assert empty.status_code == 422
        assert "Say why you have to leave at once" in empty.content.decode()
        told = {"kind": "for_cause", "subscription": of.reference, "cause": "Data <b>lost</b>", "step": "check"}
        checked = client.post("/cancel/", told)
        assert "Saturday, 28 February 2026" in checked.content.decode()
        assert "At the latest" in checked.content.decode()
        assert "Data &lt;b&gt;lost&lt;/b&gt;" in checked.content.decode()
        confirm(client, checked)
        request = CancellationRequest.objects.get()
        assert (request.kind, request.cause, request.reason) == (Kind.FOR_CAUSE, "Data <b>lost</b>", "")

    def test_it_is_reviewed_even_where_plain_requests_are_not(self):
        cast.policy(review_mode="exceptions")
        assert cast.in_review().state == "scheduled"
        assert self.ask(cast.subscription()).state == "in_review"

    def test_an_accepted_ground_ends_it_by_its_receipt_and_queues_the_review(self, policy):
        of = cast.subscription()
        cast.payment(of, date(2026, 1, 31), date(2026, 2, 28))
        request = schedule(request=self.ask(of), by=cast.staff("support"), now=NOW + timedelta(days=2))
        assert (request.effective_at, request.effective_on) == (NOW, date(2026, 2, 12))
        enforce(now=NOW + timedelta(days=2))
        assert fresh(of).ended_on == date(2026, 2, 12)
        refund = Refund.objects.get()
        assert (refund.ended_on, refund.customer_reason) == (date(2026, 2, 12), "The CRM lost our contacts.")
        assert propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW).amount == cast.euros("17.14")

    def test_otherwise_it_is_ordinary_from_the_same_time_of_receipt(self, policy):
        request = self.ask(cast.subscription())
        sam = cast.staff("support")
        with pytest.raises(RequestRefused, match="ground"):
            change_kind(request=request, by=sam, kind="ordinary", ground=" ", now=NOW)
        request = change_kind(request=request, by=sam, kind="ordinary", ground="No trace of a loss.", now=NOW)
        assert (request.received_at, request.effective_on, request.state) == (NOW, date(2026, 2, 28), "in_review")
        assert "No trace of a loss." in OutgoingMessage.objects.get(kind="kind_changed").text
        schedule(request=request, by=sam, now=NOW)
        assert fresh(request).effective_on == date(2026, 2, 28)

    def test_silence_ends_it_on_the_ordinary_date_and_finance_sees_the_ground(self, policy):
        of = cast.subscription()
        cast.payment(of, date(2026, 1, 31), date(2026, 2, 28))
        request = self.ask(of)
        enforce(now=NOW + timedelta(hours=1))
        assert fresh(request).state == "in_review"
        enforce(now=request.effective_at)
        assert (fresh(request).state, fresh(of).ended_on) == ("effective", date(2026, 2, 28))
        assert Refund.objects.get().customer_reason == "The CRM lost our contacts."

    def test_it_waits_on_top_of_the_queue(self, policy):
        assert fresh(self.ask(cast.subscription())).due_at == NOW

    def test_the_database_wants_a_ground_and_somebody(self, policy):
        request = self.ask(cast.subscription())
        rows = CancellationRequest.objects.filter(pk=request.pk)
        with pytest.raises(IntegrityError, match="kind_changes_on_a_ground"), transaction.atomic():
            rows.update(kind="ordinary")
        with pytest.raises(IntegrityError, match="accepted_by_somebody"), transaction.atomic():
            rows.update(ground_accepted=True)


class TestChangingTheKind:
    def test_a_scheduled_request_may_only_end_sooner(self, policy):
        of = cast.subscription(started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 1))
        request, sam = cast.scheduled(of), cast.staff("support")
        told = {"by": sam, "ground": "Wrote within 14 days", "now": NOW}
        request = change_kind(request=request, kind="cooling_off", **told)
        assert (request.effective_at, request.state) == (NOW, "scheduled")
        with pytest.raises(RequestRefused, match="is scheduled"):
            change_kind(request=request, kind="ordinary", **told)

    def test_not_to_cooling_off_after_its_days_nor_to_the_same_nor_to_nonsense(self, policy):
        request, sam = cast.in_review(), cast.staff("support")
        for kind, sentence in (("cooling_off", "were over"), ("ordinary", "already"), ("nonsense", "Choose the kind")):
            with pytest.raises(RequestRefused, match=sentence):
                change_kind(request=request, by=sam, kind=kind, ground="x", now=NOW)
        assert fresh(request).kind == "ordinary"
        (done,) = withdraw(requests=[request], now=NOW)
        with pytest.raises(IllegalTransition, match="change the kind of"):
            change_kind(request=done, by=sam, kind="for_cause", ground="x", now=NOW)


class TestItsRefund:
    """What a customer asks for is reviewed from the acceptance on, and follows the request."""

    def asked(self, at=NOW):
        of = cast.subscription()
        cast.payment(of, date(2026, 2, 28), date(2026, 3, 31))
        return cast.scheduled(of, at=at, refund_wanted=True, refund_reason="Did not work")

    def test_taking_the_cancellation_back_voids_it(self, policy):
        request = self.asked()
        propose(refund=request.refund, basis="full", by=cast.staff("finance"), now=NOW)
        withdraw(requests=[request], now=NOW)
        assert fresh(request.refund).state == "void"
        assert OutgoingMessage.objects.filter(kind="refund_void").count() == 1
        told = [(entry.verb, entry.actor) for entry in entries(fresh(request))]
        assert told == [("submit", "customer"), ("schedule", "staff"), ("withdraw", "customer")]

    def test_not_once_the_money_is_under_way(self, policy):
        request = self.asked()
        fiona, frank = cast.staff("finance"), cast.staff("finance", "Frank")
        propose(refund=request.refund, basis="full", by=fiona, now=NOW)
        approve(refund=request.refund, by=frank, now=NOW)
        send(refund=request.refund, by=frank, now=NOW)
        client = signed_in(request.account)
        page = client.post(reverse("request_take_back", args=[request.reference]), follow=True)
        assert "on its way to you already" in page.content.decode()
        assert fresh(request).state == "scheduled"

    def test_a_new_end_date_starts_its_review_anew(self, policy):
        request = self.asked(at=NOW.replace(day=20))
        told = {"basis": "custom", "amount": Decimal("5"), "ground": "Goodwill", "now": NOW}
        refund = propose(refund=request.refund, by=cast.staff("finance"), **told)
        assert refund.ended_on == date(2026, 3, 31)
        waive_notice(request=request, by=cast.staff("support"), ground="In hospital", now=NOW)
        refund = fresh(refund)
        assert (refund.ended_on, refund.state, refund.lines.count()) == (date(2026, 2, 28), "requested", 0)

    def test_another_kind_starts_its_review_anew_from_that_kinds_basis(self, policy):
        of = cast.subscription(started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 1))
        cast.payment(of, date(2026, 2, 1), date(2026, 3, 1))
        request = cast.scheduled(of, refund_wanted=True, refund_reason="Did not work")
        assert request.refund.computed_basis == "unused"
        sam = cast.staff("support")
        change_kind(request=request, by=sam, kind="cooling_off", ground="Wrote within 14 days", now=NOW)
        refund = fresh(request.refund)
        assert (refund.computed_basis, refund.whole_contract, refund.ended_on) == ("full", True, date(2026, 2, 12))

    def test_another_kind_may_bring_the_day_of_the_decision_forward(self, policy):
        of = cast.subscription(started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 1))
        cast.payment(of, date(2026, 2, 1), date(2026, 3, 1))
        request = cast.scheduled(of, refund_wanted=True, refund_reason="Did not work")
        type(request.refund).objects.filter(pk=request.refund_id).update(decision_due_on=date(2026, 4, 1))
        change_kind(request=request, by=cast.staff("support"), kind="cooling_off", ground="Wrote in time", now=NOW)
        refund = fresh(request.refund)
        assert refund.pay_by_on == refund.decision_due_on == date(2026, 2, 26)

    def test_an_end_in_another_way_voids_it(self, policy):
        request = self.asked()
        Subscription.objects.update(ended_on=date(2026, 2, 12), ended_by="crm")
        assert [result.what for result in enforce(now=NOW)] == ["superseded"]
        assert fresh(request.refund).state == "void"

    def test_what_was_decided_is_not_reviewed_again_without_new_money(self, policy):
        request = self.asked()
        Payment.objects.update(paid_at=NOW - timedelta(days=1))
        fiona, frank = cast.staff("finance"), cast.staff("finance", "Frank")
        propose(refund=request.refund, basis="custom", amount=Decimal(5), ground="Goodwill", by=fiona, now=NOW)
        approve(refund=request.refund, by=frank, now=NOW)
        enforce(now=request.effective_at)
        assert fresh(request).refund == request.refund

    def test_money_that_comes_in_after_the_decision_is_reviewed_at_the_end(self, policy):
        request = self.asked()
        fiona, frank = cast.staff("finance"), cast.staff("finance", "Frank")
        propose(refund=request.refund, basis="full", by=fiona, now=NOW)
        first = approve(refund=request.refund, by=frank, now=NOW)
        cast.payment(
            request.subscription, date(2026, 3, 31), date(2026, 4, 30)
        )  # the company's system charged once more
        enforce(now=request.effective_at)
        assert fresh(first).state == "approved"
        newest = fresh(request).refund
        assert (newest.state, newest.pk == first.pk) == ("requested", False)


class TestFiles:
    def cause(self, **given):
        return cast.in_review(kind=Kind.FOR_CAUSE, reason="", cause="Data lost", **given)

    def upload(self, client, request, *files):
        given = [SimpleUploadedFile(name, content) for name, content in files]
        return client.post(reverse("request_files", args=[request.reference]), {"file": given})

    def test_files_are_kept_and_handed_out_only_to_be_saved(self, policy):
        request = self.cause()
        client = signed_in(request.account)
        answer = self.upload(client, request, ("../../etc/beleg.pdf", PDF), ("screen.jpg", b"\xff\xd8\xff\xe0 jpeg"))
        assert answer.status_code == 302, answer.content.decode()
        self.upload(client, request, ("again.pdf", PDF))  # the same file once more
        assert sorted(Attachment.objects.values_list("name", flat=True)) == ["beleg.pdf", "screen.jpg"]
        kept = Attachment.objects.get(name="beleg.pdf")
        got = client.get(reverse("request_file", args=[request.reference, kept.pk]))
        assert got.content == PDF
        assert got["Content-Disposition"] == 'attachment; filename="beleg.pdf"'
        assert (got["X-Content-Type-Options"], got["Content-Type"]) == ("nosniff", "application/pdf")
        assert got["Content-Security-Policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            ("page.html", b"<html><script>alert(1)</script>", "of a type that we cannot take"),
            ("picture.svg", b"<svg onload=alert(1)>", "of a type that we cannot take"),
            ("fake.pdf", b"MZ\x90\x00", "of a type that we cannot take"),
            ("fake.txt", b"  \n<script>alert(1)</script>", "of a type that we cannot take"),
            ("empty.pdf", b"", "is empty"),
            ("big.pdf", PDF + b"x" * MAX_FILE_BYTES, "larger than 5 MB"),
        ],
    )
    def test_what_is_refused_is_refused_whole_and_says_why(self, policy, name, content, sentence):
        request = self.cause()
        answer = self.upload(signed_in(request.account), request, ("good.pdf", PDF), (name, content))
        assert answer.status_code == 422
        assert sentence in answer.content.decode()
        assert not Attachment.objects.exists()

    def test_more_than_one_form_may_send_is_refused_before_it_is_kept(self, policy, monkeypatch):
        monkeypatch.setattr("config.web.uploads.MAX_REQUEST_BYTES", 2000)
        request = self.cause()
        answer = self.upload(signed_in(request.account), request, ("a.pdf", PDF + 3000 * b"x"))
        assert answer.status_code == 413
        assert "more than we can take" in answer.content.decode()

    def test_at_most_ten_and_at_least_one(self, policy):
        request = self.cause()
        client = signed_in(request.account)
        assert "Choose a file" in self.upload(client, request).content.decode()
        many = [(f"{n}.txt", f"page {n}".encode()) for n in range(11)]
        assert "You can add up to 10 files" in self.upload(client, request, *many).content.decode()
        assert not Attachment.objects.exists()
        assert self.upload(client, request, *many[:10]).status_code == 302

    def test_not_after_it_was_settled(self, policy):
        request = self.cause()
        withdraw(requests=[request], now=NOW)
        answer = self.upload(signed_in(request.account), request, ("a.pdf", PDF))
        assert "no file can be added any more" in answer.content.decode()

    def test_other_people_reach_neither_page_nor_file(self, policy, client):
        request = self.cause()
        self.upload(signed_in(request.account), request, ("a.pdf", PDF))
        address = reverse("request_file", args=[request.reference, Attachment.objects.get().pk])
        mallory = signed_in(cast.account("Mallory"))
        for stranger in (client, mallory):
            assert stranger.get(address).status_code == 403
            assert self.upload(stranger, request, ("b.txt", b"b")).status_code == 403
        other = self.cause()
        foreign = reverse("request_file", args=[other.reference, Attachment.objects.get().pk])
        assert signed_in(other.account).get(foreign).status_code == 404
        assert Attachment.objects.count() == 1

    def test_a_kept_file_does_not_change(self, policy):
        request = self.cause()
        self.upload(signed_in(request.account), request, ("a.pdf", PDF))
        with pytest.raises(Exception, match="Cannot update"), transaction.atomic():
            Attachment.objects.update(content=b"other")

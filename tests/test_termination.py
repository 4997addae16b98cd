"""The company terminates an account (policy 3.1, 3.2), and takes that back on appeal."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, InternalError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.timeline import entries
from billing.models import Refund
from billing.models.states import IllegalTransition
from billing.services.review import approve, propose
from billing.services.sending import send
from cancellations.models import CancellationRequest, Termination
from cancellations.services.common import RequestRefused
from cancellations.services.enforcement import enforce
from cancellations.services.review import waive_notice
from cancellations.services.termination import confirm, discard, preview_termination, terminate
from cancellations.services.termination import reverse as take_back
from messaging.models import OutgoingMessage
from messaging.outbound.rendering import markdown_to_html
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db
TODAY = date(2026, 2, 12)


@pytest.fixture
def mara(db):
    return cast.staff("manager")


@pytest.fixture
def max_(db):
    return cast.staff("manager", "Max")


@pytest.fixture
def bob(db):
    """Two subscriptions, one with a month prepaid, one that was never paid."""
    cast.policy()
    holder = cast.account("Bob")
    of = cast.subscription(holder)
    cast.payment(of, date(2026, 1, 31), date(2026, 2, 28))
    cast.subscription(holder, plan_name="Free")
    return holder


def ends(holder):
    return list(holder.subscriptions.values_list("ended_on", flat=True))


class TestItsEffect:
    def test_all_subscriptions_end_at_once_and_the_letter_says_why_and_where_to_appeal(self, bob, settings):
        settings.APPEAL_EMAIL = "appeals@atntcrm.example"
        termination = cast.terminated(bob, revoke_sign_in=True)
        assert (termination.state, termination.effective_at) == ("effective", NOW)
        assert ends(bob) == [TODAY, TODAY]
        letter = OutgoingMessage.objects.get()
        for part in ("Activity that harms others", "Mass mailings on 3 February", "appeals@atntcrm.example", "3.1"):
            assert part in letter.text, part

    def test_its_history_tells_each_deed_once(self, bob):
        assert [entry.verb for entry in entries(cast.terminated(bob))] == ["terminate"]

    def test_open_requests_are_settled_and_their_refunds_void(self, bob):
        request = cast.scheduled(bob.subscriptions.first(), refund_wanted=True, refund_reason="Did not work")
        termination = cast.terminated(bob)
        request = fresh(request)
        assert (request.state, request.superseded_by) == ("superseded", termination)
        assert request.refund.state == "void"
        assert [entry.verb for entry in entries(request)] == ["submit", "schedule", "terminate"]
        assert Refund.objects.exclude(state="void").get().about == termination.reference

    def test_who_had_left_before_is_not_superseded(self, bob):
        request = cast.scheduled(bob.subscriptions.first())
        cast.terminated(bob, at=request.effective_at + timedelta(days=2))  # the worker has not come by
        assert fresh(request).state == "effective"
        assert ends(bob) == [date(2026, 2, 28), date(2026, 3, 2)]

    def test_the_refund_review_starts_from_what_the_manager_proposes(self, bob):
        cast.terminated(bob, refund_proposed=False, refund_ground="The damage is larger.")
        refund = Refund.objects.get()
        assert (refund.computed_basis, refund.computed_ground) == ("none", "The damage is larger.")
        assert (refund.ended_on, refund.subscription.plan_name) == (TODAY, "Team")

    @pytest.mark.parametrize(("basis", "sum_"), [("unused", "17.14"), ("full", "30"), ("none", "17.14")])
    def test_or_from_the_policys_own_basis_where_it_has_one(self, basis, sum_):
        cast.policy(termination_basis=basis)
        of = cast.subscription()
        cast.payment(of, date(2026, 1, 31), date(2026, 2, 28))
        cast.terminated(of.account)
        refund = Refund.objects.get()
        proposal = propose(refund=refund, basis=refund.computed_basis, by=cast.staff("finance"), now=NOW)
        assert proposal.amount == cast.euros(sum_)

    def test_the_right_to_sign_in_is_revoked_only_where_chosen(self, bob):
        client = Client()
        client.force_login(cast.customer(bob))
        cast.terminated(bob)
        assert "Team" in client.get("/subscriptions/").content.decode()
        other = cast.subscription().account
        client.force_login(cast.customer(other))
        cast.terminated(other, revoke_sign_in=True)
        assert client.get("/subscriptions/").url == "/signin/?next=/subscriptions/"  # the session ended
        Client().post("/signin/", {"email": other.email})
        assert OutgoingMessage.objects.get(kind__startswith="sign_in").kind == "sign_in_unknown"

    def test_an_earlier_end_stands(self, bob):
        first = bob.subscriptions.first()
        type(first).objects.filter(pk=first.pk).update(ended_on=date(2026, 1, 31), ended_by="crm")
        cast.terminated(bob)
        assert ends(bob) == [date(2026, 1, 31), TODAY]

    def test_a_second_one_is_refused(self, bob):
        cast.terminated(bob)
        with pytest.raises(RequestRefused, match="already terminated"):
            cast.terminated(bob)

    @pytest.mark.parametrize("missing", [{"ground": "because"}, {"description": " "}, {"refund_ground": ""}])
    def test_ground_description_and_reason_are_needed_and_nothing_is_half_done(self, bob, missing):
        with pytest.raises(RequestRefused):
            cast.terminated(bob, **missing)
        assert not Termination.objects.exists()
        assert ends(bob) == [None, None]

    def test_a_preview_shows_the_same_and_keeps_nothing(self, bob, mara):
        cast.in_review(bob.subscriptions.first())
        before = OutgoingMessage.objects.count()
        preview = preview_termination(case=cast.case(bob), by=mara, now=NOW)
        assert [(subscription.plan_name, sum_) for subscription, sum_ in preview.subscriptions] == [
            ("Team", cast.euros("17.14")),
            ("Free", None),
        ]
        assert (len(preview.requests), Termination.objects.count(), Refund.objects.count()) == (1, 0, 0)
        assert (OutgoingMessage.objects.count(), ends(bob)) == (before, [None, None])
        termination = terminate(case=cast.case(bob), by=mara, now=NOW)
        letter = OutgoingMessage.objects.get(about=termination.reference).text
        begins = letter[: letter.index("The reference")]
        assert markdown_to_html(begins).split("</p>")[0].strip() in preview.letter_html


class TestTwoManagers:
    @pytest.fixture
    def proposed(self, db, mara):
        cast.policy(termination_needs_two=True)
        return cast.terminated(cast.subscription().account)

    def test_nothing_happens_before_another_confirms(self, proposed, mara, max_):
        assert (proposed.state, ends(proposed.account)) == ("proposed", [None])
        assert not OutgoingMessage.objects.exists()
        with pytest.raises(RequestRefused, match="Somebody else"):
            confirm(termination=proposed, by=mara, now=NOW)
        done = confirm(termination=proposed, by=max_, now=NOW + timedelta(hours=1))
        assert (done.state, done.effective_at, ends(proposed.account)) == (
            "effective",
            NOW + timedelta(hours=1),
            [TODAY],
        )

    def test_the_database_holds_it_too(self, proposed, mara):
        rows = Termination.objects.filter(pk=proposed.pk)
        dated = {"state": "effective", "effective_at": NOW, "effective_on": TODAY}
        with pytest.raises(IntegrityError, match="confirmed_and_dated"), transaction.atomic():
            rows.update(**dated)
        with pytest.raises(IntegrityError, match="confirmed_by_somebody_else"), transaction.atomic():
            rows.update(**dated, confirmed_by=mara)
        for change in ({"needs_confirmation": False}, {"proposed_by": cast.staff("finance")}, {"description": "x"}):
            with pytest.raises(InternalError, match="Cannot update"), transaction.atomic():
                rows.update(**change)

    def test_discarding_it_needs_a_ground_and_leaves_the_account_alone(self, proposed, max_):
        with pytest.raises(RequestRefused, match="ground"):
            discard(termination=proposed, by=max_, ground=" ", now=NOW)
        discard(termination=proposed, by=max_, ground="Wrong account", now=NOW)
        with pytest.raises(IllegalTransition) as refused:
            confirm(termination=proposed, by=max_, now=NOW)
        assert (refused.value.reference, refused.value.state, refused.value.verb) == (
            proposed.reference,
            "discarded",
            "confirm",
        )
        assert cast.terminated(proposed.account).state == "proposed"  # another may follow


class TestReversal:
    def test_it_gives_back_what_it_took_and_stays_visible(self, bob, max_):
        request = cast.scheduled(bob.subscriptions.first())
        termination = cast.terminated(bob, revoke_sign_in=True)
        propose(refund=Refund.objects.get(), basis="unused", by=cast.staff("finance"), now=NOW)
        later = NOW + timedelta(days=3)
        with pytest.raises(RequestRefused, match="ground"):
            take_back(termination=termination, by=max_, ground="", now=later)
        termination = take_back(termination=termination, by=max_, ground="It was not their server", now=later)
        assert (termination.state, termination.settled_by) == ("reversed", max_)
        assert (ends(bob), fresh(bob).sign_in_revoked_at) == ([None, None], None)
        request = fresh(request)
        assert (request.state, request.received_at, request.effective_on) == ("in_review", NOW, date(2026, 2, 28))
        assert request.superseded_by == termination
        assert Refund.objects.get().state == "void"
        letter = OutgoingMessage.objects.get(kind="termination_reversed").text
        assert "It was not their server" in letter
        assert "You can sign in again" in letter
        enforce(now=NOW + timedelta(days=30))
        assert date(2026, 2, 28) in ends(bob)

    def test_not_of_an_account_whose_data_is_erased(self, bob, max_):
        """Nobody could sign in to it, and it would be charged for."""
        termination = cast.terminated(bob)
        type(bob).objects.filter(pk=bob.pk).update(erased_at=NOW)
        with pytest.raises(RequestRefused, match="is erased"):
            take_back(termination=termination, by=max_, ground="It was not their server", now=NOW)
        assert fresh(termination).state == "effective"
        assert None not in ends(bob)

    def test_a_waived_notice_is_not_lost(self, bob, max_):
        request = cast.in_review(bob.subscriptions.first(), at=NOW.replace(day=20))
        waive_notice(request=request, by=cast.staff("support"), ground="In hospital", now=NOW.replace(day=20))
        termination = cast.terminated(bob, at=NOW.replace(day=21))
        take_back(termination=termination, by=max_, ground="A mistake", now=NOW.replace(day=22))
        assert (fresh(request).state, fresh(request).effective_on) == ("in_review", date(2026, 2, 28))

    def test_money_that_moves_already_stays_and_is_named(self, bob, max_):
        termination = cast.terminated(bob)
        refund = propose(refund=Refund.objects.get(), basis="unused", by=cast.staff("finance"), now=NOW)
        approve(refund=refund, by=max_, now=NOW)
        send(refund=refund, by=max_, now=NOW)
        take_back(termination=termination, by=max_, ground="A mistake", now=NOW)
        assert fresh(refund).state == "sending"
        assert refund.reference in OutgoingMessage.objects.get(kind="termination_reversed").text

    def test_what_had_another_end_gets_that_back_and_what_ended_otherwise_stays(self, bob, max_):
        first, second = bob.subscriptions.all()
        rows = type(first).objects
        rows.filter(pk=first.pk).update(ended_on=date(2026, 6, 30), ended_by="crm")
        termination = cast.terminated(bob)
        rows.filter(pk=second.pk).update(ended_on=date(2026, 2, 1), ended_by="crm")
        take_back(termination=termination, by=max_, ground="A mistake", now=NOW)
        assert (fresh(first).ended_on, fresh(first).ended_by) == (date(2026, 6, 30), "crm")
        assert fresh(second).ended_on == date(2026, 2, 1)

    def test_only_once(self, bob, max_):
        termination = cast.terminated(bob)
        take_back(termination=termination, by=max_, ground="A mistake", now=NOW)
        with pytest.raises(IllegalTransition, match="reversed"):
            take_back(termination=termination, by=max_, ground="Again", now=NOW)


class TestAtTheDesk:
    @pytest.fixture
    def desk(self, mara):
        client = Client()
        cast.at_desk(mara, client)
        return client

    add = "/admin/cancellations/termination/add/"

    def form(self, holder, **changes):
        told = {"account_number": f" {holder.account_number.lower()} ", "ground": "fraud", "evidence": "Ticket 9"}
        told |= {
            "description": "A stolen card <b>was</b> used.",
            "refund_proposed": "no",
            "refund_ground": "Not theirs.",
        }
        return told | {"revoke_sign_in": "on"} | changes

    def test_what_will_happen_is_shown_before_it_does(self, desk, bob):
        cast.in_review(bob.subscriptions.first(), at=timezone.now())
        page = desk.post(self.add, self.form(bob)).content.decode()
        for part in (
            "This is what will happen",
            "Team",
            "A stolen card &lt;b&gt;was&lt;/b&gt; used.",
            "We are ending your account",
        ):
            assert part in page, part
        assert not Termination.objects.exists()
        back = desk.post(self.add, self.form(bob, step="edit")).content.decode()
        assert "A stolen card &lt;b&gt;was&lt;/b&gt; used.</textarea>" in back
        done = desk.post(self.add, self.form(bob, step="confirm"), follow=True).content.decode()
        assert "in effect." in done
        assert all(ends(bob))
        assert fresh(bob).sign_in_revoked_at is not None

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"account_number": "AT-0"}, "No account has the number AT-0"),
            ({"ground": "dislike"}, "Select a valid choice"),
            ({"ground": ""}, "Choose a ground"),
            ({"description": ""}, "Describe what happened"),
            ({"refund_ground": " "}, "Say why a refund is proposed"),
            ({"refund_proposed": ""}, "Say whether a refund is proposed"),
        ],
    )
    def test_bad_input_says_what_to_do_and_keeps_the_words(self, desk, bob, changes, sentence):
        for step in ("", "confirm"):
            answer = desk.post(self.add, self.form(bob, step=step, **changes))
            assert answer.status_code == 422
            assert sentence in answer.content.decode()
            assert "Ticket 9" in answer.content.decode()
        assert not Termination.objects.exists()

    def test_a_second_click_leads_to_the_same_page_and_another_manager_is_told(self, desk, bob):
        first, second = (desk.post(self.add, self.form(bob, step="confirm")) for _ in range(2))
        assert first.url == second.url
        assert Termination.objects.count() == 1
        other = Client()
        cast.at_desk(cast.staff("manager", "Max"), other)
        assert "already terminated" in other.post(self.add, self.form(bob)).content.decode()

    def test_from_the_account_to_the_reversal(self, desk, bob, max_):
        account_page = desk.get(reverse("admin:accounts_account_change", args=[bob.pk])).content.decode()
        assert f"{self.add}?account={bob.account_number}" in account_page
        assert bob.account_number in desk.get(f"{self.add}?account={bob.account_number}").content.decode()
        termination = cast.terminated(bob)
        page = reverse("admin:cancellations_termination_change", args=[termination.pk])
        assert "Mass mailings" in desk.get(page).content.decode()
        undo = reverse("admin:cancellations_termination_verb", args=[termination.pk, "reverse"])
        assert desk.post(undo, {"ground": ""}).status_code == 422
        desk.post(undo, {"ground": "Their server was hacked"})
        assert "Their server was hacked" in desk.get(page).content.decode()
        assert desk.get("/admin/cancellations/termination/").status_code == 200

    @pytest.mark.parametrize("role", ["support", "finance"])
    def test_nobody_else_may(self, bob, role):
        client = Client()
        cast.at_desk(cast.staff(role), client)
        assert client.get(self.add).status_code == 403
        assert client.post(self.add, self.form(bob, step="confirm")).status_code == 403
        termination = cast.terminated(bob)
        undo = reverse("admin:cancellations_termination_verb", args=[termination.pk, "reverse"])
        assert client.post(undo, {"ground": "x"}).status_code == 403
        assert client.get(reverse("admin:cancellations_termination_change", args=[termination.pk])).status_code == 200
        assert fresh(termination).state == "effective"

    def test_evidence_is_added_and_handed_out_to_staff_only(self, desk, bob, client):
        termination = cast.terminated(bob)
        add = reverse("admin:cancellations_termination_verb", args=[termination.pk, "add-files"])
        bad = desk.post(add, {"file": SimpleUploadedFile("x.html", b"<html>")})
        assert "of a type that we cannot take" in bad.content.decode()
        desk.post(add, {"file": SimpleUploadedFile("log.txt", b"2026-02-03 mass mailing")})
        kept = termination.attachments.get()
        address = reverse("admin:cancellations_termination_file", args=[termination.pk, kept.pk])
        assert desk.get(address).content == b"2026-02-03 mass mailing"
        assert client.get(address).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_two_managers_at_the_same_moment_make_one_termination():
    cast.policy()
    of = cast.subscription()
    cast.in_review(of)
    people = [cast.staff("manager"), cast.staff("manager", "Max")]

    def act(by):
        try:
            return terminate(case=cast.case(of.account), by=by, now=NOW).state
        except RequestRefused:
            return "refused"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(act, people)) == ["effective", "refused"]
    assert OutgoingMessage.objects.filter(kind="terminated").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_termination_and_the_worker_at_the_same_moment_end_it_once():
    cast.policy()
    for _ in range(6):
        of = cast.subscription()
        cast.payment(of, date(2026, 2, 28), date(2026, 3, 31))
        request = cast.scheduled(of)
        holder = request.account

        def act(first, request=request, holder=holder):
            try:
                if first:
                    enforce(now=request.effective_at)
                else:
                    terminate(case=cast.case(holder), by=cast.staff("manager"), now=request.effective_at)
            finally:
                connection.close()

        cast.staff("manager")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, [True, False]))
        assert fresh(request).state in ("effective", "superseded")
        letters = OutgoingMessage.objects.filter(about=request.declaration, kind="ended_with_review").count()
        assert letters == (fresh(request).state == "effective")
        assert CancellationRequest.objects.filter(pk=request.pk, enforcement_error="").exists()

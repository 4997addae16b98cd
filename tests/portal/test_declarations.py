"""Every declaration is kept with its own words, wish and time; one proof proves all, and the best of them counts."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from billing.models.states import IllegalTransition
from cancellations.letters.proof import proof_token
from cancellations.models import CancellationRequest, Channel, Receipt
from cancellations.services.common import contracts_of
from cancellations.services.enforcement import enforce
from cancellations.services.review import reopen
from cancellations.services.submission import disown_request, submit_as_guest, submit_by_mail, verify, withdraw
from messaging.models import Checked, IncomingMessage, OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def policy():
    return cast.policy()


def by_form(holder, *, at=NOW, key=None, **given):
    from uuid import uuid4

    declaration = cast.declaration(holder, **given)
    return submit_as_guest(declaration=declaration, submission_key=key or uuid4(), received_at=at, now=at)


def by_mail(holder, *, at=NOW, checked=Checked.PASSED, **given):
    from uuid import uuid4

    row = IncomingMessage.objects.create(
        raw=b"x",
        size=1,
        digest="",
        door="command",
        arrived_at=at,
        due_at=at,
        stored_at=at,
        sender=holder.email,
        checked=checked,
    )
    return submit_by_mail(declaration=cast.declaration(holder, **given), submission_key=uuid4(), mail=row, now=at)


def prove(request, *, now=NOW + 8 * DAY, **given):
    verify(request=request, now=now, **given)
    return fresh(request)


class TestAStrangerWhoKnowsTheIdentity:
    """He posts the account holder's number, username and address, with words and a wish of his own."""

    WISH = date(2030, 1, 1)

    def test_the_customer_gets_a_request_of_her_own_with_her_own_end(self, policy):
        of = cast.subscription()
        strange = by_form(of.account, words="Not hers", requested_end=self.WISH)
        own = by_form(of.account, words="Hers", at=NOW + DAY)
        assert strange.declaration != own.declaration
        own = prove(own)
        assert (own.words, own.state, own.effective_on) == ("Hers", "in_review", date(2026, 2, 28))
        assert (own.requested_end, own.counted_end) == (None, None)
        strange = fresh(strange)
        assert (strange.words, strange.requested_end, strange.state) == ("Not hers", self.WISH, "superseded")
        assert strange.joined_to == own

    def test_in_the_other_order_he_reads_nothing(self, policy, client):
        of = cast.subscription()
        own = by_form(of.account, words="Hers alone")
        from tests.portal.test_cancelling import cancel_as_guest

        page = client.get(cancel_as_guest(client, of.account).url)
        assert page.status_code == 200
        text = page.content.decode()
        assert "Hers alone" not in text
        assert own.declaration not in text
        assert client.get(f"/requests/{own.declaration}/").status_code == 403

    @pytest.mark.parametrize("law", ["DE", "FR"])
    def test_in_forms_that_ask_for_no_username(self, policy, law):
        of = cast.subscription()
        pages = []
        for name in ("Stranger", "Alice"):
            client = Client()
            form = {
                "law": law, "kind": "ordinary", "name": name, "account_number": of.account.account_number,
                "email": of.account.email, "step": "confirm" if law == "DE" else "check",
            }  # fmt: skip
            client.cookies["portal_country_8000"] = law
            answer = client.post("/cancel/", form)
            if law == "FR":
                from tests.portal.test_cancelling import confirm

                answer = confirm(client, answer)
            pages.append(answer.url)
        assert len(set(pages)) == 2
        assert CancellationRequest.objects.count() == 2

    def test_his_browser_opens_nothing_after_her_proof(self, policy):
        of = cast.subscription()
        from tests.portal.test_cancelling import cancel_as_guest

        stranger = Client()
        his = cancel_as_guest(stranger, of.account, words="His").url
        own = by_form(of.account, words="Hers alone", at=NOW + DAY)
        prove(own)
        page = stranger.get(his).content.decode()
        assert "Hers alone" not in page
        assert own.declaration not in page
        assert stranger.get(f"/requests/{own.declaration}/").status_code == 403

    def test_he_cannot_cancel_another_contract_by_her_proof(self, policy):
        first = cast.subscription()
        second = cast.subscription(first.account)
        strange = by_form(first.account, account_number=second.reference, username="")
        own = by_form(first.account, account_number=first.reference, username="", at=NOW + DAY)
        assert prove(own).subscription == first
        assert fresh(strange).state == "unverified"


class TestOneProof:
    def test_a_mail_with_the_number_and_a_later_one_without_end_by_the_first(self, policy):
        of = cast.subscription()  # billed on 28 February, notice of 10 days
        first = by_mail(of.account, at=datetime(2026, 2, 12, 9, tzinfo=UTC))
        later = by_mail(of.account, at=datetime(2026, 2, 20, 9, tzinfo=UTC), account_number="", username="")
        for proven, other in ((later, first), (first, later)):
            row = prove(proven, now=datetime(2026, 2, 21, tzinfo=UTC))
            if row.state == "superseded":
                continue
            assert (row.effective_on, row.on_time) == (date(2026, 2, 28), True)
            assert fresh(other).joined_to == row
        assert CancellationRequest.objects.filter(state="in_review").count() == 1

    def test_a_mail_that_our_server_did_not_authenticate_needs_a_number_as_well(self, policy):
        of = cast.subscription()
        doubtful = by_mail(of.account, checked=Checked.FAILED)
        sure = by_mail(of.account, account_number="", username="", at=NOW + DAY)
        cast.subscription(of.account)
        assert prove(sure, subscriptions=[of]).subscription == of  # two contracts: the mail named none
        assert fresh(doubtful).state == "superseded"  # she named the account by choosing its contract

    def test_what_expired_is_not_proven(self, policy):
        of = cast.subscription()
        old = by_form(of.account, at=NOW - 40 * DAY)
        row = prove(by_form(of.account), now=NOW + DAY)
        assert (fresh(old).verified_at, row.counted_receipt) == (None, row)

    def test_another_address_is_another_sender(self, policy):
        of = cast.subscription()
        other = by_form(of.account, email="mallory@example.com")
        prove(by_form(of.account))
        assert fresh(other).state == "unverified"

    def test_each_declaration_has_its_receipt_and_one_letter_goes_out(self, policy):
        of = cast.subscription()
        requests = [by_form(of.account, words=str(n), at=NOW + n * DAY) for n in range(3)]
        prove(requests[1])
        assert Receipt.objects.count() == 3
        assert OutgoingMessage.objects.filter(kind="received").count() == 1

    def test_another_kind_is_decided_by_a_person(self, policy):
        of = cast.subscription()
        at_once = by_form(of.account, kind="for_cause", cause="It does not work", at=NOW - DAY)
        row = prove(by_form(of.account))
        assert row.subscription == of
        at_once = fresh(at_once)
        assert (at_once.state, at_once.subscription, at_once.account) == ("in_review", None, of.account)

    def test_another_kind_never_takes_another_contract(self, policy):
        """She proves a cancellation of the first of two contracts; a stranger declared other kinds, and named none."""
        first = cast.subscription()
        second = cast.subscription(first.account)
        strange = [
            by_form(first.account, kind="for_cause", cause="x"),
            by_form(first.account, kind="cooling_off"),
            by_mail(first.account, kind="for_cause", cause="x", account_number="", username=""),
            by_mail(first.account, checked=Checked.FAILED, kind="for_cause", cause="x", account_number=""),
        ]
        prove(by_form(first.account, at=NOW + DAY), subscriptions=[first])
        assert {fresh(request).subscription for request in strange} == {None}
        assert {fresh(request).state for request in strange} <= {"in_review", "unverified"}
        assert not second.requests.exists()

    def test_the_remaining_one_of_two_contracts_is_not_guessed(self, policy):
        first = cast.subscription()
        second = cast.subscription(first.account)
        lead = cast.in_review(first)
        again = by_mail(first.account, account_number="", username="", at=NOW + DAY)
        assert contracts_of(again, NOW + DAY) == [first, second]
        assert prove(again).subscription is None
        chosen = prove(by_mail(first.account, at=NOW + DAY, words="Again"), subscriptions=[first])
        assert (chosen.joined_to, second.requests.count()) == (lead, 0)

    def test_a_number_that_begins_like_another_does_not_name_it(self, policy):
        first = cast.subscription(reference="SUB-1")
        second = cast.subscription(first.account, reference="SUB-12")
        mail = by_mail(first.account, account_number="", username="", words="Please cancel sub-12.")
        assert contracts_of(mail, NOW) == [second]

    def test_what_counts_together_stands_in_one_letter(self, policy):
        of = cast.subscription()
        earlier = by_form(of.account, words="Earlier")
        lead = prove(by_form(of.account, at=NOW + DAY))
        letter = OutgoingMessage.objects.get(kind="received")
        assert earlier.declaration in letter.text
        assert "Earlier" not in letter.text  # it is on its page and in its receipt
        later = prove(by_form(of.account, words="Later", at=NOW + 9 * DAY), now=NOW + 9 * DAY)
        letter = OutgoingMessage.objects.get(kind="received", about=later.declaration)
        assert lead.declaration in letter.text
        assert "28 February 2026" in letter.text
        assert "could not find" not in letter.text


class TestTheProofPage:
    """It shows what the proof would do, and lets the holder of the address say what is not theirs."""

    @pytest.fixture(autouse=True)
    def moment(self):
        with time_machine.travel(NOW + DAY):
            yield

    def link(self, request):
        return reverse("request_proof", args=[proof_token(request)])

    def test_shows_the_end_with_all_that_counts(self, policy, client):
        of = cast.subscription()
        by_form(of.account, words="Not hers")
        own = by_form(of.account, words="Hers", requested_end=date(2026, 12, 1), at=NOW + DAY)
        page = client.get(self.link(own)).content.decode()
        assert "Saturday, 28 February 2026" in page
        assert "Not hers" in page
        client.post(self.link(own))
        assert fresh(own).effective_on == date(2026, 2, 28)

    def test_what_she_did_not_send_counts_for_nothing(self, policy, client):
        of = cast.subscription()
        strange = by_form(of.account, words="Not hers")
        own = by_form(of.account, words="Hers", requested_end=date(2026, 12, 1), at=NOW + DAY)
        client.post(self.link(own), {"disowned": strange.reference})
        own, strange = fresh(own), fresh(strange)
        assert (own.effective_on, own.receipt_counts_of) == (date(2026, 12, 31), None)
        assert (strange.state, strange.decline_ground, strange.verified_at) == ("declined", "not_account_holder", None)
        assert client.get(self.link(strange), follow=True).status_code == 200
        assert fresh(strange).state == "declined"

    def test_she_can_say_that_she_sent_none_of_it(self, policy, client):
        of = cast.subscription()
        strange, more = by_form(of.account, words="Not hers"), by_form(of.account, words="Nor this")
        other = by_form(of.account, words="Unsure")
        page = client.get(self.link(strange)).content.decode()
        assert "No, I did not send this" in page
        letters = OutgoingMessage.objects.count()
        with time_machine.travel(NOW):
            answer = client.post(self.link(strange), {"answer": "not_mine", "disowned": more.reference}, follow=True)
        assert "Nothing is cancelled" in answer.content.decode()
        for request in (strange, more):
            row = fresh(request)
            assert (row.state, row.decline_ground, row.verified_at) == ("declined", "not_account_holder", None)
        assert fresh(other).state == "unverified"  # she did not tick it
        enforce(now=NOW + 60 * DAY)
        expired = OutgoingMessage.objects.filter(about=strange.declaration, kind="expired")
        assert not expired.exists()
        assert OutgoingMessage.objects.count() <= letters + 1  # that about the other one
        assert strange.account is None

    def test_a_confirmed_one_cannot_be_disowned_any_more(self, policy, client):
        request = by_form(cast.subscription().account)
        with pytest.raises(IllegalTransition):
            disown_request(request=prove(request), now=NOW + 9 * DAY)

    def test_nobody_elses_can_be_disowned(self, policy, client):
        of = cast.subscription()
        by_form(of.account)
        own, other = by_form(of.account), by_form(cast.subscription().account)
        assert client.post(self.link(own), {"disowned": other.reference}).status_code == 422
        assert fresh(other).state == "unverified"

    def test_shows_that_an_open_request_would_end_sooner_or_stay(self, policy, client):
        of = cast.subscription()
        lead = cast.in_review(of, requested_end=date(2026, 9, 1))
        page = client.get(self.link(by_form(of.account, at=NOW + DAY))).content.decode()
        assert lead.declaration in page
        assert "Wednesday, 30 September 2026" in page
        assert "Saturday, 28 February 2026" in page
        of = cast.subscription()
        cast.in_review(of)
        page = client.get(self.link(by_form(of.account, requested_end=date(2027, 1, 1), at=NOW))).content.decode()
        assert "the end stays the same" in page

    def test_leads_to_the_pages_of_all_that_it_proved(self, policy, client):
        of = cast.subscription()
        earlier = by_form(of.account, words="Earlier")
        own = by_form(of.account, at=NOW + DAY)
        client.post(self.link(own))
        assert "Earlier" in client.get(reverse("request_declaration", args=[earlier.declaration])).content.decode()
        assert client.get(f"/requests/{earlier.declaration}/receipt.pdf").status_code == 200
        assert own.declaration in client.get(f"/requests/{earlier.declaration}/").content.decode()


class TestSignedIn:
    def test_what_she_sent_before_as_a_guest_counts(self, policy):
        of = cast.subscription()
        guest = by_form(of.account, at=datetime(2026, 2, 12, 9, tzinfo=UTC))
        row = cast.in_review(of, at=datetime(2026, 2, 20, 9, tzinfo=UTC))
        assert (row.effective_on, row.counted_receipt) == (date(2026, 2, 28), guest)
        assert fresh(guest).joined_to == row

    def test_a_form_that_anybody_can_fill_in_does_not_end_it_sooner_than_she_says(self, policy):
        of = cast.subscription()
        strange = by_form(of.account)
        row = cast.in_review(of, requested_end=date(2026, 12, 1))
        assert (row.effective_on, fresh(strange).state) == (date(2026, 12, 31), "unverified")

    def test_the_page_that_checks_shows_the_end_that_is_decided(self, policy, client):
        of = cast.subscription()
        by_form(of.account, at=datetime(2026, 2, 12, 9, tzinfo=UTC))
        client.force_login(cast.customer(of.account))
        with time_machine.travel(datetime(2026, 2, 20, 9, tzinfo=UTC)):
            form = {"subscription": of.reference, "reason": "unused", "step": "check"}
            page = client.post("/cancel/", form).content.decode()
        assert "Saturday, 28 February 2026" in page

    def test_other_words_about_what_is_cancelled_are_kept(self, policy):
        of = cast.subscription()
        lead = cast.in_review(of, requested_end=date(2026, 9, 1))
        again = cast.in_review(of, words="Sooner, please", at=NOW + DAY)
        lead = fresh(lead)
        assert (again.words, again.state, again.joined_to) == ("Sooner, please", "superseded", lead)
        assert lead.effective_on == date(2026, 2, 28)
        assert Receipt.objects.filter(declaration=again.declaration).exists()

    def test_the_same_again_is_the_same(self, policy):
        of = cast.subscription()
        assert cast.in_review(of) == cast.in_review(of, at=NOW + DAY)

    def test_another_kind_is_left_to_a_person(self, policy):
        of = cast.subscription()
        lead = cast.in_review(of)
        other = cast.in_review(of, kind="for_cause", cause="It does not work", reason="")
        assert (other.state, other.subscription, other.account) == ("in_review", None, of.account)
        assert fresh(lead).state == "in_review"


class TestWhichCounts:
    def test_an_earlier_receipt_brings_the_cooling_off_days_back(self, policy):
        of = cast.subscription(started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 1))
        late = prove(by_form(of.account, kind="cooling_off", at=NOW + 13 * DAY), now=NOW + 13 * DAY)
        assert (late.kind, late.state) == ("ordinary", "in_review")
        prove(by_mail(of.account, kind="cooling_off"), now=NOW + 14 * DAY)
        late = fresh(late)
        assert (late.kind, late.kind_ground, late.state) == ("cooling_off", "", "scheduled")
        assert late.effective_at == NOW

    def test_another_sender_does_not_move_the_end(self, policy):
        of = cast.subscription()
        lead = prove(by_form(of.account, requested_end=date(2026, 9, 1)))
        of.account.email = "new@customer.example"
        of.account.save()
        other = prove(by_form(of.account, at=NOW + DAY))
        assert (other.state, other.subscription) == ("in_review", None)
        assert fresh(lead).effective_on == lead.effective_on

    def test_the_earliest_receipt_and_the_earliest_end(self, policy):
        of = cast.subscription()
        early = by_form(of.account, at=datetime(2026, 2, 12, 9, tzinfo=UTC), requested_end=date(2026, 9, 1))
        late = by_form(of.account, at=datetime(2026, 2, 20, 9, tzinfo=UTC), requested_end=date(2026, 5, 1))
        row = prove(late, now=datetime(2026, 2, 21, tzinfo=UTC))
        assert (row.counted_receipt, row.counted_end) == (early, date(2026, 5, 1))
        assert row.effective_on == date(2026, 5, 31)
        assert (row.received_at, row.requested_end) == (late.received_at, date(2026, 5, 1))  # its own stay as they were

    def test_a_later_one_makes_the_end_of_an_open_request_sooner(self, policy):
        of = cast.subscription()
        lead = cast.in_review(of, requested_end=date(2026, 9, 1))
        before = lead.effective_on
        later = prove(by_form(of.account, at=NOW + DAY), now=NOW + 2 * DAY)
        lead = fresh(lead)
        assert (later.state, later.joined_to) == ("superseded", lead)
        assert lead.effective_on < before
        assert lead.effective_on == date(2026, 2, 28)

    def test_a_later_one_never_makes_it_later(self, policy):
        of = cast.subscription()
        lead = cast.in_review(of)
        later = prove(by_form(of.account, requested_end=date(2027, 1, 1), at=NOW + 9 * DAY), now=NOW + 9 * DAY)
        assert later.joined_to == lead
        assert fresh(lead).effective_on == lead.effective_on == date(2026, 2, 28)
        assert fresh(lead).counted_end is None

    def test_taking_it_back_takes_all_of_it_back(self, policy):
        of = cast.subscription()
        by_form(of.account, at=NOW - DAY)
        row = prove(by_form(of.account))
        withdraw(requests=[row], now=NOW + 9 * DAY)
        assert set(CancellationRequest.objects.values_list("state", flat=True)) == {"withdrawn", "superseded"}

    def test_support_can_take_one_apart_again(self, policy):
        of = cast.subscription()
        strange = by_form(of.account, at=NOW - DAY)
        row = prove(by_form(of.account))
        withdraw(requests=[row], now=NOW + 9 * DAY)
        again = reopen(request=fresh(strange), by=cast.staff("support"), ground="She meant this one", now=NOW + 9 * DAY)
        assert (again.state, again.joined_to) == ("in_review", None)


class TestMailsWithAProof:
    def test_a_flood_of_forms_is_kept_and_sends_a_few_mails(self, policy):
        of = cast.subscription()
        for n in range(60):
            by_form(of.account, words=f"flood {n}", at=NOW + timedelta(seconds=n))
        assert CancellationRequest.objects.filter(channel=Channel.GUEST).count() == 60
        assert OutgoingMessage.objects.filter(kind="prove_address").count() == 3

    def test_a_declaration_without_a_mail_is_proven_by_the_link_of_another(self, policy):
        of = cast.subscription()
        requests = [by_form(of.account, at=NOW + timedelta(seconds=n)) for n in range(5)]
        prove(requests[0], now=NOW + DAY)
        assert not CancellationRequest.objects.filter(verified_at=None).exists()

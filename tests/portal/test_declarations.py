"""Every declaration is kept with its own words, wish and time; one proof proves all, and the best of them counts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client

from cancellations.models import CancellationRequest, Channel, Receipt
from cancellations.services.review import reopen
from cancellations.services.submission import submit_as_guest, submit_by_mail, verify, withdraw
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


class TestWhichCounts:
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

"""Support and finance at the desk: pages, verbs, permissions, forged requests."""

from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from moneyed import Money

from accounts.models import User
from billing.models import Subscription
from cancellations.models import PolicyVersion, Receipt
from cancellations.services.review import decline, reopen, waive_notice
from cancellations.services.submission import verify
from cancellations.wording.explanation import sentences
from messaging.models import OutgoingMessage
from messaging.services.outbox import deliver_due
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db


def at_desk(person):
    client = Client()
    cast.at_desk(person, client)
    return client


def url(row, verb=None):
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
    return reverse(f"{name}_verb", args=[row.pk, verb]) if verb else reverse(f"{name}_change", args=[row.pk])


@pytest.fixture
def sam(db):
    return at_desk(cast.staff("support"))


def test_the_queue_order_is_by_due_date_with_the_settled_last(sam):
    rows = {
        "settled": cast.in_review(cast.subscription(billing_anchor=cast.date(2025, 1, 5))),
        "later": cast.in_review(cast.subscription(billing_anchor=cast.date(2025, 1, 27))),
        "sooner": cast.in_review(cast.subscription(billing_anchor=cast.date(2025, 1, 23))),
        "unmatched": cast.proven_but_unmatched(),
    }
    sam.post(url(rows["settled"], "decline"), {"ground": "duplicate"}, follow=True)
    page = sam.get(reverse("admin:cancellations_cancellationrequest_changelist")).content.decode()
    order = sorted(rows, key=lambda name: page.index(rows[name].reference))
    assert "Match it" in page
    assert order == ["unmatched", "sooner", "later", "settled"]


@pytest.mark.parametrize("term", ["reference", "account_number_given", "username_given", "email_given"])
def test_the_queue_is_searched(sam, term):
    wanted, other = cast.in_review(), cast.in_review()
    page = sam.get(
        reverse("admin:cancellations_cancellationrequest_changelist"), {"q": getattr(wanted, term)}
    ).content.decode()
    assert wanted.reference in page
    assert other.reference not in page


def test_the_page_of_a_request_shows_what_the_decision_needs(sam):
    of = cast.subscription()
    cast.payment(of, cast.date(2026, 1, 31), cast.date(2026, 2, 28))
    request = cast.in_review(of, words="Because <b>so</b>")
    page = sam.get(url(request)).content.decode()
    for part in (
        "Because &lt;b&gt;so&lt;/b&gt;",
        *sentences(request.explanation),
        "€30.00",
        "Submitted",
        "We received your cancellation",
    ):
        assert part in page, part


def test_scheduling_tells_the_customer(sam):
    request = cast.in_review()
    page = sam.get(url(request, "schedule")).content.decode()
    assert "customer is notified immediately" in page
    answer = sam.post(url(request, "schedule"), {"words": "Thank you."}, follow=True)
    assert "scheduled." in answer.content.decode()
    assert (fresh(request).state, fresh(request).decided_by.name) == ("scheduled", "Sam")
    assert "Thank you." in OutgoingMessage.objects.get(kind="scheduled").text


def test_scheduling_an_unmatched_request_asks_for_the_subscription(sam):
    of = cast.subscription()
    request = cast.unverified(of.account, email="other@else.example")
    verify(request=request, now=NOW)
    refused = sam.post(url(request, "schedule"), {"words": ""})
    assert "Choose the subscription" in refused.content.decode()
    sam.post(url(request, "schedule"), {"words": "", "subscription": of.pk})
    request = fresh(request)
    assert (request.state, request.subscription, request.effective_on) == ("scheduled", of, cast.date(2026, 2, 28))


def test_a_second_request_for_the_same_subscription_cannot_be_scheduled(sam):
    of = cast.subscription()
    cast.in_review(of)
    request = cast.unverified(of.account, kind="for_cause", cause="It broke")  # of another kind: a person decides
    verify(request=request, now=NOW)
    answer = sam.post(url(request, "accept-ground"), {"words": "kept", "subscription": of.pk})
    assert "as a duplicate" in answer.content.decode()
    assert "kept" in answer.content.decode()


def test_declining_needs_a_ground_from_the_list(sam):
    request = cast.in_review()
    for data in ({}, {"ground": "we do not like it"}):
        answer = sam.post(url(request, "decline"), {"words": "kept", **data})
        assert answer.status_code == 422
        assert "kept" in answer.content.decode()
    sam.post(url(request, "decline"), {"ground": "not_account_holder", "words": ""})
    assert fresh(request).decline_ground == "not_account_holder"
    assert "did not come from the account holder" in OutgoingMessage.objects.get(kind="declined").text


def test_waiving_is_offered_only_where_something_is_late(sam):
    on_time = cast.in_review()
    late = cast.in_review(at=NOW.replace(day=20))
    assert "Waive late notice" not in sam.get(url(on_time)).content.decode()
    assert "Waive late notice" in sam.get(url(late)).content.decode()
    assert sam.post(url(late, "waive"), {"ground": " "}).status_code == 422
    sam.post(url(late, "waive"), {"ground": "In hospital"})
    assert fresh(late).effective_on == cast.date(2026, 2, 28)
    assert fresh(on_time).notice_waived_by is None


def test_a_request_that_expired_is_taken_up_again_from_its_time_of_receipt(sam):
    of = cast.subscription()
    request = cast.unverified(of.account)
    cast.pass_time(NOW.replace(month=4))
    assert fresh(request).state == "expired"
    assert sam.post(url(request, "reopen"), {"ground": " "}).status_code == 422
    sam.post(url(request, "reopen"), {"ground": "Called us; identity card seen"})
    request = fresh(request)
    assert (request.state, request.received_at, request.subscription) == ("in_review", NOW, of)
    assert (request.effective_on, request.on_time) == (cast.date(2026, 2, 28), True)
    assert "That time of receipt still counts" in OutgoingMessage.objects.get(kind="reopened").text
    assert request.receipt.seal in OutgoingMessage.objects.get(kind="received").text  # reopening was the proof
    cast.pass_time(NOW.replace(month=5))
    assert fresh(of).ended_on == cast.date(2026, 2, 28)


def test_a_declined_request_is_reopened_unless_another_is_open(sam):
    of = cast.subscription()
    declined = cast.in_review(of)
    sam.post(url(declined, "decline"), {"ground": "duplicate"})
    other = cast.in_review(of)
    answer = sam.post(url(declined, "reopen"), {"ground": "kept"})
    assert "as a duplicate" in answer.content.decode()
    sam.post(url(other, "decline"), {"ground": "duplicate"})
    sam.post(url(declined, "reopen"), {"ground": "A mistake of ours"})
    assert (fresh(declined).state, fresh(declined).decline_ground) == ("in_review", "")
    assert Receipt.objects.filter(declaration=declined.declaration).count() == 1  # it was proven before


def test_a_subscription_that_ended_before_is_not_scheduled(sam):
    of = cast.subscription()
    request = cast.unverified(of.account, email="other@else.example")
    verify(request=request, now=NOW)
    Subscription.objects.filter(pk=of.pk).update(ended_on=cast.date(2026, 1, 31), ended_by="portal")
    answer = sam.post(url(request, "schedule"), {"words": "", "subscription": of.pk})
    assert "ended on 31 January 2026" in answer.content.decode()
    assert (fresh(request).state, fresh(request).subscription) == ("in_review", None)
    assert not OutgoingMessage.objects.filter(kind="scheduled").exists()


def test_somebody_was_faster(sam):
    request = cast.in_review()
    sam.post(url(request, "schedule"), {"words": ""})
    answer = sam.post(url(request, "decline"), {"ground": "duplicate"}, follow=True)
    assert "is not possible now" in answer.content.decode()
    assert fresh(request).state == "scheduled"


def test_a_difference_that_arose_is_shown(sam):
    request = cast.in_review()
    type(request.subscription).objects.filter(pk=request.subscription_id).update(billing_anchor=cast.date(2025, 1, 23))
    page = sam.get(url(request)).content.decode()
    assert "The data changed since" in page
    assert "23 February 2026" in page


def test_staff_never_see_a_proving_link(sam):
    request = cast.unverified(cast.account())
    letter = OutgoingMessage.objects.get(about=request.reference)
    page = sam.get(reverse("admin:messaging_outgoingmessage_change", args=[letter.pk])).content.decode()
    assert "/requests/proof/" not in page


MATRIX = {
    ("support", "schedule"), ("support", "decline"), ("support", "propose"), ("support", "change-kind"),
    ("support", "add-files"), ("finance", "send"), ("finance", "fail"), ("finance", "void"), ("manager", "change-kind"),
    ("manager", "add-files"), ("manager", "send"), ("manager", "fail"), ("manager", "void"), ("manager", "announce"),
    ("finance", "propose"), ("finance", "approve"), ("finance", "decline_refund"), ("finance", "settle"),
    ("manager", "schedule"), ("manager", "decline"), ("manager", "propose"), ("manager", "approve"),
    ("manager", "decline_refund"), ("manager", "settle"), ("manager", "publish"),
}  # fmt: skip


@pytest.mark.parametrize("role", ["support", "finance", "manager", None])
@pytest.mark.parametrize(
    "verb",
    ["schedule", "decline", "change-kind", "add-files", "propose", "approve", "decline_refund", "settle", "send",
     "fail", "void", "publish", "announce"],
)  # fmt: skip
def test_a_forged_post_is_refused_just_where_the_role_lacks_the_verb(role, verb):
    person = (
        cast.staff(role) if role else User.objects.create_user("x@atntcrm.example", "a-long-password", is_staff=True)
    )
    if verb in ("publish", "announce"):
        row = PolicyVersion.objects.create(number=7, text="x")
    elif verb in ("schedule", "decline", "change-kind", "add-files"):
        row = cast.in_review()
    else:
        row = cast.refund_requested()
    answer = at_desk(person).post(url(row, verb.removesuffix("_refund")), {})
    assert (answer.status_code != 403) == ((role, verb) in MATRIX)


def test_customers_and_strangers_stay_outside(client):
    request = cast.in_review()
    assert client.get(url(request)).url.startswith("/admin/login/")
    client.force_login(cast.customer(request.account))
    assert client.post(url(request, "schedule"), {}).url.startswith("/admin/login/")
    assert fresh(request).state == "in_review"


def test_rows_are_never_edited_in_a_form(sam):
    request = cast.in_review()
    sam.post(url(request), {"state": "scheduled", "words": "forged"})
    assert fresh(request).state == "in_review"
    assert sam.get(reverse("admin:cancellations_cancellationrequest_add")).status_code == 403


def test_a_ground_for_leaving_at_once_is_accepted_or_made_ordinary(sam):
    accepted, ordinary = (cast.in_review(kind="for_cause", reason="", cause="Data lost") for _ in range(2))
    page = sam.get(url(accepted)).content.decode()
    assert "/do/schedule/" not in page
    assert "the ground waits for you" in page
    assert "Data lost" in page
    sam.post(url(accepted, "accept-ground"), {"words": "Sorry."})
    assert (fresh(accepted).state, fresh(accepted).effective_at) == ("scheduled", NOW)
    assert "other-kind" not in sam.get(url(ordinary, "change-kind")).content.decode()
    assert sam.post(url(ordinary, "change-kind"), {"kind": "for_cause", "ground": "x"}).status_code == 422
    refused = sam.post(url(ordinary, "change-kind"), {"kind": "cooling_off", "ground": "kept words"})
    assert "were over" in refused.content.decode()
    assert "kept words" in refused.content.decode()
    sam.post(url(ordinary, "change-kind"), {"kind": "ordinary", "ground": "No trace of it"})
    assert "/do/schedule/" in sam.get(url(ordinary)).content.decode()


def test_support_adds_files_that_came_another_way(sam):
    request = cast.in_review()
    bad = sam.post(url(request, "add-files"), {"file": SimpleUploadedFile("x.exe", b"MZ\x00")})
    assert "of a type that we cannot take" in bad.content.decode()
    assert "Choose a file." in sam.post(url(request, "add-files"), {}).content.decode()
    sam.post(url(request, "add-files"), {"file": SimpleUploadedFile("brief.txt", b"By post.")})
    kept = request.attachments.get()
    page = sam.get(url(request)).content.decode()
    address = reverse("admin:cancellations_cancellationrequest_file", args=[request.pk, kept.pk])
    assert address in page
    got = sam.get(address)
    assert (got.content, got["Content-Security-Policy"]) == (
        b"By post.",
        "sandbox; default-src 'none'; frame-ancestors 'none'",
    )


def test_finance_sees_the_case_beside_the_sum():
    request = cast.scheduled(words="My words.", refund_wanted=True, refund_reason="It never worked")
    page = at_desk(cast.staff("finance")).get(url(request.refund)).content.decode()
    for part in (request.reference, "It never worked", "My words.", "Scheduled", "Sam", "Policy version 1"):
        assert part in page, part


def test_nothing_is_proposed_with_a_ground_and_declined():
    refund = cast.refund_requested()
    fiona, frank = at_desk(cast.staff("finance")), at_desk(cast.staff("finance", "Frank"))
    assert "State the ground" in fiona.post(url(refund, "propose"), {"basis": "none"}).content.decode()
    fiona.post(url(refund, "propose"), {"basis": "none", "ground": "All was used"})
    page = frank.get(url(refund)).content.decode()
    assert "All was used" in page
    assert "/do/approve/" not in page
    frank.post(url(refund, "decline"), {"ground": "All was used"})
    assert fresh(refund).state == "declined"


def test_the_refund_desk_from_proposal_to_payment():
    refund = cast.refund_requested()
    fiona, frank = at_desk(cast.staff("finance")), at_desk(cast.staff("finance", "Frank"))
    page = fiona.get(url(refund)).content.decode()
    assert "20 of 30 days" in page
    assert "€20.00" in page
    bad = fiona.post(url(refund, "propose"), {"basis": "custom", "amount": "99", "ground": "kept"})
    assert "can return €30.00 at most" in bad.content.decode()
    assert "kept" in bad.content.decode()
    fiona.post(url(refund, "propose"), {"basis": "unused"})
    assert "/do/approve/" not in fiona.get(url(refund)).content.decode()
    fiona.post(url(refund, "approve"), {})
    assert fresh(refund).state == "proposed"
    frank.post(url(refund, "approve"), {"ground": "All right."})
    assert fresh(refund).state == "approved"
    assert frank.post(url(refund, "settle"), {"reference": "", "paid_on": ""}).status_code == 422
    frank.post(url(refund, "settle"), {"reference": "SEPA 1", "paid_on": "2026-02-12"})
    assert fresh(refund).state == "paid"
    deliver_due(now=NOW.replace(year=2030))
    assert set(OutgoingMessage.objects.values_list("kind", flat=True)) == {"refund_approved", "refund_paid"}


def test_a_manager_drafts_and_publishes_a_version():
    cast.policy()
    mara = at_desk(cast.staff("manager"))
    form = mara.get(reverse("admin:cancellations_policyversion_add")).content.decode()
    assert 'value="2"' in form  # the next number
    told = {"number": 2, "text": "Notice is {notice_days}.", "notice_days": 7, "trial_notice_days": 0}
    told |= {"cooling_off_days": 14, "verification_days": 30, "review_mode": "every", "refund_decision_days": 5}
    told |= {"refund_payment_days": 10, "termination_basis": "unused"}
    mara.post(reverse("admin:cancellations_policyversion_add"), told)
    draft = PolicyVersion.objects.get(number=2)
    mara.post(url(draft), told | {"notice_days": 8})
    assert fresh(draft).notice_days == 8
    assert mara.post(url(draft, "publish"), {"change_summary": ""}).status_code == 422
    mara.post(url(draft, "publish"), {"change_summary": "Eight days."})
    assert fresh(draft).state == "published"
    mara.post(url(draft), told | {"notice_days": 1})
    assert fresh(draft).notice_days == 8
    assert "Notice is 8 days." in Client().get("/policy/").content.decode()


@pytest.mark.parametrize(
    "name",
    ["accounts_account", "accounts_user", "billing_subscription", "billing_payment", "billing_refund",
     "cancellations_cancellationrequest", "cancellations_policyversion", "messaging_outgoingmessage", "auth_group"],
)  # fmt: skip
def test_every_list_and_page_opens(name):
    root = at_desk(User.objects.create_superuser("root@atntcrm.example", "a-long-password"))
    refund = cast.refund_requested()
    request = cast.in_review()
    rows = {
        "accounts_account": refund.account, "accounts_user": cast.staff("support"), "billing_refund": refund,
        "billing_subscription": refund.subscription, "billing_payment": refund.subscription.payments.get(),
        "cancellations_cancellationrequest": request, "cancellations_policyversion": request.policy_version,
        "messaging_outgoingmessage": OutgoingMessage.objects.first(), "auth_group": cast.Group.objects.first(),
    }  # fmt: skip
    assert root.get(reverse(f"admin:{name}_changelist")).status_code == 200
    assert root.get(reverse(f"admin:{name}_change", args=[rows[name].pk])).status_code == 200
    assert root.get("/admin/").status_code == 200


def test_a_reopened_request_loses_its_waiver():
    request, sam = cast.in_review(at=NOW.replace(day=20)), cast.staff("support")
    waive_notice(request=request, by=sam, ground="In hospital", now=NOW.replace(day=20))
    assert fresh(request).effective_on == date(2026, 2, 28)
    decline(request=fresh(request), by=sam, ground="duplicate", now=NOW.replace(day=20))
    again = reopen(request=fresh(request), by=sam, ground="It was none", now=NOW.replace(day=21))
    assert (again.notice_waived_by, again.notice_waived_ground) == (None, "")
    assert again.effective_on == date(2026, 3, 31)


class TestPaymentsOfARefund:
    DOUBLE, LEFT_OUT = "Probable double charge", "A refund has one currency"

    def page(self, refund):
        return at_desk(cast.staff("finance")).get(url(refund)).content.decode()

    def test_two_of_one_period_are_marked(self):
        refund = cast.refund_requested()
        first = refund.subscription.payments.get()
        cast.payment(refund.subscription, date(2026, 3, 1), date(2026, 4, 1))
        assert self.DOUBLE not in self.page(refund)
        second = cast.payment(refund.subscription, first.period_start, first.period_end)
        assert self.page(refund).count(self.DOUBLE) == 2
        type(second).objects.filter(pk=second.pk).update(amount_refunded=second.amount.amount)
        assert self.DOUBLE not in self.page(refund)

    def test_two_of_one_period_are_marked_beside_the_request(self):
        request = cast.scheduled()
        for _ in range(2):
            cast.payment(request.subscription, date(2026, 1, 31), date(2026, 2, 28))
        assert self.DOUBLE in at_desk(cast.staff("support")).get(url(request)).content.decode()

    def test_one_in_another_currency_is_not_left_out_silently(self):
        refund = cast.refund_requested()
        assert self.LEFT_OUT not in self.page(refund)
        other = cast.payment(refund.subscription, date(2026, 4, 10), date(2026, 4, 20), Money("5.00", "CHF"))
        page = self.page(refund)
        assert self.LEFT_OUT in page
        assert f"{other.reference} was paid in another one" in " ".join(page.split())

    def test_one_of_an_earlier_contract_is_no_part_of_it(self):
        """As in the quote: a customer who came back under the same number begins a new contract."""
        refund = cast.refund_requested()
        type(refund).objects.filter(pk=refund.pk).update(whole_contract=True)
        cast.payment(refund.subscription, date(2026, 2, 1), date(2026, 3, 1), Money("5.00", "CHF"))
        assert self.LEFT_OUT not in self.page(refund)

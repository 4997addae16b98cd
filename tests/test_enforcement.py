"""Time passes: requests take effect, expire, or are superseded, once and only once."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.timeline import entries
from billing.models import Refund, Subscription
from billing.models.states import IllegalTransition
from cancellations.models import CancellationRequest, ReviewMode
from cancellations.services.enforcement import enforce
from cancellations.services.review import schedule, try_again, waive_notice
from cancellations.services.submission import verify, withdraw
from cancellations.wording.explanation import sentences
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh
from tests.databases import as_owner
from tests.workers import ended, killed_somewhere, started

pytestmark = pytest.mark.django_db
EFFECTIVE_AT = datetime(2026, 2, 27, 23, tzinfo=UTC)  # midnight in Berlin, on 28 February
SECOND = timedelta(seconds=1)


def kinds(request):
    letters = OutgoingMessage.objects.filter(about=request.reference)
    return list(letters.order_by("created_at", "written_at").values_list("kind", flat=True))


def test_it_takes_effect_at_local_midnight_and_not_a_second_before():
    request = cast.scheduled()
    assert request.effective_at == EFFECTIVE_AT
    assert enforce(now=EFFECTIVE_AT - SECOND) == []
    assert [one.what for one in enforce(now=EFFECTIVE_AT)] == ["effective"]
    assert fresh(request).state == "effective"
    ended = fresh(request.subscription)
    assert (ended.ended_on, ended.ended_by) == (date(2026, 2, 28), "portal")
    assert kinds(request) == ["received", "scheduled", "ended"]


def test_the_receipt_says_all_that_was_declared():
    wish = {"requested_end": date(2026, 4, 15), "refund_wanted": True, "refund_reason": "Paid twice."}
    request = cast.in_review(words="Two lines\nof words", **wish)
    text = OutgoingMessage.objects.get(about=request.reference).text
    for part in ("14:07:31 (Europe/Berlin)", "30 April 2026", "Two lines\nof words", "15 April 2026", "Paid twice."):
        assert part in text
    assert all(sentence in text for sentence in sentences(request.explanation))


def test_a_second_run_changes_nothing():
    request = cast.scheduled()
    enforce(now=EFFECTIVE_AT)
    events, letters = request.events.count(), OutgoingMessage.objects.count()
    assert enforce(now=EFFECTIVE_AT + timedelta(days=1)) == []
    assert (request.events.count(), OutgoingMessage.objects.count()) == (events, letters)


def test_silence_never_costs_the_customer():
    request = cast.in_review()
    assert [one.detail for one in enforce(now=EFFECTIVE_AT)] == ["ended on 2026-02-28, undecided"]
    assert fresh(request).state == "effective"
    assert ("schedule", "system") in {(entry.verb, entry.actor) for entry in entries(request)}


def test_an_unmatched_request_waits_for_support():
    request = cast.proven_but_unmatched()
    assert enforce(now=EFFECTIVE_AT + timedelta(days=400)) == []
    assert fresh(request).state == "in_review"


def test_a_late_request_counts_for_the_date_that_it_can_meet():
    late = datetime(2026, 2, 18, 23, 0, tzinfo=UTC)  # 00:00 of the 19th in Berlin
    assert cast.in_review(at=late - SECOND).effective_on == date(2026, 2, 28)
    request = cast.in_review(at=late)
    assert (request.on_time, request.effective_on) == (False, date(2026, 3, 31))


def test_waiving_the_notice_moves_the_end_to_the_next_billing_date():
    request = cast.in_review(at=datetime(2026, 2, 20, 9, tzinfo=UTC))
    request = waive_notice(request=request, by=cast.staff("support"), ground="In hospital", now=NOW)
    assert (request.effective_on, request.effective_at) == (date(2026, 2, 28), EFFECTIVE_AT)
    assert "waived" in sentences(request.explanation)[-1]
    enforce(now=EFFECTIVE_AT)
    assert fresh(request.subscription).ended_on == date(2026, 2, 28)


def test_a_trial_ends_with_its_last_day():
    of = cast.subscription(
        started_on=date(2026, 2, 1), billing_anchor=date(2026, 2, 20), trial_ends_on=date(2026, 2, 20)
    )
    request = cast.in_review(of)
    assert (request.effective_on, request.on_time) == (date(2026, 2, 20), True)


def test_a_request_that_was_taken_back_does_nothing():
    request = withdraw(requests=[cast.scheduled()], now=NOW)[0]
    assert enforce(now=EFFECTIVE_AT) == []
    assert fresh(request.subscription).ended_on is None


def test_an_unproven_request_expires_after_the_policys_days():
    request = cast.unverified(cast.account())
    assert enforce(now=NOW + timedelta(days=30) - SECOND) == []
    assert [one.what for one in enforce(now=NOW + timedelta(days=30))] == ["expired"]
    assert kinds(request) == ["prove_address", "expired"]


def test_late_proof_keeps_the_time_of_receipt():
    of = cast.subscription()
    request = cast.unverified(of.account)
    verify(request=request, now=NOW + timedelta(days=25))  # 9 March: long after the deadline
    request = fresh(request)
    assert (request.received_at, request.effective_on, request.on_time) == (NOW, date(2026, 2, 28), True)
    assert [one.what for one in enforce(now=NOW + timedelta(days=25))] == ["effective"]


def test_without_exceptions_a_plain_request_needs_no_review():
    cast.policy(review_mode=ReviewMode.EXCEPTIONS)
    assert cast.in_review().state == "scheduled"


def test_an_end_by_the_companys_own_system_settles_the_request():
    request = cast.scheduled()
    type(request.subscription).objects.filter(pk=request.subscription_id).update(ended_on=NOW.date(), ended_by="crm")
    assert [one.what for one in enforce(now=NOW)] == ["superseded"]
    assert kinds(request)[-1] == "superseded"


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("America/Los_Angeles", datetime(2026, 2, 20, 8, tzinfo=UTC)),
        ("Pacific/Auckland", datetime(2026, 2, 19, 11, tzinfo=UTC)),
        ("Pacific/Kiritimati", datetime(2026, 2, 19, 10, tzinfo=UTC)),
    ],
)
def test_an_end_elsewhere_comes_at_midnight_in_the_zone_of_the_account(zone, midnight):
    request = cast.scheduled(cast.subscription(cast.account(time_zone=zone)))
    Subscription.objects.filter(pk=request.subscription_id).update(ended_on=date(2026, 2, 20), ended_by="crm")
    assert enforce(now=midnight - SECOND) == []
    assert [result.what for result in enforce(now=midnight)] == ["superseded"]


def test_no_review_is_queued_where_nothing_is_prepaid():
    of = cast.subscription()
    cast.payment(of, date(2026, 1, 31), date(2026, 2, 28))
    cast.scheduled(of)
    enforce(now=EFFECTIVE_AT)
    assert not Refund.objects.exists()


def test_a_review_is_queued_when_a_payment_reaches_past_the_end():
    of = cast.subscription()
    cast.payment(of, date(2026, 2, 28), date(2026, 3, 31))
    request = cast.scheduled(of)
    assert not Refund.objects.exists()
    enforce(now=EFFECTIVE_AT)
    refund = Refund.objects.get()
    assert fresh(request).refund == refund
    assert (refund.about, refund.ended_on, refund.state) == (request.reference, date(2026, 2, 28), "requested")
    assert refund.decision_due_on == date(2026, 3, 6)  # 5 working days after Saturday, 28 February
    assert kinds(request)[-1] == "ended_with_review"


def test_who_asks_for_a_refund_does_not_wait_for_the_end_to_have_it_decided():
    request = cast.scheduled(refund_wanted=True, refund_reason="Could not use it")
    refund = Refund.objects.get()
    assert (refund.ended_on, refund.customer_reason) == (date(2026, 2, 28), "Could not use it")
    assert refund.decision_due_on == date(2026, 2, 19)  # 5 working days after Thursday, 12 February
    enforce(now=EFFECTIVE_AT)
    assert fresh(request).refund == refund
    assert kinds(request)[-1] == "ended_with_review"


def test_a_refunded_payment_needs_no_review():
    of = cast.subscription()
    cast.payment(of, date(2026, 2, 28), date(2026, 3, 31), amount_refunded=30)
    cast.scheduled(of)
    enforce(now=EFFECTIVE_AT)
    assert not Refund.objects.exists()


def _refuse_updates_of(subscription):
    with as_owner() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'broken row'; END $$ LANGUAGE plpgsql"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON billing_subscription FOR EACH ROW "
            f"WHEN (OLD.id = {subscription.pk}) EXECUTE FUNCTION refuse()"
        )


def test_one_bad_row_is_set_aside_and_holds_nobody_up():
    bad, good = cast.scheduled(at=NOW - timedelta(hours=1)), cast.scheduled()
    _refuse_updates_of(bad.subscription)
    assert [one.what for one in enforce(now=EFFECTIVE_AT)] == ["set aside", "effective"]
    bad = fresh(bad)
    assert bad.state == "scheduled"
    assert "broken row" in bad.enforcement_error
    assert fresh(good).state == "effective"
    assert enforce(now=EFFECTIVE_AT) == []
    with as_owner() as cursor:
        cursor.execute("DROP TRIGGER refuse ON billing_subscription")
    try_again(request=bad, by=cast.staff("support"), now=EFFECTIVE_AT)
    assert [one.what for one in enforce(now=EFFECTIVE_AT)] == ["effective"]
    with pytest.raises(IllegalTransition):
        try_again(request=bad, by=cast.staff("support"), now=EFFECTIVE_AT)


def test_the_command_says_what_it_did():
    request, out = cast.scheduled(), StringIO()
    call_command("enforce", now="2026-02-28T00:00:00+01:00", stdout=out)
    assert out.getvalue() == f"{request.reference}  effective  ended on 2026-02-28\n1 request processed.\n"
    with pytest.raises(CommandError, match="is not a time"):
        call_command("enforce", now="tomorrow")


def test_what_was_frozen_does_not_move_with_a_later_import():
    request = cast.scheduled()
    type(request.subscription).objects.filter(pk=request.subscription_id).update(billing_anchor=date(2025, 1, 10))
    enforce(now=EFFECTIVE_AT)
    assert fresh(request.subscription).ended_on == date(2026, 2, 28)


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_changes_nothing_twice():
    """Real processes on the real database, ended by SIGKILL at a random moment, until the work is done."""
    sam = cast.staff("support")
    cast.policy()
    for _ in range(60):
        of = cast.subscription()
        cast.payment(of, date(2026, 2, 28), date(2026, 3, 31))
        schedule(request=cast.in_review(of), by=sam, now=NOW)
    kills = 0
    for attempt in range(12):
        running = started(call_command, "enforce", "--now", EFFECTIVE_AT.isoformat())
        if attempt < 4:
            kills += killed_somewhere(running, _effective)
        ended(running)
        if _effective() == 60:
            break
    assert _effective() == 60
    assert kills > 0, "no run was ended in the middle, so this proves nothing"
    assert Refund.objects.count() == 60
    assert OutgoingMessage.objects.filter(kind="ended_with_review").count() == 60
    events = CancellationRequest.pgh_event_model.objects.filter(state="effective")
    assert events.count() == 60


def _effective():
    return CancellationRequest.objects.filter(state="effective").count()


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_share_the_work():
    from concurrent.futures import ThreadPoolExecutor

    sam = cast.staff("support")
    cast.policy()
    for _ in range(20):
        schedule(request=cast.in_review(), by=sam, now=NOW)

    def work(_):
        try:
            return len(enforce(now=EFFECTIVE_AT))
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(work, range(3))) == 20
    assert OutgoingMessage.objects.filter(kind="ended").count() == 20


def test_who_wishes_for_a_later_end_is_not_called_late():
    late = datetime(2026, 2, 20, 9, tzinfo=UTC)
    assert cast.in_review(at=late).came_late
    assert not cast.in_review(at=late, requested_end=date(2026, 4, 15)).came_late
    assert not cast.in_review().came_late

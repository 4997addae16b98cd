"""`manage.py verify`: each invariant holds for what the portal does, and names the row that breaks it."""

from datetime import date

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.audit import seal_audit
from billing.services.review import approve, propose
from billing.services.sending import settle, take_back
from billing.services.transfers import enter_bank_details, make_batch
from cancellations.services.enforcement import enforce
from config.invariants import INVARIANTS, findings
from messaging.services.outbox import deliver_due
from tests import cast
from tests.databases import behind_the_back

pytestmark = pytest.mark.django_db
IBAN = "DE89370400440532013000"


@pytest.fixture
def company():
    """Some of everything, long ago enough that nothing is late by the clock of this test."""
    now = timezone.now()
    cast.policy()
    fiona, frank, mara = cast.staff("finance"), cast.staff("finance", "Frank"), cast.staff("manager")
    for _ in range(2):
        refund = propose(refund=cast.refund_requested(), basis="unused", by=fiona, now=now)
        refund = approve(refund=refund, by=frank, now=now)
        settle(refund=refund, by=frank, reference="SEPA 1", paid_on=now.date(), now=now)
    take_back(refund=refund, by=frank, ground="Account closed", now=now)
    settle(refund=refund, by=frank, reference="SEPA 2", paid_on=now.date(), now=now)
    ordered = cast.refund_requested()
    enter_bank_details(refund=ordered, name="Alice", account=IBAN, by=mara, now=now)
    propose(refund=ordered, basis="unused", by=fiona, now=now)
    make_batch(refunds=[approve(refund=ordered, by=mara, now=now)], by=frank, now=now)
    cast.scheduled()
    enforce(now=now)
    cast.in_review(at=now), cast.in_review(at=now)
    cast.unverified(cast.account(), at=now)
    cast.terminated(cast.subscription().account, at=now)
    deliver_due(now=now)
    seal_audit(now=now)


def broken():
    return {finding.invariant.name for finding in findings(timezone.now())}


def test_what_the_portal_does_breaks_none(company):
    assert broken() == set()
    call_command("verify")


R, REFUND = "cancellations_cancellationrequest", "billing_refund"
EFFECTIVE = "WHERE id = (SELECT min(id) FROM cancellations_cancellationrequest WHERE state = 'effective')"
PAID = "WHERE id = (SELECT id FROM billing_refund WHERE state = 'paid' LIMIT 1)"
# Where a constraint refuses the change, it is dropped first: an invariant is about a database that lost its guards, too
WITHOUT = {
    "ended subscriptions have an end": ("billing_subscription", "subscription_end_has_a_source"),
    "nothing ends without a receipt of the request": (R, "request_scheduled_is_matched_and_dated"),
    "joined declarations are closed": (R, "request_joined_is_superseded"),
    "requests know their history": (R, "request_declined_on_a_ground"),
    "terminated accounts have no running subscription": ("billing_subscription", "subscription_end_has_a_source"),
    "terminations have their history": ("cancellations_termination", "termination_settled_on_a_ground"),
    "four eyes on each refund": (REFUND, "refund_proposer_is_not_approver"),
    "nothing is bound to a recalled policy": ("cancellations_policyversion", "policy_recalled_before_its_day"),
}
BREAKS = {
    "due ends happened": f"UPDATE {R} SET state = 'scheduled' {EFFECTIVE}",
    "ended subscriptions have an end": "UPDATE billing_subscription SET ended_on = NULL",
    "nothing ends without a receipt of the request": f"UPDATE {R} SET verified_at = NULL {EFFECTIVE}",
    "an unclear end ends nothing": f"UPDATE {R} SET end_unread = 'in March' {EFFECTIVE}",
    "one open request a subscription": None,
    "joined declarations are closed": f"UPDATE {R} SET joined_to_id = id {EFFECTIVE}",
    "requests know their history": f"UPDATE {R} SET state = 'declined' {EFFECTIVE}",
    "proven declarations have a receipt": "DELETE FROM cancellations_receipt",
    "receipts have no gaps": "DELETE FROM cancellations_receipt WHERE number = 2",
    "receipts form a chain": "UPDATE cancellations_receipt SET previous_seal = 'x' WHERE number = 2",
    "terminated accounts have no running subscription": "UPDATE billing_subscription SET ended_on = NULL",
    "terminations have their history": "UPDATE cancellations_termination SET state = 'reversed'",
    "erased accounts hold no name": "UPDATE accounts_account SET erased_at = now()",
    "refunds are the sum of their lines": f"UPDATE {REFUND} SET amount = amount + 1 {PAID}",
    "no payment is returned twice": "UPDATE billing_payment SET amount = 1",
    "no gateway refund is booked twice": f"UPDATE {REFUND} SET gateway = 'stripe'; UPDATE billing_refundline "
    "SET reference = 're_1', state = 'returned'",
    "four eyes on each refund": f"UPDATE {REFUND} SET approved_by_id = proposed_by_id {PAID}",
    "refunds know their history": f"UPDATE {REFUND} SET state = 'void' {PAID}",
    "paid refunds have a credit note": "DELETE FROM billing_creditnote WHERE number = 1",
    "credit notes have no gaps": "DELETE FROM billing_creditnote WHERE number = 1; "
    "UPDATE billing_creditnote SET number = 90 WHERE number = (SELECT max(number) FROM billing_creditnote)",
    "paid refunds were returned": "UPDATE billing_refundline SET state = 'failed'",
    "batches are the sum of their transfers": "UPDATE billing_transferbatch SET count = 7",
    "charges after an end are reviewed": None,
    "payments are looked at": None,
    "requests have their letter": "UPDATE messaging_outgoingmessage SET kind = 'x'",
    "ends have their letter": "UPDATE messaging_outgoingmessage SET kind = 'x'",
    "mail leaves": "UPDATE messaging_outgoingmessage SET state = 'pending', due_at = now() - interval '2 days'",
    "secrets are wiped": "UPDATE messaging_outgoingmessage SET text = 'https://x', holds_secret = true, state = 'sent'",
    "mail is read": None,
    "delivered webhooks have a time": None,
    "a policy is in force": "UPDATE cancellations_policyversion SET effective_from = now() + interval '9 days'",
    "nothing is bound to a recalled policy": "UPDATE cancellations_policyversion SET state = 'recalled'",
    "the audit is sealed": "UPDATE accounts_auditentry SET number = NULL, at = now() - interval '1 day'",
    "the audit has no gaps": "DELETE FROM accounts_auditentry WHERE number = 3",
}


def test_each_invariant_has_a_break():
    assert list(BREAKS) == [invariant.name for invariant in INVARIANTS]
    assert len(INVARIANTS) >= 25


@pytest.mark.parametrize(("name", "sql"), [(name, sql) for name, sql in BREAKS.items() if sql])
def test_what_breaks_it_is_named(company, name, sql):
    with behind_the_back() as cursor:
        cursor.execute(
            "UPDATE cancellations_cancellationrequest SET verified_at = verified_at - interval '2 hours', "
            "state_changed_at = now() - interval '2 hours' WHERE state = 'effective'; "
            "UPDATE cancellations_policyversion SET published_at = now() - interval '9 days'"
        )
        cursor.execute("UPDATE cancellations_cancellationrequest SET verified_at = now() - interval '2 hours' "
                       "WHERE state = 'effective'")  # fmt: skip
        assert broken() == set()
        if name in WITHOUT:
            table, constraint = WITHOUT[name]
            cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        cursor.execute(sql)
        assert name in broken()


def test_two_open_requests(company):
    with behind_the_back() as cursor:
        cursor.execute("DROP INDEX one_open_request_a_subscription")
        cursor.execute(
            f"UPDATE {R} SET state = 'in_review', subscription_id = (SELECT min(id) FROM billing_subscription)"
        )
        assert "one open request a subscription" in broken()


def test_a_charge_after_an_end_that_nobody_reviewed(company):
    of = cast.subscription()
    with behind_the_back() as cursor:
        cursor.execute(
            "UPDATE billing_subscription SET ended_on = '2026-03-01', ended_by = 'portal' WHERE id = %s", [of.pk]
        )
        cast.payment(of, date(2026, 3, 1), date(2026, 4, 1))
        assert "charges after an end are reviewed" in broken()
        cursor.execute("UPDATE billing_payment SET is_to_check = true")
        assert "payments are looked at" in broken()


def test_mail_without_an_outcome_and_a_webhook_without_an_answer():
    delivery = cast.webhook_delivered()
    assert broken() == set()
    with behind_the_back() as cursor:
        cursor.execute("UPDATE messaging_webhookdelivery SET last_status = 500 WHERE id = %s", [delivery.pk])
        cursor.execute(
            "INSERT INTO messaging_incomingmessage SELECT * FROM "
            "jsonb_populate_record(NULL::messaging_incomingmessage, "
            "jsonb_build_object('id', gen_random_uuid(), 'state', 'read', 'outcome', '', 'size', 1, 'attempts', 0, "
            "'arrived_at', now(), 'stored_at', now(), 'due_at', now(), 'door', 'command', 'last_error', '', "
            "'message_id', '', 'digest', '', 'in_reply_to', '', 'references', ARRAY[]::text[], 'sender', '', "
            "'sender_name', '', 'subject', '', 'text', '', 'html', '', 'files', '[]'::jsonb, 'remarks', "
            "ARRAY[]::text[], 'sort', '', 'checked', 'unknown', 'about', '', 'thread', '', 'raw', ''))"
        )
        assert broken() >= {"mail is read", "delivered webhooks have a time"}


def test_the_command_names_the_rows_and_fails(company, capsys):
    with behind_the_back() as cursor:
        cursor.execute("UPDATE billing_transferbatch SET count = 7 RETURNING reference")
        reference = cursor.fetchone()[0]
        with pytest.raises(CommandError, match="1 of"):
            call_command("verify")
    assert f"Broken by 1: {reference}" in capsys.readouterr().out

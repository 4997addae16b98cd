"""What has to hold in the database, whatever happened: statements of their own, which share no code with services.

Each statement returns the references of the rows that break it. `manage.py verify` runs them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

MOST_NAMED = 20


@dataclass(frozen=True)
class Invariant:
    """`broken` selects one text for each row that breaks it. `%(now)s` is the time of the check."""

    name: str
    says: str
    broken: str


@dataclass(frozen=True)
class Finding:
    """An invariant that does not hold, with how many rows break it and the first of them."""

    invariant: Invariant
    count: int
    rows: tuple[str, ...]


INVARIANTS = (
    # Ends
    Invariant(
        "due ends happened",
        "A matched, ordinary request whose end has come takes effect within an hour, or is set aside",
        """SELECT reference FROM cancellations_cancellationrequest WHERE state IN ('in_review', 'scheduled')
        AND effective_at < %(now)s - interval '1 hour' AND enforcement_error = ''""",
    ),
    Invariant(
        "ended subscriptions have an end",
        "The subscription of a request in effect has ended by then, or was started anew",
        """SELECT q.reference FROM cancellations_cancellationrequest q JOIN billing_subscription s
        ON s.id = q.subscription_id WHERE q.state = 'effective' AND s.started_on <= q.effective_on
        AND (s.ended_on IS NULL OR s.ended_on > q.effective_on)""",
    ),
    Invariant(
        "nothing ends without a receipt of the request",
        "A request is scheduled or in effect only if its sender is proven",
        """SELECT reference FROM cancellations_cancellationrequest WHERE state IN ('scheduled', 'effective')
        AND verified_at IS NULL""",
    ),
    Invariant(
        "an unclear end ends nothing",
        "A request whose requested end could not be read is in effect only after somebody said it",
        """SELECT reference FROM cancellations_cancellationrequest WHERE state IN ('scheduled', 'effective')
        AND kind = 'ordinary' AND end_unread <> '' AND end_stated_at IS NULL""",
    ),
    Invariant(
        "one open request a subscription",
        "At most one request for a subscription is open",
        """SELECT min(reference) FROM cancellations_cancellationrequest WHERE subscription_id IS NOT NULL
        AND state IN ('unverified', 'in_review', 'scheduled') GROUP BY subscription_id HAVING count(*) > 1""",
    ),
    Invariant(
        "joined declarations are closed",
        "A declaration that counts with another is closed, and the other counts with no third one",
        """SELECT q.reference FROM cancellations_cancellationrequest q JOIN cancellations_cancellationrequest lead
        ON lead.id = q.joined_to_id WHERE q.state <> 'superseded' OR lead.joined_to_id IS NOT NULL""",
    ),
    Invariant(
        "requests know their history",
        "The last state in the history of a request is its state",
        """SELECT q.reference FROM cancellations_cancellationrequest q LEFT JOIN LATERAL (
            SELECT e.state FROM cancellations_cancellationrequestevent e WHERE e.pgh_obj_id = q.id
            ORDER BY e.pgh_id DESC LIMIT 1) last ON true WHERE last.state IS DISTINCT FROM q.state""",
    ),
    Invariant(
        "proven declarations have a receipt",
        "Each declaration of a proven sender has a receipt",
        """SELECT q.reference FROM cancellations_cancellationrequest q WHERE q.part = 1 AND q.verified_at IS NOT NULL
        AND q.verified_at < %(now)s - interval '1 hour'
        AND NOT EXISTS (SELECT 1 FROM cancellations_receipt r WHERE r.declaration = q.declaration)""",
    ),
    Invariant(
        "receipts have no gaps",
        "Receipts are numbered from 1 without gaps",
        """SELECT 'after ' || r.number FROM cancellations_receipt r WHERE r.number IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM cancellations_receipt n WHERE n.number = r.number + 1)
        AND r.number < (SELECT max(number) FROM cancellations_receipt)""",
    ),
    Invariant(
        "receipts form a chain",
        "Each receipt carries the seal of the one before it",
        """SELECT r.declaration FROM cancellations_receipt r JOIN cancellations_receipt p ON p.number = r.number - 1
        WHERE r.previous_seal <> p.seal""",
    ),
    # Terminations and accounts
    Invariant(
        "terminated accounts have no running subscription",
        "Each subscription that started before a termination in effect has ended by then",
        """SELECT s.reference FROM cancellations_termination t JOIN billing_subscription s USING (account_id)
        WHERE t.state = 'effective' AND s.started_on < t.effective_on
        AND (s.ended_on IS NULL OR s.ended_on > t.effective_on)""",
    ),
    Invariant(
        "terminations have their history",
        "The last state in the history of a termination is its state",
        """SELECT t.reference FROM cancellations_termination t LEFT JOIN LATERAL (
            SELECT e.state FROM cancellations_terminationevent e WHERE e.pgh_obj_id = t.id
            ORDER BY e.pgh_id DESC LIMIT 1) last ON true WHERE last.state IS DISTINCT FROM t.state""",
    ),
    Invariant(
        "erased accounts hold no name",
        "An erased account holds no name and no address",
        """SELECT account_number FROM accounts_account WHERE erased_at IS NOT NULL
        AND (name <> '(erased)' OR email LIKE '%%@%%' AND email NOT LIKE '%%.invalid')""",
    ),
    # Money
    Invariant(
        "refunds are the sum of their lines",
        "From the proposal on, the amount of a refund is the sum of its lines",
        """SELECT r.reference FROM billing_refund r LEFT JOIN billing_refundline l ON l.refund_id = r.id
        WHERE r.state IN ('proposed', 'approved', 'sending', 'paid', 'failed')
        GROUP BY r.id HAVING coalesce(sum(l.amount), 0) <> r.amount""",
    ),
    Invariant(
        "no payment is returned twice",
        "What refunds return of a payment is not more than the payment",
        """SELECT p.reference FROM billing_payment p JOIN billing_refundline l ON l.payment_id = p.id
        JOIN billing_refund r ON r.id = l.refund_id
        WHERE r.state NOT IN ('declined', 'void', 'failed') OR l.state = 'returned'
        GROUP BY p.id HAVING sum(l.amount) > p.amount""",
    ),
    Invariant(
        "no gateway refund is booked twice",
        "A reference of a gateway stands at one line only",
        """SELECT l.reference FROM billing_refundline l JOIN billing_refund r ON r.id = l.refund_id
        WHERE r.gateway NOT IN ('', 'manual') AND l.state = 'returned' AND l.reference LIKE 're\\_%%'
        GROUP BY l.reference HAVING count(*) > 1""",
    ),
    Invariant(
        "four eyes on each refund",
        "Whoever proposed a refund did not approve it, and two approvals are of two people",
        """SELECT reference FROM billing_refund WHERE state IN ('approved', 'sending', 'paid', 'failed')
        AND (approved_by_id IS NULL OR approved_by_id = proposed_by_id OR second_approved_by_id = proposed_by_id
        OR second_approved_by_id = approved_by_id OR approvals_needed > 1 AND second_approved_by_id IS NULL)""",
    ),
    Invariant(
        "refunds know their history",
        "The last state in the history of a refund is its state",
        """SELECT r.reference FROM billing_refund r LEFT JOIN LATERAL (
            SELECT e.state FROM billing_refundevent e WHERE e.pgh_obj_id = r.id ORDER BY e.pgh_id DESC LIMIT 1) last
        ON true WHERE last.state IS DISTINCT FROM r.state""",
    ),
    Invariant(
        "paid refunds have a credit note",
        "The credit notes of a refund, less those that reverse one, add up to what was paid",
        """SELECT r.reference FROM billing_refund r WHERE coalesce((SELECT sum(CASE WHEN n.reverses_id IS NULL
        THEN n.amount ELSE -n.amount END) FROM billing_creditnote n WHERE n.refund_id = r.id), 0)
        <> CASE WHEN r.state = 'paid' THEN r.amount ELSE 0 END""",
    ),
    Invariant(
        "credit notes have no gaps",
        "Credit notes are numbered from 1 without gaps",
        """SELECT 'after ' || n.number FROM billing_creditnote n WHERE NOT EXISTS (
            SELECT 1 FROM billing_creditnote m WHERE m.number = n.number + 1)
        AND n.number < (SELECT max(number) FROM billing_creditnote)""",
    ),
    Invariant(
        "paid refunds were returned",
        "Each line of a paid refund was returned",
        """SELECT DISTINCT r.reference FROM billing_refund r JOIN billing_refundline l ON l.refund_id = r.id
        WHERE r.state = 'paid' AND l.state = 'failed'""",
    ),
    Invariant(
        "batches are the sum of their transfers",
        "The total and the count of a file for the bank are those of its transfers",
        """SELECT b.reference FROM billing_transferbatch b LEFT JOIN billing_transferitem i ON i.batch_id = b.id
        GROUP BY b.id HAVING coalesce(sum(i.amount), 0) <> b.total OR count(i.id) <> b.count""",
    ),
    Invariant(
        "charges after an end are reviewed",
        "A payment for a time after an end of the portal has a review, unless it was returned or is disputed",
        """SELECT p.reference FROM billing_payment p JOIN billing_subscription s ON s.id = p.subscription_id
        WHERE s.ended_by = 'portal' AND p.period_start >= s.ended_on AND p.period_start >= s.started_on
        AND p.dispute NOT IN ('open', 'lost') AND p.amount > p.amount_refunded
        AND NOT EXISTS (SELECT 1 FROM billing_refund r WHERE r.subscription_id = s.id)""",
    ),
    Invariant(
        "payments are looked at",
        "A payment that may charge for a time after an end is looked at within 15 minutes",
        """SELECT p.reference FROM billing_payment p JOIN billing_subscription s ON s.id = p.subscription_id
        WHERE p.is_to_check AND p.paid_at < %(now)s - interval '15 minutes' AND s.ended_on <= %(now)s::date - 2""",
    ),
    # Messages
    Invariant(
        "requests have their letter",
        "A declaration that was proven within the last month was confirmed by mail",
        """SELECT q.reference FROM cancellations_cancellationrequest q WHERE q.part = 1 AND q.joined_to_id IS NULL
        AND q.verified_at BETWEEN %(now)s - interval '30 days' AND %(now)s - interval '1 hour'
        AND NOT EXISTS (SELECT 1 FROM messaging_outgoingmessage m WHERE m.about = q.declaration
        AND m.kind = 'received')""",
    ),
    Invariant(
        "ends have their letter",
        "An end that took effect within the last month was told by mail",
        """SELECT q.reference FROM cancellations_cancellationrequest q WHERE q.state = 'effective'
        AND q.state_changed_at BETWEEN %(now)s - interval '30 days' AND %(now)s - interval '1 hour'
        AND NOT EXISTS (SELECT 1 FROM messaging_outgoingmessage m WHERE m.about = q.declaration
        AND m.kind IN ('ended', 'ended_with_review', 'scheduled', 'received'))""",
    ),
    Invariant(
        "mail leaves",
        "No message has been due for more than a day",
        """SELECT kind || ' ' || id FROM messaging_outgoingmessage WHERE state = 'pending'
        AND due_at < %(now)s - interval '1 day'""",
    ),
    Invariant(
        "secrets are wiped",
        "A message with a code or a proving link holds it no longer once it was sent",
        """SELECT kind || ' ' || id FROM messaging_outgoingmessage WHERE holds_secret AND state = 'sent'
        AND text NOT LIKE '(Held a code%%'""",
    ),
    Invariant(
        "mail is read",
        "Each mail that was read has an outcome",
        "SELECT id::text FROM messaging_incomingmessage WHERE state = 'read' AND outcome = ''",
    ),
    Invariant(
        "delivered webhooks have a time",
        "A webhook counts as delivered only with the time and a good answer",
        """SELECT id::text FROM messaging_webhookdelivery WHERE state = 'delivered'
        AND (delivered_at IS NULL OR last_status NOT BETWEEN 200 AND 299)""",
    ),
    # Policy and audit
    Invariant(
        "a policy is in force",
        "Once a version was published, one is in force",
        """SELECT 'none' WHERE EXISTS (SELECT 1 FROM cancellations_policyversion WHERE state = 'published'
            AND published_at < %(now)s - interval '1 day') AND NOT EXISTS (
            SELECT 1 FROM cancellations_policyversion WHERE state = 'published' AND effective_from <= %(now)s)""",
    ),
    Invariant(
        "nothing is bound to a recalled policy",
        "No request is bound to a version that was recalled or is a draft",
        """SELECT q.reference FROM cancellations_cancellationrequest q JOIN cancellations_policyversion v
        ON v.id = q.policy_version_id WHERE v.state <> 'published'""",
    ),
    Invariant(
        "the audit is sealed",
        "Audit entries are sealed within an hour",
        """SELECT id::text FROM accounts_auditentry WHERE number IS NULL AND at < %(now)s - interval '1 hour'""",
    ),
    Invariant(
        "the audit has no gaps",
        "Sealed audit entries are numbered without gaps",
        """SELECT (max(number) - min(number) + 1 - count(*))::text || ' missing' FROM accounts_auditentry
        WHERE number IS NOT NULL HAVING max(number) - min(number) + 1 <> count(*)""",
    ),
)


def findings(now: datetime) -> Iterator[Finding]:
    """Yields the invariants that do not hold."""
    for invariant in INVARIANTS:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*), (array_agg(row))[1:{MOST_NAMED}] FROM ({invariant.broken}) AS found (row)",  # noqa: S608 - ours
                {"now": now},
            )
            count, rows = cursor.fetchone()
        if count:
            yield Finding(invariant, count, tuple(str(row) for row in rows))

"""Database triggers that enforce the amount of a refund and the cap on each payment.

PL/pgSQL for pgtrigger. Errors carry SQLSTATE 23514 (check_violation), so that Django raises IntegrityError.
Each payment row is locked before its refunds are added up. In READ COMMITTED the sum is read after the lock, so
that of two concurrent refunds only one can use the rest of a payment.
"""

RELEASED = "('declined', 'void', 'failed')"

_CAP = f"""
    SELECT amount, amount_refunded, amount_currency, dispute INTO paid FROM billing_payment
        WHERE id = NEW.payment_id FOR UPDATE;
    IF paid.dispute IN ('open', 'lost') THEN
        RAISE EXCEPTION 'payment % is disputed and cannot be refunded', NEW.payment_id USING ERRCODE = '23514';
    END IF;
    SELECT coalesce(sum(l.amount), 0) INTO taken FROM billing_refundline l
        JOIN billing_refund r ON r.id = l.refund_id
        WHERE l.payment_id = NEW.payment_id AND l.id <> NEW.id AND r.state NOT IN {RELEASED};
    IF taken + NEW.amount > paid.amount - paid.amount_refunded THEN
        RAISE EXCEPTION 'refunds of payment % would exceed what was paid', NEW.payment_id USING ERRCODE = '23514';
    END IF;
"""

# A line may change only while its refund is open to a proposal, and only within the cap.
LINE_GUARD = f"""
    SELECT state, subscription_id INTO parent FROM billing_refund
        WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.refund_id ELSE NEW.refund_id END FOR UPDATE;
    IF parent.state NOT IN ('requested', 'proposed') THEN
        RAISE EXCEPTION 'the lines of a refund that is % cannot change', parent.state USING ERRCODE = '23514';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    {_CAP}
    IF NOT EXISTS (SELECT 1 FROM billing_payment WHERE id = NEW.payment_id
                   AND subscription_id = parent.subscription_id) THEN
        RAISE EXCEPTION 'payment % belongs to another subscription', NEW.payment_id USING ERRCODE = '23514';
    END IF;
    RETURN NEW;
"""

# A refund gets its credit note number when it is paid. Numbers have no gaps: each is the highest plus one, assigned
# under a lock that lasts until the end of the transaction, and a paid refund is never deleted.
CREDIT_NOTE = """
    IF TG_OP = 'UPDATE' AND OLD.credit_note_number IS NOT NULL THEN
        NEW.credit_note_number := OLD.credit_note_number;
    ELSIF NEW.state = 'paid' THEN
        PERFORM pg_advisory_xact_lock(hashtext('billing.credit_note'));
        NEW.credit_note_number := (SELECT coalesce(max(credit_note_number), 0) + 1 FROM billing_refund);
    ELSE
        NEW.credit_note_number := NULL;
    END IF;
    RETURN NEW;
"""

# A payment for a time after the end that the portal set: the worker has to look at it. The subscription is locked, so
# that an end which is being set at the same time is seen, or sees the payment.
CHARGED_AFTER_END = """
    PERFORM 1 FROM billing_subscription WHERE id = NEW.subscription_id AND ended_by = 'portal'
        AND ended_on < NEW.period_end FOR SHARE;
    NEW.is_to_check := NEW.is_to_check OR FOUND;
    RETURN NEW;
"""

# From the proposal on, a refund's amount is the sum of its lines. A refund that takes a further step to the money, or
# that changes its sum, is checked against the cap again. What was approved does not change any more.
GUARDED = (
    "state", "amount", "amount_currency", "proposed_by", "approved_by", "second_approved_by", "approvals_needed",
    "approval_limits",
)  # fmt: skip
REFUND_GUARD = f"""
    IF NEW.state IN ('proposed', 'approved', 'sending', 'paid') THEN
        SELECT coalesce(sum(l.amount), 0) INTO total FROM billing_refundline l WHERE l.refund_id = NEW.id;
        IF total IS DISTINCT FROM NEW.amount THEN
            RAISE EXCEPTION 'refund % is not the sum of its lines', NEW.reference USING ERRCODE = '23514';
        END IF;
        IF EXISTS (SELECT 1 FROM billing_refundline l JOIN billing_payment p ON p.id = l.payment_id
                   WHERE l.refund_id = NEW.id AND p.amount_currency <> NEW.amount_currency) THEN
            RAISE EXCEPTION 'refund % mixes currencies', NEW.reference USING ERRCODE = '23514';
        END IF;
    END IF;
    IF NEW.state IN ('proposed', 'approved', 'sending', 'paid', 'failed') THEN
        allowed := (NEW.approval_limits ->> NEW.amount_currency)::numeric;
        IF NEW.approvals_needed < 2 AND (allowed IS NULL OR NEW.amount > allowed) THEN
            RAISE EXCEPTION 'refund % is above the limit for one approver', NEW.reference
                USING ERRCODE = '23514';
        END IF;
    END IF;
    IF OLD.state IN ('approved', 'sending', 'paid', 'failed') AND ROW(
            OLD.amount, OLD.amount_currency, OLD.proposed_by_id, OLD.approved_by_id, OLD.second_approved_by_id,
            OLD.approvals_needed, OLD.approval_limits)
        IS DISTINCT FROM ROW(
            NEW.amount, NEW.amount_currency, NEW.proposed_by_id, NEW.approved_by_id, NEW.second_approved_by_id,
            NEW.approvals_needed, NEW.approval_limits) THEN
        RAISE EXCEPTION 'refund % was approved and cannot change', NEW.reference USING ERRCODE = '23514';
    END IF;
    -- Not when a payment arrives that was on its way: the company's own records may already include it.
    IF NEW.state NOT IN ('requested', 'declined', 'void', 'failed')
            AND NOT (OLD.state = 'sending' AND NEW.state = 'paid')
            AND ROW(NEW.state, NEW.amount, NEW.amount_currency)
            IS DISTINCT FROM ROW(OLD.state, OLD.amount, OLD.amount_currency) THEN
        FOR line IN SELECT l.id, l.payment_id, l.amount FROM billing_refundline l
                WHERE l.refund_id = NEW.id ORDER BY l.payment_id LOOP
            PERFORM 1 FROM billing_payment WHERE id = line.payment_id FOR UPDATE;
            SELECT CASE WHEN p.dispute IN ('open', 'lost') THEN 0 ELSE p.amount - p.amount_refunded END - coalesce((
                SELECT sum(o.amount) FROM billing_refundline o JOIN billing_refund r ON r.id = o.refund_id
                WHERE o.payment_id = p.id AND o.refund_id <> NEW.id AND r.state NOT IN {RELEASED}), 0)
                INTO allowed FROM billing_payment p WHERE p.id = line.payment_id;
            IF line.amount > allowed THEN
                RAISE EXCEPTION 'refunds of payment % would exceed what was paid', line.payment_id
                    USING ERRCODE = '23514';
            END IF;
        END LOOP;
    END IF;
    RETURN NEW;
"""

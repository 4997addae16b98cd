"""Database triggers that enforce the amount of a refund and the cap on each payment.

PL/pgSQL for pgtrigger. Errors carry SQLSTATE 23514 (check_violation), so that Django raises IntegrityError.
Each payment row is locked before its refunds are added up. In READ COMMITTED the sum is read after the lock, so
that of two concurrent refunds only one can use the rest of a payment.
"""

RELEASED = "('declined', 'void', 'failed')"
# A line `l` of a refund `r` that counts against its payment: also what moved before the rest of its refund failed.
COUNTS = f"(r.state NOT IN {RELEASED} OR l.state = 'returned')"
# What refunds can take of a payment `p`: what the company's export counts as refunded may include our own refunds.
REFUNDABLE = """(p.amount - p.amount_refunded + p.refunded_by_us
    - CASE WHEN p.dispute IN ('open', 'lost') THEN coalesce(p.amount_disputed, p.amount) ELSE 0 END)"""

_CAP = f"""
    PERFORM 1 FROM billing_payment WHERE id = NEW.payment_id FOR UPDATE;
    SELECT {REFUNDABLE} INTO allowed FROM billing_payment p WHERE p.id = NEW.payment_id;
    SELECT coalesce(sum(l.amount), 0) INTO taken FROM billing_refundline l
        JOIN billing_refund r ON r.id = l.refund_id
        WHERE l.payment_id = NEW.payment_id AND l.id <> NEW.id AND {COUNTS};
    IF taken + NEW.amount > allowed THEN
        RAISE EXCEPTION 'refunds of payment % would exceed what was paid and is not disputed', NEW.payment_id
            USING ERRCODE = '23514';
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

# What became of a line is recorded while its refund is on its way, or once it has arrived or failed.
LINE_STATE_GUARD = """
    IF NOT EXISTS (SELECT 1 FROM billing_refund
                   WHERE id = NEW.refund_id AND state IN ('sending', 'paid', 'failed')) THEN
        RAISE EXCEPTION 'line % belongs to a refund that was not sent', NEW.id USING ERRCODE = '23514';
    END IF;
    RETURN NEW;
"""

# Whatever a paid refund returns has been returned, by a gateway line by line before, or by the transfer that paid it.
RETURN_LINES = """
    UPDATE billing_refundline SET state = 'returned', reference = NEW.settlement_reference
        WHERE refund_id = NEW.id AND state <> 'returned';
    RETURN NULL;
"""

# A refund gets a credit note when it is paid, and another one that reverses it when the money comes back. Numbers have
# no gaps: each is the highest plus one, assigned under a lock that lasts until the end of the transaction, and a credit
# note is never deleted.
CREDIT_NOTE = """
    IF TG_OP = 'UPDATE' AND OLD.state = NEW.state THEN
        NEW.credit_note_number := OLD.credit_note_number;
    ELSIF NEW.state = 'paid' OR (TG_OP = 'UPDATE' AND OLD.state = 'paid') THEN
        PERFORM pg_advisory_xact_lock(hashtext('billing.credit_note'));
        following := (SELECT coalesce(max(number), 0) + 1 FROM billing_creditnote);
        INSERT INTO billing_creditnote (number, refund_id, amount, amount_currency, proof, reverses_id, issued_at)
            SELECT following, NEW.id, NEW.amount, NEW.amount_currency,
                left(CASE WHEN NEW.state = 'paid' THEN NEW.settlement_reference ELSE NEW.failure END, 120),
                CASE WHEN NEW.state = 'paid' THEN NULL
                     ELSE (SELECT number FROM billing_creditnote WHERE number = OLD.credit_note_number) END,
                NEW.state_changed_at;
        NEW.credit_note_number := CASE WHEN NEW.state = 'paid' THEN following END;
    ELSE
        NEW.credit_note_number := NULL;
    END IF;
    RETURN NEW;
"""

# The company's export counts our own refunds sooner or later. What it counts more than before is matched against what
# we returned and it has not counted yet: as a whole, or one of our refunds. What matches nothing counts as refunded
# elsewhere, and the page of the refund shows it.
REFUNDED_BY_US = """
    delta := NEW.amount_refunded - OLD.amount_refunded;
    SELECT coalesce(sum(l.amount), 0) - OLD.refunded_by_us, coalesce(bool_or(l.amount = delta), false) INTO ours, is_one
        FROM billing_refundline l JOIN billing_refund r ON r.id = l.refund_id
        WHERE l.payment_id = NEW.id AND (l.state = 'returned' OR r.state = 'paid');
    IF delta > 0 AND ours > 0 AND (delta >= ours OR is_one) THEN
        NEW.refunded_by_us := OLD.refunded_by_us + least(delta, ours);
    ELSE
        NEW.refunded_by_us := least(OLD.refunded_by_us, NEW.amount_refunded);
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
                WHERE l.refund_id = NEW.id AND l.state <> 'returned' ORDER BY l.payment_id LOOP
            PERFORM 1 FROM billing_payment WHERE id = line.payment_id FOR UPDATE;
            SELECT {REFUNDABLE} - coalesce((
                SELECT sum(l.amount) FROM billing_refundline l JOIN billing_refund r ON r.id = l.refund_id
                WHERE l.payment_id = p.id AND l.refund_id <> NEW.id AND {COUNTS}), 0)
                INTO allowed FROM billing_payment p WHERE p.id = line.payment_id;
            IF line.amount > allowed THEN
                RAISE EXCEPTION 'refunds of payment % would exceed what was paid', line.payment_id
                    USING ERRCODE = '23514';
            END IF;
        END LOOP;
    END IF;
    RETURN NEW;
"""

"""What the verbs of a refund share: locking the row, saving it under the database's guards, notifying the customer."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from billing.models import Refund, RefundLine
from billing.models.states import IllegalTransition, LineState, RefundState
from messaging.services.outbox import hold_back, queue_message
from messaging.wording import day_words, money_words, use_language

PROPOSED = "refund_proposed"


class RefundRefused(Exception):
    """The verb is refused for a reason that the person can resolve. Nothing has changed."""


def locked(refund: Refund, verb: str, *allowed: RefundState) -> Refund:
    """Locks the row and reads it again. Raises IllegalTransition if its state does not allow the verb."""
    row = Refund.objects.select_for_update().get(pk=refund.pk)
    if row.state not in allowed:
        raise IllegalTransition(reference=row.reference, state=row.state, verb=verb)
    return row


def move(refund: Refund, state: RefundState, now: datetime) -> None:
    refund.state, refund.state_changed_at = state, now


def refuse_disputed(refund: Refund) -> None:
    """Raises RefundRefused if a dispute leaves less of a payment than the refund still has to return."""
    for line in refund.lines.exclude(state=LineState.RETURNED).select_related("payment"):
        payment = line.payment
        if payment.disputed.amount and line.money > payment.refundable:
            part = "" if payment.amount_disputed is None else f" with {money_words(payment.disputed)}"
            raise RefundRefused(
                f"{payment.reference} is {payment.get_dispute_display()}{part}: that money is not ours to return. "
                "Propose the refund again without it, or wait until the dispute is settled."
            )


def save_guarded(refund: Refund) -> None:
    """Saves the refund. Raises RefundRefused with the database's message if a constraint or trigger refuses it."""
    try:
        with transaction.atomic():
            refund.save()
    except IntegrityError as error:
        raise RefundRefused(f"The database refuses this: {str(error).splitlines()[0]}.") from error


def notify_customer(refund: Refund, kind: str, now: datetime, *, pause: timedelta = timedelta(0)) -> None:
    """Queues the message of this kind to the customer, with the amount and its breakdown.

    A proposal that was not sent yet is held back: this message says what came of it.
    """
    hold_back(kind=PROPOSED, about=_about(refund), names=refund.reference, now=now)
    with use_language(refund.language):
        _queue(refund, kind, now, pause)


def notify_of_proposal(refund: Refund, now: datetime) -> None:
    """Queues the mail about a proposal, after a pause in which it can be corrected; by setting none is sent."""
    minutes = settings.REFUND_PROPOSAL_MAIL_MINUTES
    if minutes is None:
        return
    notify_customer(refund, PROPOSED, now, pause=timedelta(minutes=minutes))


def _about(refund: Refund) -> str:
    return refund.about or refund.reference


def _queue(refund: Refund, kind: str, now: datetime, pause: timedelta) -> None:
    context = {
        "reference": refund.reference,
        "about": refund.about,
        "plan": refund.subscription.plan_name,
        "amount": money_words(refund.amount),
        "basis": str(refund.get_basis_display()) if refund.basis else "",
        "breakdown": [_line_words(line) for line in refund.lines.select_related("payment").order_by("pk")],
        "ground": gettext(refund.decision_ground) if refund.decision_ground else "",
        "decision_due": day_words(refund.decision_due_on),
        "payment_due": day_words(refund.payment_due_on),
        "paid_on": day_words(refund.paid_on),
        "settlement_reference": refund.settlement_reference,
        "credit_note": refund.credit_note,
    }
    queue_message(kind=kind, recipient=refund.notify, context=context, now=now, about=_about(refund), pause=pause)


def _line_words(line: RefundLine) -> str:
    return gettext("%(payment)s (%(start)s to %(end)s): %(sum)s of %(paid)s, %(unused)s of %(days)s days unused") % {
        "payment": line.payment.reference,
        "start": day_words(line.payment.period_start),
        "end": day_words(line.payment.period_end),
        "sum": money_words(line.money),
        "paid": money_words(line.payment.amount),
        "unused": line.unused_days,
        "days": line.period_days,
    }

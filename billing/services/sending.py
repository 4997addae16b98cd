"""Moving the money: sending it through a gateway or settling by hand, and recording the outcome."""

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.gateways import MANUAL, Answer, gateway_by_name, gateway_name, part_of
from billing.models import Refund, RefundLine
from billing.models.states import LineState, RefundState
from billing.rules.periods import local_date
from billing.services.common import RefundRefused, locked, move, notify_customer, refuse_disputed, save_guarded
from billing.webhooks import emit_refund_event
from messaging.due import UNLIMITED, Run, Work
from messaging.models import EventType
from messaging.waking import wake

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=5)  # longer than a gateway's time-out
ASK_AGAIN_AFTER = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))


@permitted("billing.settle_refund")
@transaction.atomic
def send(*, refund: Refund, by: User, now: datetime) -> Refund:
    """Sends an approved or failed refund through the gateway that took the payments.

    Only writes the state; a worker calls the gateway after the commit. If the transfer is made by hand, the state
    means that it is ordered. Raises RefundRefused, IllegalTransition.
    """
    with recorded("send", actor="staff", by=by.pk):
        refund = locked(refund, "send", RefundState.APPROVED, RefundState.FAILED)
        refuse_disputed(refund)
        refund.gateway, refund.failure = gateway_name(refund), ""
        # The count of attempts goes on, so that the answer to an earlier call or order can be recognised
        if refund.gateway == MANUAL:
            refund.attempt_due_at, refund.attempts = None, refund.attempts + 1
        else:
            refund.attempt_due_at = now
        move(refund, RefundState.SENDING, now)
        save_guarded(refund)
    wake("billing.send")
    return refund


@permitted("billing.settle_refund")
@transaction.atomic
def settle(*, refund: Refund, by: User, reference: str, paid_on: date, now: datetime) -> Refund:
    """Records that a refund was paid by hand, with its reference and date.

    Refused while a gateway is sending it. Raises RefundRefused, IllegalTransition.
    """
    if not reference.strip():
        raise RefundRefused("Enter the reference of the transfer: it proves the payment.")
    if paid_on > local_date(now, settings.COMPANY_TIME_ZONE):
        raise RefundRefused("The day of payment is in the future. Mark the refund as paid once the money has left.")
    with recorded("settle", actor="staff", by=by.pk, why=reference):
        refund = locked(refund, "settle", RefundState.APPROVED, RefundState.SENDING, RefundState.FAILED)
        _refuse_while_at_gateway(refund)
        if paid_on < local_date(refund.requested_at, settings.COMPANY_TIME_ZONE):
            raise RefundRefused(
                "The day of payment is before the day on which the refund was requested. Check the date."
            )
        refund.gateway = MANUAL
        if refund.state == RefundState.APPROVED:
            move(refund, RefundState.SENDING, now)
            save_guarded(refund)
        _mark_paid(refund, reference.strip(), paid_on, now, by)
    return refund


@permitted("billing.settle_refund")
@transaction.atomic
def fail(*, refund: Refund, by: User, ground: str, now: datetime) -> Refund:
    """Records that a transfer made by hand did not arrive; the refund can be sent again.

    Raises RefundRefused, IllegalTransition.
    """
    if not ground.strip():
        raise RefundRefused("Say what went wrong: whoever sends it again needs to know.")
    with recorded("fail", actor="staff", by=by.pk, why=ground):
        refund = locked(refund, "fail", RefundState.SENDING)
        _refuse_while_at_gateway(refund)
        _mark_failed(refund, ground.strip(), now)
    return refund


@permitted("billing.settle_refund")
@transaction.atomic
def take_back(*, refund: Refund, by: User, ground: str, now: datetime) -> Refund:
    """Records that a bank transfer which was booked came back: the refund has failed and can be sent again.

    Its credit note is reversed by another one. What a gateway returned of it before stays returned. Raises
    RefundRefused, IllegalTransition.
    """
    if not ground.strip():
        raise RefundRefused("Say why the money came back: whoever sends it again needs to know.")
    with recorded("take_back", actor="staff", by=by.pk, why=ground):
        refund = locked(refund, "record the return of", RefundState.PAID)
        if refund.gateway not in ("", MANUAL):
            raise RefundRefused(f"{refund.gateway.capitalize()} paid this refund, so it says whether it came back.")
        lines = refund.lines.filter(state=LineState.RETURNED, reference=refund.settlement_reference)
        lines.update(state=LineState.FAILED, answer=ground.strip())
        refund.settlement_reference, refund.paid_on, refund.settled_by = "", None, None
        _mark_failed(refund, ground.strip(), now)
    return refund


def send_due(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Calls the gateways for refunds that are due to be sent, and returns how many were paid or failed.

    Each row is leased in its own transaction before its gateway is called. If the worker dies, the lease expires
    and the gateway is called again with the same key. Each line's answer is recorded at once, so that what moved stays
    counted. If an answer cannot be recorded, the refund is set aside: what the gateway did stands, and it answers the
    same when staff try again.
    """
    ended, run = 0, Run(now, seconds=seconds)
    for refund in SENDING.results(run):
        with SENDING.setting_aside(refund.pk, run):
            ended += _send_lines(refund, run)
    return ended


def _refunds_to_send(now: datetime) -> QuerySet[Refund]:
    due = Refund.objects.filter(state=RefundState.SENDING, attempt_due_at__lte=now)
    return due.order_by("attempt_due_at", "pk")


def _lease(keys: list[UUID], now: datetime) -> list[Refund]:
    refunds = Refund.objects.filter(pk__in=keys)
    refunds.update(attempt_due_at=now + LEASE, attempts=F("attempts") + 1)
    return list(refunds)


SENDING = Work(
    name="refunds.send",
    task="billing.send",
    label="send a refund through its gateway",
    due=_refunds_to_send,
    process=_lease,
    batch=1,  # a gateway may take as long as the lease
    order=("attempt_due_at", "pk"),
)


def _send_lines(refund: Refund, run: Run) -> bool:
    """Sends what has not been returned yet, and records the end of the refund if each answer is clear."""
    answers = []
    lines = list(refund.lines.exclude(state=LineState.RETURNED).select_related("payment").order_by("payment_id"))
    for line in lines:
        answer = _call_gateway(refund, line)
        if not _record_line(refund, line, answer, run.now, renew=line is not lines[-1]):
            return False  # another worker took over the lease
        answers.append(answer)
    return _record(refund, answers, run.now)


def _call_gateway(refund: Refund, line: RefundLine) -> Answer:
    gateway = gateway_by_name(refund.gateway)
    if gateway is None:
        return Answer("unclear", detail=f"The gateway {refund.gateway!r} is not configured")
    try:
        return gateway.send(refund.pk, part_of(line))
    except Exception as error:  # the money may have moved: call again, never assume
        log.exception("The gateway failed while sending refund %s", refund.reference)
        return Answer("unclear", detail=f"{type(error).__name__}: {error}")


def _record_line(refund: Refund, line: RefundLine, answer: Answer, now: datetime, *, renew: bool) -> bool:
    """Records what became of a line, and renews the lease for the next one. False if the lease was lost."""
    with transaction.atomic(), recorded("gateway_line", actor="system", why=answer.detail):
        row = _leased(refund)
        if row is None:
            return False
        states = {"paid": LineState.RETURNED, "failed": LineState.FAILED}
        reference = answer.reference[:120] or line.reference
        state = states.get(answer.state, LineState(line.state))
        changed = (state, reference, answer.detail) != (line.state, line.reference, line.answer)
        if changed:
            RefundLine.objects.filter(pk=line.pk).update(state=state, reference=reference, answer=answer.detail)
        if renew:
            Refund.objects.filter(pk=row.pk).update(attempt_due_at=now + LEASE)
    return True


def _leased(refund: Refund) -> Refund | None:
    """Returns the locked row; None if another worker took over the lease."""
    row = Refund.objects.select_for_update().get(pk=refund.pk)
    return row if row.state == RefundState.SENDING and row.attempts == refund.attempts else None


def _record(refund: Refund, answers: Sequence[Answer], now: datetime) -> bool:
    states = {answer.state for answer in answers}
    outcome = next((state for state in ("unclear", "failed") if state in states), "paid")
    problems = "; ".join(dict.fromkeys(answer.detail for answer in answers if answer.detail))
    with transaction.atomic(), recorded(f"gateway_{outcome}", actor="system", why=problems):
        row = _leased(refund)
        if row is None:
            return False
        if outcome == "unclear":
            row.attempt_due_at = now + ASK_AGAIN_AFTER[min(row.attempts, len(ASK_AGAIN_AFTER)) - 1]
            row.failure = problems
            row.save(update_fields=["attempt_due_at", "failure"])
            return False
        if outcome == "failed":
            _mark_failed(row, problems, now)
        else:
            references = row.lines.order_by("payment_id").values_list("reference", flat=True)
            reference = ", ".join(dict.fromkeys(references))[:120]
            _mark_paid(row, reference, local_date(now, settings.COMPANY_TIME_ZONE), now)
        return True


def _refuse_while_at_gateway(refund: Refund) -> None:
    if refund.state == RefundState.SENDING and refund.gateway not in ("", MANUAL):
        raise RefundRefused(
            f"{refund.gateway.capitalize()} is sending this refund. Wait for its answer, so that nothing is paid twice."
        )


def _mark_paid(refund: Refund, reference: str, paid_on: date, now: datetime, by: User | None = None) -> None:
    refund.settlement_reference, refund.paid_on, refund.settled_by = reference, paid_on, by
    refund.attempt_due_at, refund.failure = None, ""
    move(refund, RefundState.PAID, now)
    save_guarded(refund)
    refund.refresh_from_db(fields=["credit_note_number"])
    notify_customer(refund, "refund_paid", now)
    emit_refund_event(EventType.REFUND_PAID, refund, now)


def _mark_failed(refund: Refund, why: str, now: datetime) -> None:
    refund.failure, refund.attempt_due_at = why, None
    move(refund, RefundState.FAILED, now)
    save_guarded(refund)
    notify_customer(refund, "refund_failed", now)

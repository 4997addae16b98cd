"""Bank transfers of refunds: the bank details, the file for the bank, and reading back what it paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from moneyed import Money

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.bank_files.orders import Transfer, as_csv, as_pain, is_iban, plain_account
from billing.bank_files.statements import Booking
from billing.gateways import MANUAL, gateway_names
from billing.models import Refund, TransferBatch, TransferItem, transfer_reference
from billing.models.states import IllegalTransition, RefundState
from billing.rules.periods import local_date
from billing.services.common import RefundRefused, locked
from billing.services.sending import fail, send, settle
from messaging.currencies import minor_unit_digits
from messaging.text import remove_direction_marks

MAX_TRANSFERS = 1000
MAX_REFERENCE = 35  # characters of an EndToEndId
BATCH = 1000


@dataclass(frozen=True)
class Result:
    """The result of one line of the bank's file.

    `what` is `paid`, `failed`, `refused`, `not ours`, or `known before`: an answer that was read already, or one to an
    order that has failed since, changes nothing.
    """

    reference: str
    what: str
    why: str = ""


@permitted("billing.settle_refund")
@transaction.atomic
def enter_bank_details(*, refund: Refund, name: str, account: str, by: User, now: datetime) -> Refund:
    """Stores the bank details of a refund. Somebody else has to order the transfer. Raises RefundRefused."""
    if not remove_direction_marks(name).strip():
        raise RefundRefused("Enter the name of the account holder, as the bank has it.")
    try:
        plain = plain_account(account)
    except ValueError as error:
        raise RefundRefused(str(error)) from error
    allowed = (RefundState.REQUESTED, RefundState.PROPOSED, RefundState.APPROVED, RefundState.FAILED)
    with recorded("bank_details", actor="staff", by=by.pk):
        refund = locked(refund, "enter bank details for", *allowed)
        refund.payee_name, refund.payee_account, refund.payee_by = name.strip(), plain, by
        refund.save(update_fields=["payee_name", "payee_account", "payee_by"])
    return refund


@permitted("billing.settle_refund")
def ready_for_transfer(currency: str, *, by: User) -> list[Refund]:
    """Refunds to transfer by hand in this currency whose bank details somebody other than `by` entered."""
    rows = Refund.objects.filter(state__in=(RefundState.APPROVED, RefundState.FAILED), amount_currency=currency)
    rows = rows.exclude(payee_account="").exclude(payee_by=by).select_related("account", "payee_by")
    refunds = list(rows.order_by("payment_due_on", "pk"))
    names = gateway_names(refunds)
    return [refund for refund in refunds if names[refund.pk] == MANUAL][:MAX_TRANSFERS]


@permitted("billing.settle_refund")
def make_batch(*, refunds: Sequence[Refund], by: User, now: datetime) -> TransferBatch:
    """Orders the transfers of these refunds in one file, all or none. Raises RefundRefused, IllegalTransition."""
    if not refunds:
        raise RefundRefused("Choose refunds first.")
    if len(refunds) > MAX_TRANSFERS:
        raise RefundRefused(f"A file holds at most {MAX_TRANSFERS} transfers. Choose fewer refunds.")
    with transaction.atomic():
        sent = []
        for refund in sorted(refunds, key=lambda refund: refund.pk):
            sending = send(refund=refund, by=by, now=now)
            _refuse_for_batch(sending, by)
            sent.append(sending)
        currencies = {refund.amount.currency.code for refund in sent}
        if len(currencies) != 1:
            raise RefundRefused("A file holds one currency. Create a file for each currency.")
        reference = transfer_reference()
        form, file = _file(sent, reference, local_date(now, settings.COMPANY_TIME_ZONE))
        total = sum((refund.amount for refund in sent[1:]), sent[0].amount)
        batch = TransferBatch.objects.create(
            reference=reference, form=form, total=total, count=len(sent), made_by=by, made_at=now, file=file
        )
        TransferItem.objects.bulk_create(
            TransferItem(batch=batch, refund=refund, amount=refund.amount, end_to_end_id=refund.end_to_end_id)
            for refund in sent
        )
    return batch


def _refuse_for_batch(refund: Refund, by: User) -> None:
    if refund.gateway != MANUAL:
        raise RefundRefused(f"{refund} goes through {refund.gateway.capitalize()}, not by bank transfer.")
    if not refund.payee_account:
        raise RefundRefused(f"{refund} has no bank details. Enter them first.")
    if refund.payee_by_id == by.pk:
        raise RefundRefused(f"You entered the bank details of {refund}. Somebody else has to order its transfer.")


def _file(refunds: Sequence[Refund], batch: str, on: date) -> tuple[str, bytes]:
    transfers = [_transfer(refund) for refund in refunds]
    is_sepa = transfers[0].amount.currency.code == "EUR" and all(is_iban(transfer.account) for transfer in transfers)
    if is_sepa and settings.COMPANY_IBAN:
        company = {"company": settings.COMPANY_NAME, "account": settings.COMPANY_IBAN, "bic": settings.COMPANY_BIC}
        return "pain.001", as_pain(transfers, batch=batch, on=on, **company)
    return "csv", as_csv(transfers)


def _transfer(refund: Refund) -> Transfer:
    digits = minor_unit_digits(refund.amount.currency)
    return Transfer(
        reference=refund.end_to_end_id,
        name=refund.payee_name,
        account=refund.payee_account,
        amount=Money(round(refund.amount.amount, digits), refund.amount.currency),
        purpose=f"{settings.COMPANY_NAME} refund {refund.reference} {refund.about}".strip(),
    )


@permitted("billing.settle_refund")
def read_back(*, bookings: Sequence[Booking], by: User, now: datetime) -> list[Result]:
    """Marks refunds as paid or failed by the bank's bookings, one by one. Skips those whose amount differs.

    A booking belongs to one order of a transfer. Read twice, late or out of order, it changes nothing.
    """
    ours = _ours({booking.reference for booking in bookings})
    return [
        _apply(ours[booking.reference], booking, by, now) if booking.reference in ours else _not_ours(booking)
        for booking in bookings
    ]


def _ours(references: set[str]) -> dict[str, UUID]:
    """Returns the keys of the refunds that these name. A bank's file may hold thousands of others.

    Orders have references of their own; the refund's own one is used by transfers without a file.
    """
    plausible = [reference for reference in references if len(reference) <= MAX_REFERENCE]
    refunds: dict[str, UUID] = {}
    for start in range(0, len(plausible), BATCH):
        batch = plausible[start : start + BATCH]
        refunds |= Refund.objects.filter(reference__in=batch).values_list("reference", "pk")
        refunds |= TransferItem.objects.filter(end_to_end_id__in=batch).values_list("end_to_end_id", "refund")
    return refunds


def _not_ours(booking: Booking) -> Result:
    return Result(booking.reference[:100], "not ours", "No refund has this reference.")


def _apply(key: UUID, booking: Booking, by: User, now: datetime) -> Result:
    try:
        with transaction.atomic():
            return _record(Refund.objects.select_for_update().get(pk=key), booking, by, now)
    except (RefundRefused, IllegalTransition) as error:
        return Result(booking.reference, "refused", str(error))


def _record(refund: Refund, booking: Booking, by: User, now: datetime) -> Result:
    if known := _known_before(refund, booking):
        return Result(booking.reference, "known before", known)
    if booking.rejected:
        fail(refund=refund, by=by, ground=booking.rejected, now=now)
        return Result(booking.reference, "failed", booking.rejected)
    if not _answers_current_order(refund, booking):
        raise RefundRefused(
            "The bank booked an earlier order, which had failed here. Ask the bank before the refund is paid twice."
        )
    if booking.amount is None or booking.amount != refund.amount:
        raise RefundRefused(f"The bank booked {booking.amount}, the refund is {refund.amount}. Check it by hand.")
    if booking.booked_on is None:
        raise RefundRefused("The file does not give the booking date.")
    if refund.state != RefundState.SENDING:
        raise IllegalTransition(reference=refund.reference, state=refund.state, verb="mark as paid")
    settle(refund=refund, by=by, reference=_proof(booking), paid_on=booking.booked_on, now=now)
    return Result(booking.reference, "paid", booking.bank_reference)


def _known_before(refund: Refund, booking: Booking) -> str:
    """Returns why the booking says nothing new; empty if it does."""
    if not booking.rejected:
        is_paid = refund.state == RefundState.PAID and refund.settlement_reference == _proof(booking)
        return "It is marked as paid by this booking already." if is_paid else ""
    if not _answers_current_order(refund, booking):
        return "This is about an earlier order, not about the current one."
    return "This was recorded already." if refund.state == RefundState.FAILED else ""


def _answers_current_order(refund: Refund, booking: Booking) -> bool:
    """Whether the booking names the latest order of the transfer.

    The refund's own reference stands for the first order, as somebody may have typed it at the bank.
    """
    names_refund = booking.reference == refund.reference and refund.attempts <= 1
    return names_refund or booking.reference == refund.end_to_end_id


def _proof(booking: Booking) -> str:
    """Returns what a paid refund keeps of the booking."""
    return (booking.bank_reference or f"bank, {booking.booked_on}")[:120]

"""Bank transfers of refunds: the bank details, the file for the bank, and reading back what it paid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from moneyed import Money

from accounts.audit import record_action
from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.bank_files.bookings import Booking
from billing.bank_files.orders import Transfer, as_csv, as_pain, is_iban, plain_account
from billing.gateways import MANUAL, gateway_names
from billing.models import Refund, TransferBatch, TransferItem, transfer_reference
from billing.models.states import IllegalTransition, RefundState
from billing.rules.payees import is_same_name
from billing.rules.periods import local_date
from billing.services.common import RefundRefused, locked
from billing.services.sending import fail, send, settle, take_back
from messaging.currencies import minor_unit_digits
from messaging.text import remove_direction_marks
from messaging.wording import money_words

MAX_TRANSFERS = 1000
MAX_REFERENCE = 35  # characters of an EndToEndId
BATCH = 1000


@dataclass(frozen=True)
class Result:
    """The result of one entry of the bank's file.

    `what` is `paid`, `failed`, `came back`, `refused`, `payee` (what the payee's bank says about the name), `not ours`,
    `no answer` (an entry that says nothing about a transfer), or `known before`: an answer that was read already, or
    one to an order that has failed since, changes nothing.
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
    refunds = list(rows.order_by("payment_due_on", "pk").prefetch_related("lines"))
    names = gateway_names(refunds)
    return [refund for refund in refunds if names[refund.pk] == MANUAL][:MAX_TRANSFERS]


def payee_warnings(refunds: Sequence[Refund]) -> dict[UUID, list[str]]:
    """What to check before money goes to these accounts: refunds of several customers to one, and other names."""
    accounts = {refund.payee_account for refund in refunds if refund.payee_account}
    rows = Refund.objects.filter(payee_account__in=accounts).exclude(state__in=[RefundState.DECLINED, RefundState.VOID])
    customers = dict(rows.values_list("payee_account").annotate(count=Count("account", distinct=True)).order_by())
    warnings: dict[UUID, list[str]] = {}
    for refund in refunds:
        found = []
        if (count := customers.get(refund.payee_account, 0)) > 1:
            found.append(f"Refunds of {count} customers go to this account.")
        if refund.payee_account and not is_same_name(refund.payee_name, refund.account.name):
            found.append(f"The account holder is not the customer, {refund.account.name}.")
        if found:
            warnings[refund.pk] = found
    return warnings


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
        sums = [_outstanding(refund) for refund in sent]
        currencies = {each.currency.code for each in sums}
        if len(currencies) != 1:
            raise RefundRefused("A file holds one currency. Create a file for each currency.")
        reference = transfer_reference()
        form, file = _file(sent, reference, local_date(now, settings.COMPANY_TIME_ZONE))
        total = sum(sums[1:], sums[0])
        batch = TransferBatch.objects.create(
            reference=reference, form=form, total=total, count=len(sent), made_by=by, made_at=now, file=file
        )
        TransferItem.objects.bulk_create(
            TransferItem(batch=batch, refund=refund, amount=amount, end_to_end_id=refund.end_to_end_id)
            for refund, amount in zip(sent, sums, strict=True)
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
    amount = _outstanding(refund)
    return Transfer(
        reference=refund.end_to_end_id,
        name=refund.payee_name,
        account=refund.payee_account,
        amount=Money(round(amount.amount, minor_unit_digits(amount.currency)), amount.currency),
        # Some banks give back only this text, so it names the order
        purpose=f"{settings.COMPANY_NAME} refund {refund.end_to_end_id} {refund.about}".strip(),
    )


def _outstanding(refund: Refund) -> Money:
    """What is still to return: all of an approved refund, but not what a gateway returned of it before."""
    outstanding = refund.outstanding
    if outstanding is None:
        raise RefundRefused(f"{refund} has no amount yet.")
    return outstanding


@permitted("billing.settle_refund")
@transaction.atomic
def cancel_batch(*, batch: TransferBatch, ground: str, by: User, now: datetime) -> TransferBatch:
    """Cancels the orders of a file that the bank did not get; its refunds can be ordered again.

    Refused once the bank has answered about one of them. Customers hear nothing, because nothing happened to their
    money. Raises RefundRefused.
    """
    if not ground.strip():
        raise RefundRefused("Say why the bank does not get this file.")
    with recorded("cancel", actor="staff", by=by.pk, why=ground):
        row = TransferBatch.objects.select_for_update().defer("file").get(pk=batch.pk)
        if row.cancelled_at:
            raise RefundRefused(f"{row} is cancelled already.")
        items = list(row.items.all())
        refunds = Refund.objects.select_for_update().filter(pk__in=[item.refund_id for item in items]).order_by("pk")
        orders = {item.refund_id: item.end_to_end_id for item in items}
        for refund in refunds:
            if refund.state != RefundState.SENDING or refund.end_to_end_id != orders[refund.pk]:
                raise RefundRefused(
                    f"{refund} of this file is {refund.get_state_display()}: the bank has answered. Use the page of "
                    "each refund."
                )
        row.cancelled_by, row.cancelled_at, row.cancel_ground = by, now, ground.strip()
        row.save(update_fields=["cancelled_by", "cancelled_at", "cancel_ground"])
        why = f"The file {row} was cancelled before the bank got it: {ground.strip()}"
        refunds.update(state=RefundState.FAILED, state_changed_at=now, failure=why, attempt_due_at=None)
    return row


@permitted("billing.settle_refund")
def read_back(*, bookings: Sequence[Booking], by: User, now: datetime) -> list[Result]:
    """Marks refunds as paid or failed by the bank's bookings, one by one. Skips those whose amount differs.

    A booking belongs to one order of a transfer, or to all those of a batch. Read twice, late or out of order, it
    changes nothing.
    """
    results, bookings = _by_transfer(bookings)
    ours = _ours({booking.reference for booking in bookings})
    for booking in bookings:
        if booking.ignored:
            results.append(Result(booking.reference[:100], "no answer", booking.ignored))
        elif order := ours.get(booking.reference):
            results.append(_apply(order, booking, by, now))
        else:
            results.append(Result(booking.reference[:100], "not ours", "No refund has this reference."))
    return results


@dataclass(frozen=True)
class _Order:
    """The refund that a reference names, and the amount that was ordered; None if it was ordered without a file."""

    refund: UUID
    amount: Money | None


def _by_transfer(bookings: Sequence[Booking]) -> tuple[list[Result], list[Booking]]:
    """Replaces an answer about a whole batch by one about each of its transfers.

    Also returns results about batches that were booked with another amount.
    """
    references = {booking.reference for booking in bookings if not booking.ignored}
    batches = {
        batch.reference: batch
        for batch in TransferBatch.objects.filter(reference__in=_plausible(references)).defer("file")
    }
    results, single = [], []
    for booking in bookings:
        batch = batches.get(booking.reference)
        if batch is None or booking.ignored:
            single.append(booking)
        elif not booking.rejected and booking.amount != batch.total:
            results.append(Result(batch.reference, "refused", _differs(booking.amount, batch.total, "the file orders")))
        else:
            items = batch.items.select_related("refund")
            single += [
                replace(booking, reference=item.end_to_end_id or item.refund.reference, amount=item.amount)
                for item in items
            ]
    return results, single


def _differs(booked: Money | None, expected: Money, what: str) -> str:
    shown = money_words(booked) if booked else "no amount"
    return f"The bank booked {shown}, {what} {money_words(expected)}. Check it by hand."


def _plausible(references: set[str]) -> list[str]:
    return [reference for reference in references if 0 < len(reference) <= MAX_REFERENCE]


def _ours(references: set[str]) -> dict[str, _Order]:
    """Returns the orders that these name. A bank's file may hold thousands of others.

    Orders have references of their own; the refund's own one is used by transfers without a file.
    """
    plausible = _plausible(references)
    orders: dict[str, _Order] = {}
    for start in range(0, len(plausible), BATCH):
        batch = plausible[start : start + BATCH]
        refunds = Refund.objects.filter(reference__in=batch).values_list("reference", "pk")
        orders |= {reference: _Order(key, None) for reference, key in refunds}
        for item in TransferItem.objects.filter(end_to_end_id__in=batch):
            orders[item.end_to_end_id] = _Order(item.refund_id, item.amount)
    return orders


def _apply(order: _Order, booking: Booking, by: User, now: datetime) -> Result:
    try:
        with transaction.atomic():
            refund = Refund.objects.select_for_update().get(pk=order.refund)
            return _record(refund, order.amount or refund.outstanding, booking, by, now)
    except (RefundRefused, IllegalTransition) as error:
        return Result(booking.reference, "refused", str(error))


def _record(refund: Refund, ordered: Money | None, booking: Booking, by: User, now: datetime) -> Result:
    if known := _known_before(refund, booking):
        return Result(booking.reference, "known before", known)
    if booking.payee:
        record_action(verb="payee_checked", by=by, now=now, about=refund.reference, why=booking.payee)
        return Result(booking.reference, "payee", booking.payee)
    if booking.returned:
        return _record_return(refund, ordered, booking, by, now)
    if booking.rejected:
        fail(refund=refund, by=by, ground=booking.rejected, now=now)
        return Result(booking.reference, "failed", booking.rejected)
    if not _answers_current_order(refund, booking):
        raise RefundRefused(
            "The bank booked an earlier order, which had failed here. Ask the bank before the refund is paid twice."
        )
    if ordered is None or booking.amount != ordered:
        raise RefundRefused(_differs(booking.amount, ordered, "we ordered") if ordered else "Nothing was ordered.")
    if booking.booked_on is None:
        raise RefundRefused("The file does not give the booking date.")
    if refund.state != RefundState.SENDING:
        raise IllegalTransition(reference=refund.reference, state=refund.state, verb="mark as paid")
    settle(refund=refund, by=by, reference=_proof(booking), paid_on=booking.booked_on, now=now)
    return Result(booking.reference, "paid", booking.bank_reference)


def _record_return(refund: Refund, ordered: Money | None, booking: Booking, by: User, now: datetime) -> Result:
    if booking.amount and ordered and booking.amount > ordered:
        raise RefundRefused(_differs(booking.amount, ordered, "we ordered"))
    if refund.state == RefundState.PAID:
        take_back(refund=refund, by=by, ground=_return_words(booking), now=now)
        return Result(booking.reference, "came back", booking.returned)
    fail(refund=refund, by=by, ground=_return_words(booking), now=now)
    return Result(booking.reference, "failed", booking.returned)


def _known_before(refund: Refund, booking: Booking) -> str:
    """Returns why the booking says nothing new; empty if it does."""
    if booking.payee:
        return ""
    if not booking.rejected and not booking.returned:
        notes = refund.credit_notes.filter(reverses=None, proof=_proof(booking)).select_related("reversed_by")
        if (note := notes.first()) is None:
            return ""
        if hasattr(note, "reversed_by"):
            return f"It was marked as paid by this booking, and the money came back later ({note.reversed_by})."
        return "It is marked as paid by this booking already."
    if not _answers_current_order(refund, booking):
        return "This is about an earlier order, not about the current one."
    if booking.returned and refund.credit_notes.filter(reverses__isnull=False, proof=_return_words(booking)).exists():
        return "This return was recorded already."
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


def _return_words(booking: Booking) -> str:
    """Returns what a failed refund keeps of the return."""
    return f"{booking.returned}, {_proof(booking)}"[:120]

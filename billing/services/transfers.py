"""Bank transfers of refunds: the account, the file for the bank, and reading back what it paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.conf import settings
from django.db import transaction
from moneyed import Money

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.bank_files.orders import Transfer, as_csv, as_pain, is_iban, plain_account
from billing.bank_files.statements import Booking
from billing.gateways import MANUAL, gateway_name
from billing.models import Refund, TransferBatch, TransferItem, transfer_reference
from billing.models.states import IllegalTransition, RefundState
from billing.rules.periods import local_date
from billing.rules.proration import minor_unit_digits
from billing.services.common import RefundRefused, locked
from billing.services.sending import fail, send, settle

MOST = 1000


@dataclass(frozen=True)
class Result:
    """What became of one line of the bank's file: `paid`, `failed`, `refused` or `not ours`."""

    reference: str
    what: str
    why: str = ""


@permitted("billing.settle_refund")
@transaction.atomic
def enter_bank_details(*, refund: Refund, name: str, account: str, by: User, now: datetime) -> Refund:
    """Keeps the account to which a refund goes. Who enters it does not order the transfer. Raises RefundRefused."""
    if not name.strip():
        raise RefundRefused("Enter the account holder, as the bank knows them.")
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


def ready_for_transfer(currency: str, *, by: User) -> list[Refund]:
    """Approved or failed refunds of the currency that go by hand and have an account, and not one that `by` entered."""
    rows = Refund.objects.filter(state__in=(RefundState.APPROVED, RefundState.FAILED), amount_currency=currency)
    rows = rows.exclude(payee_account="").exclude(payee_by=by).select_related("account", "payee_by")
    return [one for one in rows.order_by("payment_due_on", "pk")[:MOST] if gateway_name(one) == MANUAL]


@permitted("billing.settle_refund")
def make_batch(*, refunds: Sequence[Refund], by: User, now: datetime) -> TransferBatch:
    """Orders the transfers of these refunds in one file, all or none. Raises RefundRefused, IllegalTransition."""
    if not refunds:
        raise RefundRefused("Choose refunds first.")
    if len(refunds) > MOST:
        raise RefundRefused(f"At most {MOST} transfers in a file.")
    with transaction.atomic():
        sent = []
        for refund in sorted(refunds, key=lambda one: one.pk):
            found = send(refund=refund, by=by, now=now)
            _refuse_for_batch(found, by)
            sent.append(found)
        currencies = {one.amount.currency.code for one in sent}
        if len(currencies) != 1:
            raise RefundRefused("A file holds one currency. Make one for each.")
        reference = transfer_reference()
        form, file = _file(sent, reference, local_date(now, settings.COMPANY_TIME_ZONE))
        total = sum((one.amount for one in sent[1:]), sent[0].amount)
        batch = TransferBatch.objects.create(
            reference=reference, form=form, total=total, count=len(sent), made_by=by, made_at=now, file=file
        )
        TransferItem.objects.bulk_create(TransferItem(batch=batch, refund=one, amount=one.amount) for one in sent)
    return batch


def _refuse_for_batch(refund: Refund, by: User) -> None:
    if refund.gateway != MANUAL:
        raise RefundRefused(f"{refund} goes through {refund.gateway.capitalize()}, not by bank transfer.")
    if not refund.payee_account:
        raise RefundRefused(f"{refund} has no account to go to. Enter the bank details first.")
    if refund.payee_by_id == by.pk:
        raise RefundRefused(f"You entered the account of {refund}. Somebody else has to order its transfer.")


def _file(refunds: Sequence[Refund], batch: str, on: date) -> tuple[str, bytes]:
    lines = [_transfer(one) for one in refunds]
    sepa = lines[0].amount.currency.code == "EUR" and all(is_iban(one.account) for one in lines)
    if sepa and settings.COMPANY_IBAN:
        company = {"company": settings.COMPANY_NAME, "account": settings.COMPANY_IBAN, "bic": settings.COMPANY_BIC}
        return "pain.001", as_pain(lines, batch=batch, on=on, **company)
    return "csv", as_csv(lines)


def _transfer(refund: Refund) -> Transfer:
    digits = minor_unit_digits(refund.amount.currency)
    return Transfer(
        reference=refund.reference,
        name=refund.payee_name,
        account=refund.payee_account,
        amount=Money(round(refund.amount.amount, digits), refund.amount.currency),
        purpose=f"{settings.COMPANY_NAME} refund {refund.reference} {refund.about}".strip(),
    )


@permitted("billing.settle_refund")
def read_back(*, bookings: Sequence[Booking], by: User, now: datetime) -> list[Result]:
    """Marks as paid or failed what the bank says, each by itself; what does not fit to the cent is left alone."""
    return [_read(one, by, now) for one in bookings]


def _read(booking: Booking, by: User, now: datetime) -> Result:
    refund = Refund.objects.filter(reference=booking.reference).first()
    if refund is None:
        return Result(booking.reference, "not ours", "No refund has this reference.")
    try:
        if booking.rejected:
            fail(refund=refund, by=by, ground=booking.rejected, now=now)
            return Result(booking.reference, "failed", booking.rejected)
        if booking.amount is None or booking.amount != refund.amount:
            raise RefundRefused(f"The bank says {booking.amount}, the refund is {refund.amount}. Look at it by itself.")
        if booking.booked_on is None:
            raise RefundRefused("The bank does not say on which day it was booked.")
        if refund.state != RefundState.SENDING:
            raise IllegalTransition(reference=refund.reference, state=refund.state, verb="mark as paid")
        proof = booking.bank_reference or f"bank, {booking.booked_on.isoformat()}"
        settle(refund=refund, by=by, reference=proof[:120], paid_on=booking.booked_on, now=now)
    except (RefundRefused, IllegalTransition) as error:
        return Result(booking.reference, "refused", str(error))
    return Result(booking.reference, "paid", booking.bank_reference)

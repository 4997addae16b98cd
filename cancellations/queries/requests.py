"""Requests: of a declaration, due, overdue, and what belongs to each."""

from datetime import date, datetime, timedelta

from django.db.models import Q, QuerySet

from accounts.models import Account
from accounts.timeline import Entry, entries
from billing.models import Subscription
from billing.rules.periods import local_date
from cancellations.models import (
    REFERENCE_LENGTH,
    Attachment,
    CancellationRequest,
    Kind,
)
from cancellations.models.states import OPEN, RequestState
from cancellations.rules.date_line import Point, points
from messaging.models import NOT_ARRIVED, IncomingMessage, OutgoingMessage

AMONG_STAFF = frozenset({"claim", "assign", "release"})


def points_of_request(request: CancellationRequest, *, today: date) -> tuple[Point, ...]:
    """The picture of an open request's dates; empty where no date is to come."""
    if not request.is_open or request.effective_on is None or request.at_once:
        return ()
    return points(
        today=today, deadline_on=None, next_billing_on=request.next_billing_on, effective_on=request.effective_on
    )


def has_ended(subscription: Subscription, *, on: date) -> bool:
    return subscription.ended_on is not None and subscription.ended_on <= on


def cancellable(account: Account, *, now: datetime) -> list[Subscription]:
    """The account's subscriptions that run and that no open request concerns."""
    today = local_date(now, account.time_zone)
    running = account.subscriptions.select_related("account").exclude(ended_on__lte=today)
    return list(running.exclude(requests__state__in=OPEN).order_by("reference"))


def open_request_for(subscription: Subscription) -> CancellationRequest | None:
    return CancellationRequest.objects.filter(subscription=subscription, state__in=OPEN).first()


def declared(reference: str) -> QuerySet[CancellationRequest]:
    """The requests of a declaration, in the order of its parts; also by the reference of one of them."""
    return CancellationRequest.objects.filter(declaration=reference[:REFERENCE_LENGTH]).order_by("part", "pk")


def attachments_of(request: CancellationRequest) -> QuerySet[Attachment]:
    """The files of the whole declaration, without their content."""
    return Attachment.objects.filter(request__declaration=request.declaration).defer("content")


def failed_letters(request: CancellationRequest) -> QuerySet[OutgoingMessage]:
    """Messages about the declaration that did not arrive, and that nobody has settled: the customer is not informed."""
    return OutgoingMessage.objects.filter(NOT_ARRIVED, about=request.declaration)


def mails_about(request: CancellationRequest) -> QuerySet[IncomingMessage]:
    """Mail that came in about the declaration, or of which it was made."""
    asked = OutgoingMessage.objects.filter(about=request.declaration, kind="prove_address").exclude(in_reply_to="")
    made_of = Q(message_id__in=asked.values("in_reply_to"), sender__iexact=request.email_given)
    return IncomingMessage.objects.filter(Q(about=request.declaration) | made_of).defer("raw")


def due_requests(now: datetime) -> QuerySet[CancellationRequest]:
    """What the worker acts on: proof that ran out, and matched requests whose effective date has come."""
    due = CancellationRequest.objects.filter(state__in=OPEN, due_at__lte=now, enforcement_error="")
    ready = Q(state=RequestState.UNVERIFIED) | Q(effective_at__lte=now)
    return due.filter(ready).order_by("due_at", "id")


def overdue_requests(now: datetime, rows: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
    """Those of the rows that only a person can move on, and that have waited for more than a working day.

    They are not matched, their ground is not looked at, or the worker set them aside. Everything else takes
    effect by itself when its time comes.
    """
    stuck = Q(state=RequestState.IN_REVIEW) & (Q(effective_at__isnull=True) | Q(kind=Kind.FOR_CAUSE))
    waited = stuck & Q(received_at__lt=now - timedelta(days=1))
    return rows.filter(waited | ~Q(enforcement_error=""), state__in=OPEN)


def timeline_for_customer(row: CancellationRequest) -> list[Entry]:
    """The same without how staff share the work among themselves."""
    return [entry for entry in entries(row) if entry.verb not in AMONG_STAFF]

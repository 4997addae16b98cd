"""Requests of a declaration, due and overdue requests, and what belongs to a request."""

from datetime import date, datetime, timedelta

from django.db.models import Q, QuerySet

from accounts.models import Account
from accounts.queries import find_account
from accounts.timeline import Entry, entries
from billing.models import Subscription
from billing.rules.periods import local_date
from cancellations.models import (
    REFERENCE_LENGTH,
    Attachment,
    CancellationRequest,
    Conversation,
    Kind,
)
from cancellations.models.states import OPEN, ConversationState, RequestState
from cancellations.rules.date_line import Point, points
from messaging.models import NOT_ARRIVED, IncomingMessage, OutgoingMessage

FURTHEST_ZONE = timedelta(hours=14)  # no place is further ahead of UTC
OVERDUE_AFTER = timedelta(days=1)
INTERNAL_VERBS = frozenset({"claim", "assign", "release"})


def named_account(request: CancellationRequest) -> Account | None:
    """Returns the account that the sender named by its number, or by the number of one of its subscriptions.

    The username has to fit unless it is empty. Ignores case, spaces and dashes. Proves nothing about the sender.
    """
    number, username = request.account_number_given.strip(), request.username_given.strip()
    account = find_account(account_number=number, username=username)
    if account is None:
        by_username = Q(account__username__iexact=username) if username else Q()
        subscriptions = Subscription.objects.filter(by_username, reference__same_number=number)
        found = list(subscriptions.select_related("account")[:2])
        account = found[0].account if len(found) == 1 else None
    return account


def points_of_request(request: CancellationRequest, *, today: date) -> tuple[Point, ...]:
    """Returns the points of an open request's date line; empty if no date is ahead."""
    if not request.is_open or request.effective_on is None or request.at_once:
        return ()
    return points(
        today=today, deadline_on=None, next_billing_on=request.next_billing_on, effective_on=request.effective_on
    )


def has_ended(subscription: Subscription, *, on: date) -> bool:
    return subscription.ended_on is not None and subscription.ended_on <= on


def has_ended_by(now: datetime, requests: QuerySet[CancellationRequest]) -> Q:
    """Returns the condition that a request's subscription has ended, by the date in the account's zone (`has_ended`).

    `requests` are those to look at: their zones are read, because the database may know other zones than Python.
    """
    somewhere = requests.filter(subscription__ended_on__lte=(now + FURTHEST_ZONE).date())
    zones = somewhere.order_by().values_list("subscription__account__time_zone", flat=True).distinct()
    condition = Q(pk__in=())
    for zone in zones:
        today = local_date(now, zone)
        condition |= Q(subscription__account__time_zone=zone, subscription__ended_on__lte=today)
    return condition


def running(account: Account, *, now: datetime) -> QuerySet[Subscription]:
    """The account's subscriptions that have not ended."""
    today = local_date(now, account.time_zone)
    return account.subscriptions.select_related("account").exclude(ended_on__lte=today).order_by("reference")


def cancellable(account: Account, *, now: datetime) -> list[Subscription]:
    """The account's subscriptions that run and that no open request concerns."""
    return list(running(account, now=now).exclude(requests__state__in=OPEN))


def open_request_for(subscription: Subscription) -> CancellationRequest | None:
    return CancellationRequest.objects.filter(subscription=subscription, state__in=OPEN).first()


def declared(reference: str) -> QuerySet[CancellationRequest]:
    """Returns the requests of a declaration, in order. `reference` may be that of any of them."""
    return CancellationRequest.objects.filter(declaration=reference[:REFERENCE_LENGTH]).order_by("part", "pk")


def attachments_of(request: CancellationRequest) -> QuerySet[Attachment]:
    """Returns the files of the whole declaration, without their content."""
    return Attachment.objects.filter(request__declaration=request.declaration).defer("content")


def failed_letters(request: CancellationRequest) -> QuerySet[OutgoingMessage]:
    """Returns messages about the declaration that did not arrive and are not settled."""
    return OutgoingMessage.objects.filter(NOT_ARRIVED, about=request.declaration)


def mails_about(request: CancellationRequest) -> QuerySet[IncomingMessage]:
    """Returns the mail about the declaration, and the mail from which it was made."""
    proof_requests = OutgoingMessage.objects.filter(about=request.declaration, kind="prove_address").exclude(
        in_reply_to=""
    )
    is_origin = Q(message_id__in=proof_requests.values("in_reply_to"), sender__same_address=request.email_given)
    return IncomingMessage.objects.filter(Q(about=request.declaration) | is_origin).defer("raw")


def due_requests(now: datetime) -> QuerySet[CancellationRequest]:
    """Returns what the worker processes: expired proofs, and matched requests whose effective date has come."""
    due = CancellationRequest.objects.filter(state__in=OPEN, due_at__lte=now, enforcement_error="")
    is_ready = Q(state=RequestState.UNVERIFIED) | Q(effective_at__lte=now)
    return due.filter(is_ready).order_by("due_at", "id")


def overdue_requests(now: datetime, rows: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
    """Returns those of the rows that only staff can move on and that have waited for more than a day.

    They are not matched, their ground is not reviewed, or the worker set them aside. All others take effect
    automatically.
    """
    needs_staff = Q(state=RequestState.IN_REVIEW) & (Q(effective_at__isnull=True) | Q(kind=Kind.FOR_CAUSE))
    waited_too_long = needs_staff & Q(received_at__lt=now - OVERDUE_AFTER)
    return rows.filter(waited_too_long | ~Q(enforcement_error=""), state__in=OPEN)


def overdue_conversations(now: datetime, rows: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Returns those of the rows in which the customer has waited for us for more than a day."""
    return rows.filter(state=ConversationState.OPEN, waiting_since__lt=now - OVERDUE_AFTER)


def timeline_for_customer(row: CancellationRequest) -> list[Entry]:
    """Returns the history of a request, without entries about who it is assigned to."""
    return [entry for entry in entries(row) if entry.verb not in INTERNAL_VERBS]

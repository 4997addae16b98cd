"""Reading: the policy in force, the assessment of a request, and its timeline."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from moneyed import Money

from accounts.models import Account
from accounts.story import Entry, entries
from billing.models import Dispute, Payment, Refund, RefundBasis, Subscription
from billing.periods import local_date, start_of_day
from billing.queries import quote, quoted_total
from billing.states import RELEASED, RefundState
from cancellations.models import (
    REFERENCE_LENGTH,
    Attachment,
    CancellationRequest,
    Hold,
    Kind,
    PolicyVersion,
    Termination,
)
from cancellations.notice import (
    NoticeAssessment,
    assess,
    assess_cooling_off,
    assess_for_cause,
    assess_trial,
    cooling_off_is_over,
)
from cancellations.picture import Point, points
from cancellations.states import OPEN, ConversationState, PolicyState, RequestState, TerminationState
from messaging.models import NOT_ARRIVED, IncomingMessage, MessageState, OutgoingMessage

AMONG_STAFF = frozenset({"claim", "assign", "release"})


class NoPolicyInForce(Exception):
    """No policy version is published and in force, so nothing can be promised to anybody."""

    def __init__(self) -> None:
        super().__init__("No policy version is in force. A manager publishes one in the staff interface.")


def published_versions() -> QuerySet[PolicyVersion]:
    """All published versions, the newest first."""
    return PolicyVersion.objects.filter(state=PolicyState.PUBLISHED).order_by("-number")


def policy_in_force(at: datetime) -> PolicyVersion:
    """The newest published version whose time has come. Raises NoPolicyInForce."""
    come = published_versions().filter(effective_from__lte=at)
    version = come.order_by("-published_at", "-number").first()
    if version is None:
        raise NoPolicyInForce
    return version


@dataclass(frozen=True)
class Outcome:
    """What a request means for a subscription: shown before it is sent, and decided by the same function.

    `kind` is the kind that counts: a cooling-off cancellation after its days counts as an ordinary one.
    """

    subscription: Subscription
    policy_version: PolicyVersion
    kind: Kind
    assessment: NoticeAssessment
    received_on: date
    effective_at: datetime
    refund: Money | None

    @property
    def effective_on(self) -> date:
        return self.assessment.effective_on

    @property
    def at_once(self) -> bool:
        """Whether it ends by its receipt, without waiting for a billing date."""
        return self.kind != Kind.ORDINARY and self.effective_on == self.received_on


def outcome(
    subscription: Subscription,
    *,
    received_at: datetime,
    policy: PolicyVersion,
    requested_end: date | None = None,
    kind: Kind = Kind.ORDINARY,
    ground_accepted: bool = False,
) -> Outcome:
    """The one place in which a request, a subscription and a policy version become an end date.

    A for-cause cancellation has the ordinary date until its ground is accepted. What ends at once ends at
    `received_at`. Raises ValueError where the wished end lies beyond the calendar.
    """
    zone = subscription.account.time_zone
    received_on = local_date(received_at, zone)
    ordinary = _trial(subscription, received_on, policy, requested_end) or assess(
        received_on=received_on,
        anchor=subscription.billing_anchor,
        interval=subscription.interval,
        notice_days=policy.notice_days,
        requested_end=requested_end,
    )
    at_once = _at_once(subscription, received_on, policy, kind, ordinary, ground_accepted)
    if kind == Kind.COOLING_OFF and at_once is None:
        kind, ordinary = Kind.ORDINARY, _too_late_to_cool_off(ordinary, subscription, policy)
    found = at_once or ordinary
    lines = quote(
        subscription,
        ended_on=found.effective_on,
        basis=computed_basis(kind),
        whole_contract=kind == Kind.COOLING_OFF,
    )
    return Outcome(
        subscription=subscription,
        policy_version=policy,
        kind=kind,
        assessment=found,
        received_on=received_on,
        effective_at=received_at if at_once else start_of_day(found.effective_on, zone),
        refund=quoted_total(lines),
    )


def _at_once(
    subscription: Subscription,
    received_on: date,
    policy: PolicyVersion,
    kind: Kind,
    ordinary: NoticeAssessment,
    ground_accepted: bool,
) -> NoticeAssessment | None:
    """The assessment of what ends by its receipt; None where it waits for its date."""
    if kind == Kind.COOLING_OFF:
        return _cooling_off(subscription, received_on, policy)
    if kind == Kind.FOR_CAUSE and ground_accepted:
        return assess_for_cause(ordinary, received_on=received_on)
    return None


def computed_basis(kind: Kind) -> RefundBasis:
    """What a refund is computed by: within the cooling-off days all is returned, otherwise the unused part."""
    return RefundBasis.FULL if kind == Kind.COOLING_OFF else RefundBasis.UNUSED


def outcome_of(request: CancellationRequest, subscription: Subscription) -> Outcome:
    """The outcome that this request has for the subscription, by today's data."""
    return outcome(
        subscription,
        received_at=request.received_at,
        policy=request.policy_version,
        requested_end=request.requested_end,
        kind=Kind(request.kind),
        ground_accepted=request.ground_accepted,
    )


def may_cool_off(subscription: Subscription, *, now: datetime, policy: PolicyVersion) -> bool:
    """Whether the day lies within the subscription's cooling-off days."""
    return _cooling_off(subscription, local_date(now, subscription.account.time_zone), policy) is not None


def _cooling_off(subscription: Subscription, received_on: date, policy: PolicyVersion) -> NoticeAssessment | None:
    return assess_cooling_off(
        received_on=received_on,
        started_on=subscription.started_on,
        cooling_off_days=policy.cooling_off_days,
        anchor=subscription.billing_anchor,
        interval=subscription.interval,
    )


def _too_late_to_cool_off(
    ordinary: NoticeAssessment, subscription: Subscription, policy: PolicyVersion
) -> NoticeAssessment:
    last = subscription.started_on + timedelta(days=policy.cooling_off_days - 1)
    received, *working = ordinary.steps
    return replace(ordinary, steps=(received, cooling_off_is_over(last), *working))


def _trial(
    subscription: Subscription, received_on: date, policy: PolicyVersion, requested_end: date | None
) -> NoticeAssessment | None:
    if subscription.trial_ends_on is None:
        return None
    return assess_trial(
        received_on=received_on,
        trial_ends_on=subscription.trial_ends_on,
        trial_notice_days=policy.trial_notice_days,
        requested_end=requested_end,
    )


def difference_since(request: CancellationRequest) -> Outcome | None:
    """The outcome that today's data would give, where it differs from the frozen one; for staff to decide."""
    if request.subscription is None or request.effective_on is None or request.notice_waived_by_id:
        return None
    fresh = outcome_of(request, request.subscription)
    return fresh if fresh.effective_on != request.effective_on else None


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


def holds_on(account: Account, *, now: datetime) -> list[str]:
    """What stands against erasing the account's personal data, for staff to read; empty where nothing does."""
    today = local_date(now, account.time_zone)
    found = []
    if account.subscriptions.exclude(ended_on__lte=today).exists():
        found.append("A subscription still runs.")
    if account.requests.filter(state__in=OPEN).exists():
        found.append("A cancellation request is open.")
    if account.refunds.exclude(state__in=[*RELEASED, RefundState.PAID]).exists() or account.refunds.filter(
        state=RefundState.FAILED
    ):
        found.append("A refund is open.")
    if account.payments.filter(dispute=Dispute.OPEN).exists():
        found.append("A payment is under dispute.")
    if account.terminations.filter(state=TerminationState.PROPOSED).exists():
        found.append("A termination waits for a second manager.")
    if account.conversations.filter(state=ConversationState.OPEN).exists():
        found.append("Mail from the customer waits for an answer.")
    if OutgoingMessage.objects.filter(recipient__iexact=account.email, state=MessageState.PENDING).exists():
        found.append("A message to the customer waits to be sent.")
    found += [f"It is held: {hold.ground}" for hold in Hold.objects.filter(account=account, lifted_at__isnull=True)]
    return found


def retained_long_enough(now: datetime) -> QuerySet[Account]:
    """Accounts whose last end, request, refund, termination and payment lie back further than the settings keep."""
    if not settings.RETENTION_CASE_DAYS:
        return Account.objects.none()
    over = now - timedelta(days=settings.RETENTION_CASE_DAYS)
    recent: list[tuple[QuerySet[Any], Q]] = [
        (Subscription.objects.all(), Q(ended_on__isnull=True) | Q(ended_on__gte=over.date())),
        (CancellationRequest.objects.all(), Q(state__in=OPEN) | Q(state_changed_at__gte=over)),
        (Refund.objects.all(), ~Q(state__in=[*RELEASED, RefundState.PAID]) | Q(state_changed_at__gte=over)),
        (Termination.objects.all(), Q(state_changed_at__gte=over)),
        (Payment.objects.all(), Q(paid_at__gte=over) | Q(dispute=Dispute.OPEN)),
        (Hold.objects.all(), Q(lifted_at__isnull=True)),
    ]
    known = Exists(Subscription.objects.filter(account=OuterRef("pk")))  # the others are not ours to judge
    found = Account.objects.filter(known, erased_at__isnull=True)
    for rows, still in recent:
        found = found.exclude(Exists(rows.filter(still, account=OuterRef("pk"))))
    return found.order_by("pk")


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

"""Submitting a request, proving who sent it, and taking it back: the customer's verbs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import pghistory
from django.db import IntegrityError, transaction

from billing.models import Subscription
from billing.periods import local_date
from billing.states import IllegalTransition
from cancellations.letters import send_letter
from cancellations.models import CancellationRequest, Channel, ReviewMode
from cancellations.queries import cancellable, has_ended, open_request_for, policy_in_force
from cancellations.services.common import RequestRefused, locked, match, matching_account, move, only_choice, unmatch
from cancellations.states import OPEN, RequestState
from messaging.models import OutgoingMessage

LINK_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True)
class Declaration:
    """What the customer declares, as typed. `requested_end` is a date in the account's zone."""

    account_number: str
    username: str
    email: str
    reason: str
    words: str = ""
    requested_end: date | None = None
    refund_wanted: bool = False
    refund_reason: str = ""


def submit_for(
    *, subscription: Subscription, declaration: Declaration, submission_key: UUID, received_at: datetime, now: datetime
) -> CancellationRequest:
    """A signed-in customer cancels. The same form twice, or a second tab, gives the request that exists.

    Raises RequestRefused where the subscription has ended.
    """
    if has_ended(subscription, on=local_date(received_at, subscription.account.time_zone)):
        raise RequestRefused(f"{subscription.plan_name} has already ended. There is nothing left to cancel.")
    request = _new(declaration, Channel.SIGNED_IN, submission_key, received_at, now)
    request.verified_at = now
    match(request, subscription)
    request.state = _state_once_proven(request)
    return _create(request, "received", now, twin=lambda: open_request_for(subscription))


def submit_as_guest(
    *, declaration: Declaration, submission_key: UUID, received_at: datetime, now: datetime
) -> CancellationRequest:
    """Somebody who is not signed in cancels. Nothing is matched, and so nothing told, before the address is proven.

    The same form twice, or the same declaration while the first waits for proof, gives the request that exists.
    """
    request = _new(declaration, Channel.GUEST, submission_key, received_at, now)
    request.state = RequestState.UNVERIFIED
    request.verification_expires_at = received_at + timedelta(days=request.policy_version.verification_days)
    return _create(request, "prove_address", now, twin=lambda: _waiting_twin(declaration))


@transaction.atomic
def send_proof_again(*, request: CancellationRequest, now: datetime) -> bool:
    """Sends the proving link once more; False where one was sent within the last minute or none is needed."""
    request = CancellationRequest.objects.select_for_update().get(pk=request.pk)
    recent = OutgoingMessage.objects.filter(about=request.reference, created_at__gt=now - LINK_PAUSE)
    if request.state != RequestState.UNVERIFIED or recent.exists():
        return False
    send_letter("prove_address", request, now=now)
    return True


@transaction.atomic
def send_follow_link(*, reference: str, email: str, now: datetime) -> None:
    """Sends the link to a request's page to its sender; says nothing where reference and address do not fit."""
    request = CancellationRequest.objects.filter(reference=reference, email_given__iexact=email.strip()).first()
    if request is None:
        return
    recent = OutgoingMessage.objects.filter(about=reference, created_at__gt=now - LINK_PAUSE, kind="follow_link")
    if not recent.exists():
        send_letter("follow_link", request, now=now)


@transaction.atomic
def verify(*, request: CancellationRequest, now: datetime, subscription: Subscription | None = None) -> None:
    """The sender has proven the address. `received_at` stays what it was.

    With the account matched and its subscription clear, the end date is frozen; otherwise support matches.
    A second proof changes nothing. Raises IllegalTransition for a request that expired or was settled,
    RequestRefused for a subscription that is not the sender's.
    """
    request = _locked_for_proof(request)
    if request.verified_at is not None:
        return
    account = matching_account(request)
    request.account = account
    request.verified_at = now
    if subscription is not None and (account is None or subscription not in cancellable(account, now=now)):
        raise RequestRefused("That subscription cannot be chosen here. Choose one of those shown.")
    chosen = subscription or only_choice(request, now)
    if chosen is not None:
        match(request, chosen)
    move(request, _state_once_proven(request), now)
    with pghistory.context(verb="verify", actor="customer"):
        _save_proven(request, now)
        send_letter("received", request, now=now)


@transaction.atomic
def withdraw(*, request: CancellationRequest, now: datetime) -> CancellationRequest:
    """The customer takes the request back, before it takes effect. Raises IllegalTransition."""
    request = locked(request, "withdraw", *OPEN)
    if request.effective_at is not None and request.effective_at <= now:
        raise IllegalTransition(reference=request.reference, state=RequestState.EFFECTIVE, verb="withdraw")
    move(request, RequestState.WITHDRAWN, now)
    with pghistory.context(verb="withdraw", actor="customer"):
        request.save(update_fields=["state", "state_changed_at"])
        send_letter("withdrawn", request, now=now)
    return request


def _save_proven(request: CancellationRequest, now: datetime) -> None:
    """Saves it; where another request for the subscription came in between, support decides between the two."""
    try:
        with transaction.atomic():
            request.save()
    except IntegrityError:
        unmatch(request)
        move(request, RequestState.IN_REVIEW, now)
        request.save()


def _create(
    request: CancellationRequest, letter: str, now: datetime, twin: Callable[[], CancellationRequest | None]
) -> CancellationRequest:
    """Writes request and letter at once; where a constraint says that it exists already, gives the one that does."""
    try:
        with transaction.atomic(), pghistory.context(verb="submit", actor="customer"):
            request.save(force_insert=True)
            send_letter(letter, request, now=now)
    except IntegrityError:
        existing = CancellationRequest.objects.filter(submission_key=request.submission_key).first() or twin()
        if existing is None:
            raise
        return existing
    return request


def _new(
    declaration: Declaration, channel: Channel, key: UUID, received_at: datetime, now: datetime
) -> CancellationRequest:
    return CancellationRequest(
        submission_key=key,
        channel=channel,
        received_at=received_at,
        state_changed_at=now,
        policy_version=policy_in_force(received_at),
        account_number_given=declaration.account_number,
        username_given=declaration.username,
        email_given=declaration.email,
        reason=declaration.reason,
        words=declaration.words,
        requested_end=declaration.requested_end,
        refund_wanted=declaration.refund_wanted,
        refund_reason=declaration.refund_reason,
    )


def _state_once_proven(request: CancellationRequest) -> RequestState:
    plain = request.subscription is not None
    mode = request.policy_version.review_mode
    return RequestState.SCHEDULED if plain and mode == ReviewMode.EXCEPTIONS else RequestState.IN_REVIEW


def _waiting_twin(declaration: Declaration) -> CancellationRequest | None:
    return CancellationRequest.objects.filter(
        state=RequestState.UNVERIFIED,
        account_number_given__iexact=declaration.account_number,
        username_given__iexact=declaration.username,
        email_given__iexact=declaration.email,
    ).first()


def _locked_for_proof(request: CancellationRequest) -> CancellationRequest:
    found = CancellationRequest.objects.select_for_update(of=("self",)).select_related("policy_version")
    row = found.get(pk=request.pk)
    if row.verified_at is None and row.state != RequestState.UNVERIFIED:
        raise IllegalTransition(reference=row.reference, state=row.state, verb="verify")
    return row

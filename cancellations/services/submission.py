"""Submitting a request, proving who sent it, and taking it back: the customer's verbs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import zip_longest
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.history import recorded
from accounts.models import Account
from billing.models import Subscription
from billing.models.states import IllegalTransition
from billing.rules.periods import local_date
from cancellations.letters.requests import send_letter
from cancellations.letters.webhooks import tell_of_request
from cancellations.models import CancellationRequest, Channel, Kind, Proof, ReviewMode, request_reference
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.policies import policy_in_force
from cancellations.queries.requests import declared, has_ended, open_request_for
from cancellations.rules.jurisdictions import DEFAULT, profile_for
from cancellations.services.common import (
    RequestRefused,
    choices_of,
    known_to_holder,
    locked,
    match,
    matching_account,
    move,
    unmatch,
)
from cancellations.services.receipts import issue_receipt
from cancellations.services.refunds import queue_refund_asked_for, refuse_while_refunded, void_refund
from messaging.models import Checked, EventType, IncomingMessage, OutgoingMessage
from messaging.waking import wake
from messaging.wording import language_for

TAKEN_BACK = gettext_noop("You took the cancellation back.")
LINK_PAUSE = timedelta(minutes=1)
MOST_WORDS_OF_MAIL = 20_000  # the mail itself is kept whole


@dataclass(frozen=True)
class Declaration:
    """What the customer declares, as typed. `requested_end` is a date in the account's zone.

    `reason` (for leaving) belongs to an ordinary cancellation, `cause` (the ground for ending at once) to one
    for cause; a cooling-off cancellation needs neither.
    """

    account_number: str
    username: str
    email: str
    reason: str = ""
    words: str = ""
    requested_end: date | None = None
    refund_wanted: bool = False
    refund_reason: str = ""
    kind: Kind = Kind.ORDINARY
    cause: str = ""
    name: str = ""
    language: str = "en"
    jurisdiction: str = DEFAULT


def submit_for(
    *,
    subscriptions: Sequence[Subscription],
    declaration: Declaration,
    submission_key: UUID,
    received_at: datetime,
    now: datetime,
) -> CancellationRequest:
    """A signed-in customer cancels one or several subscriptions of an account, in one declaration.

    Returns its first request; there is one for each subscription. The same form twice, or a second tab, gives
    what exists; a subscription that another declaration has cancelled meanwhile is left to that one.
    Raises RequestRefused where a subscription has ended, none is named, or they belong to several accounts.
    """
    _refuse_what_cannot_be_one_declaration(subscriptions, received_at)
    left = sorted(subscriptions, key=lambda one: one.reference)
    while left:
        requests = _parts(declaration, submission_key, received_at, now, left)
        try:
            with transaction.atomic(), recorded("submit", actor="customer"):
                for request in requests:
                    request.save(force_insert=True)
                    _queue_refund(request, now)
                issue_receipt(requests[0], requests, now)
                send_letter("received", requests[0], now=now, parts=requests)
                _tell_systems(requests, now)
                wake("cancellations.enforce")  # what ends at once is due
            return requests[0]
        except IntegrityError:
            twin = CancellationRequest.objects.filter(submission_key=submission_key).order_by("part").first()
            if twin is not None:
                return twin
            taken = [one for one in left if open_request_for(one) is not None]
            if not taken:
                raise
            left = [one for one in left if one not in taken]
    elsewhere = next(filter(None, map(open_request_for, subscriptions)), None)
    if elsewhere is None:  # it was there a moment ago, and has been settled since
        raise RequestRefused(_("Another page of yours changed this in the same moment. Please look, and try again."))
    return elsewhere


def _refuse_what_cannot_be_one_declaration(subscriptions: Sequence[Subscription], received_at: datetime) -> None:
    if len({one.account_id for one in subscriptions}) != 1:
        raise RequestRefused(_("Choose subscriptions of one account; cancel those of another account by themselves."))
    for one in subscriptions:
        if has_ended(one, on=local_date(received_at, one.account.time_zone)):
            raise RequestRefused(
                _("%(plan)s has already ended. There is nothing left to cancel.") % {"plan": one.plan_name}
            )


def _parts(
    declaration: Declaration, key: UUID, received_at: datetime, now: datetime, subscriptions: Sequence[Subscription]
) -> list[CancellationRequest]:
    """A request for each subscription, all under the reference of the first."""
    first, made = request_reference(), []
    for part, subscription in enumerate(subscriptions, 1):
        request = _new(declaration, Channel.SIGNED_IN, key, received_at, now)
        request.reference, request.part = _part_reference(first, part), part
        request.verified_at = now
        match(request, subscription)
        request.state = _state_once_proven(request)
        made.append(request)
    return made


def _part_reference(declaration: str, part: int) -> str:
    return declaration if part == 1 else f"{declaration}-{part}"


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


def declared_by_mail(
    mail: IncomingMessage,
    *,
    email: str,
    words: str,
    holder: Account | None,
    account_number: str,
    username: str,
    kind: Kind,
    requested_end: date | None,
    language: str,
) -> Declaration:
    """What a mail declares, with its subject and these words as sent; `holder` has an account at the address."""
    sent = f"{mail.subject}\n\n{words}".strip()[:MOST_WORDS_OF_MAIL]
    return Declaration(
        account_number=account_number,
        username=username,
        email=email,
        name=mail.sender_name,
        words=sent,
        kind=kind,
        cause=sent if kind == Kind.FOR_CAUSE else "",
        requested_end=requested_end if kind == Kind.ORDINARY else None,
        language=language_for(language),
        jurisdiction=profile_for(holder.country if holder else "", settings.JURISDICTION).code,
    )


def submit_by_mail(
    *, declaration: Declaration, submission_key: UUID, mail: IncomingMessage, now: datetime
) -> CancellationRequest:
    """Somebody cancels by mail (policy 1.1); the answer carries the link that proves the sender.

    It counts from the mail's arrival. More proof is asked for where our server did not find the sender genuine.

    As for a guest, nothing is matched before. The same mail twice, or the same declaration while the first waits
    for proof, gives the request that exists. If the mail lay unread for long, the sender still has as long as the
    link works.
    """
    request = _new(declaration, Channel.EMAIL, submission_key, mail.arrived_at, now)
    request.state = RequestState.UNVERIFIED
    request.proof = Proof.LINK if mail.checked == Checked.PASSED else Proof.LINK_AND_NUMBER
    request.verification_expires_at = max(
        mail.arrived_at + timedelta(days=request.policy_version.verification_days),
        now + timedelta(days=settings.PROOF_LINK_DAYS),
    )
    return _create(request, "prove_address", now, twin=lambda: _waiting_twin(declaration), answers=mail)


@transaction.atomic
def answer_question(*, request: CancellationRequest, survey_reason: str, survey_words: str) -> bool:
    """Keeps the answer to the question after the declaration; the first answer counts. It decides nothing."""
    row = CancellationRequest.objects.select_for_update().get(pk=request.pk)
    if not row.may_be_asked_why:
        return False
    row.survey_reason, row.survey_words = survey_reason, survey_words.strip()
    with recorded("answer", actor="customer"):
        row.save(update_fields=["survey_reason", "survey_words"])
    return True


@transaction.atomic
def send_proof_again(*, request: CancellationRequest, now: datetime) -> bool:
    """Sends the proving link once more; False where one was sent within the last minute or none is needed."""
    request = CancellationRequest.objects.select_for_update().get(pk=request.pk)
    recent = OutgoingMessage.objects.filter(about=request.declaration, created_at__gt=now - LINK_PAUSE)
    if request.state != RequestState.UNVERIFIED or recent.exists():
        return False
    send_letter("prove_address", request, now=now)
    return True


@transaction.atomic
def send_follow_link(*, reference: str, email: str, now: datetime) -> None:
    """Sends the link to a request's page to its sender; says nothing where reference and address do not fit."""
    request = declared(reference).filter(email_given__iexact=email.strip()).first()
    if request is None:
        return
    recent = OutgoingMessage.objects.filter(
        about=request.declaration, created_at__gt=now - LINK_PAUSE, kind="follow_link"
    )
    if not recent.exists():
        send_letter("follow_link", request, now=now)


@transaction.atomic
def verify(
    *, request: CancellationRequest, now: datetime, subscriptions: Sequence[Subscription] = (), known: str = ""
) -> None:
    """The sender has proven the address. `received_at` stays what it was.

    With the account matched and the subscriptions clear, the end dates are frozen, each in a request of its own;
    otherwise support matches. A second proof changes nothing. `known` is what a sender types whom our mail server
    did not find genuine. Raises IllegalTransition for a request that expired or was settled, RequestRefused for a
    subscription that is not the sender's, and for what the holder of an account would have known.
    """
    request = _locked_for_proof(request)
    if request.verified_at is not None:
        return
    if request.proof == Proof.LINK_AND_NUMBER and not known_to_holder(request, known):
        raise RequestRefused(_("That does not fit any account at your address. Look at an invoice of ours."))
    open_to = choices_of(request, now)
    if len({one.account_id for one in subscriptions}) > 1:
        raise RequestRefused(_("Choose subscriptions of one account; cancel those of another account by themselves."))
    if any(one not in open_to for one in subscriptions):
        raise RequestRefused("That subscription cannot be chosen here. Choose one of those shown.")
    chosen = sorted(subscriptions or open_to[: len(open_to) == 1], key=lambda one: one.reference)
    request.account, request.verified_at = matching_account(request), now
    if request.account is None and chosen:
        request.account = chosen[0].account
    rows = [request, *(_copy(request, part) for part in range(2, len(chosen) + 1))]
    with recorded("verify", actor="customer"):
        kept = [row for row, subscription in zip_longest(rows, chosen) if _prove(row, subscription, now)]
        issue_receipt(request, kept, now)
        send_letter("received", request, now=now, parts=kept)
        _tell_systems(kept, now)
    wake("cancellations.enforce")


@transaction.atomic
def withdraw(*, requests: Sequence[CancellationRequest], now: datetime) -> list[CancellationRequest]:
    """The customer takes requests of one declaration back, before they take effect; all of them, or none.

    A refund that was queued for one is void. Raises IllegalTransition, and RequestRefused where its money is
    already under way.
    """
    taken = []
    with recorded("withdraw", actor="customer"):
        for request in sorted(requests, key=lambda one: one.pk):
            row = locked(request, "withdraw", *OPEN)
            if row.effective_at is not None and row.effective_at <= now:
                raise IllegalTransition(reference=row.reference, state=RequestState.EFFECTIVE, verb="withdraw")
            refuse_while_refunded(row)
            void_refund(row, TAKEN_BACK, now)
            move(row, RequestState.WITHDRAWN, now)
            row.save(update_fields=["state", "state_changed_at"])
            taken.append(row)
            if row.verified_at is not None:  # of what nobody has proven, no system has heard
                tell_of_request(EventType.REQUEST_WITHDRAWN, row, now)
        if taken:
            send_letter("withdrawn", taken[0], now=now, parts=taken)
    return taken


def _tell_systems(requests: Sequence[CancellationRequest], now: datetime) -> None:
    for request in requests:
        tell_of_request(EventType.REQUEST_RECEIVED, request, now)
        if request.state == RequestState.SCHEDULED:
            tell_of_request(EventType.REQUEST_SCHEDULED, request, now)


def _copy(request: CancellationRequest, part: int) -> CancellationRequest:
    """Another row of the same declaration, for another subscription."""
    kept = [
        "submission_key", "channel", "received_at", "account_number_given", "username_given", "email_given",
        "name_given", "jurisdiction", "language", "proof",
        "kind_declared", "kind", "reason", "words", "cause", "requested_end", "refund_wanted", "refund_reason",
        "policy_version", "verification_expires_at", "verified_at", "account", "state_changed_at",
    ]  # fmt: skip
    copied = {name: getattr(request, name) for name in kept}
    return CancellationRequest(reference=_part_reference(request.reference, part), part=part, **copied)


def _prove(request: CancellationRequest, subscription: Subscription | None, now: datetime) -> bool:
    """Matches and saves it. Where another request for the subscription came in between, support decides between the
    two; a further part of a declaration is then left out: its subscription is cancelled by that other request.
    """
    if subscription is not None:
        match(request, subscription)
    move(request, _state_once_proven(request), now)
    try:
        with transaction.atomic():
            request.save()
            _queue_refund(request, now)
    except IntegrityError:
        if request.part > 1:
            return False
        unmatch(request)
        move(request, RequestState.IN_REVIEW, now)
        request.save()
    return True


def _queue_refund(request: CancellationRequest, now: datetime) -> None:
    if request.state == RequestState.SCHEDULED:
        queue_refund_asked_for(request, now)
        request.save(update_fields=["refund"])


def _create(
    request: CancellationRequest,
    letter: str,
    now: datetime,
    twin: Callable[[], CancellationRequest | None],
    answers: IncomingMessage | None = None,
) -> CancellationRequest:
    """Writes request and letter at once; where a constraint says that it exists already, gives the one that does."""
    try:
        with transaction.atomic(), recorded("submit", actor="customer"):
            request.save(force_insert=True)
            send_letter(letter, request, now=now, answers=answers)
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
        name_given=declaration.name,
        language=declaration.language,
        jurisdiction=declaration.jurisdiction,
        kind_declared=declaration.kind,
        kind=declaration.kind,
        cause=declaration.cause,
        reason=declaration.reason,
        words=declaration.words,
        requested_end=declaration.requested_end,
        refund_wanted=declaration.refund_wanted,
        refund_reason=declaration.refund_reason,
    )


def _state_once_proven(request: CancellationRequest) -> RequestState:
    """Cooling-off within its days leaves nothing to review; a ground for leaving at once always is reviewed."""
    if request.subscription is None:
        return RequestState.IN_REVIEW
    if request.kind == Kind.COOLING_OFF:
        return RequestState.SCHEDULED
    plain = request.kind_declared == Kind.ORDINARY
    mode = request.policy_version.review_mode
    return RequestState.SCHEDULED if plain and mode == ReviewMode.EXCEPTIONS else RequestState.IN_REVIEW


def _waiting_twin(declaration: Declaration) -> CancellationRequest | None:
    return CancellationRequest.objects.filter(
        state=RequestState.UNVERIFIED,
        kind_declared=declaration.kind,
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

"""The customer's verbs: submitting a request, proving who sent it, and withdrawing it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import zip_longest
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.history import recorded
from accounts.models import Account
from billing.models import Subscription
from billing.models.states import IllegalTransition
from billing.rules.periods import local_date
from cancellations.letters.requests import send_letter
from cancellations.letters.webhooks import emit_request_event
from cancellations.models import CancellationRequest, Channel, Kind, Proof
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.policies import policy_in_force
from cancellations.queries.requests import declared, has_ended, open_request_for
from cancellations.rules.jurisdictions import DEFAULT, profile_for
from cancellations.services.common import (
    RequestRefused,
    StatedEnd,
    contracts_of,
    is_known_to_holder,
    locked,
    match,
    matching_account,
    move,
    unmatch,
)
from cancellations.services.joining import (
    Expected,
    about,
    count_together,
    counted_with,
    disown,
    expected,
    join,
    join_open,
    lock_accounts_at,
    lock_unproven,
    open_request_to_join,
    proven_along,
    state_once_proven,
)
from cancellations.services.proof_mails import may_send_follow_link, send_proof_mail
from cancellations.services.receipts import issue_receipt
from cancellations.services.refunds import queue_requested_refund, refuse_while_refund_is_under_way, void_refund
from messaging.locking import is_violation
from messaging.models import Checked, EventType, IncomingMessage, OutgoingMessage
from messaging.waking import wake
from messaging.wording import language_for

log = logging.getLogger(__name__)
TAKEN_BACK = gettext_noop("You took back the cancellation.")
LINK_PAUSE = timedelta(minutes=1)
MAX_MAIL_TEXT = 20_000  # characters copied into the request; the mail itself is stored in full


@dataclass(frozen=True)
class Declaration:
    """What the customer declares, as typed. `requested_end` is a date in the account's zone; `end_unread` holds words
    about the end that could not be read for certain. `sent_at` is when a mail was sent, as its sender says.

    `reason` (for leaving) belongs to an ordinary cancellation, `cause` (the ground for ending at once) to one
    for cause; a cooling-off cancellation needs neither.
    """

    account_number: str
    username: str
    email: str
    reason: str = ""
    words: str = ""
    requested_end: date | None = None
    end_unread: str = ""
    refund_wanted: bool = False
    refund_reason: str = ""
    kind: Kind = Kind.ORDINARY
    cause: str = ""
    name: str = ""
    language: str = "en"
    jurisdiction: str = DEFAULT
    sent_at: datetime | None = None


def submit_for(
    *,
    subscriptions: Sequence[Subscription],
    declaration: Declaration,
    submission_key: UUID,
    received_at: datetime,
    now: datetime,
) -> CancellationRequest:
    """Submits one declaration of a signed-in customer about one or several subscriptions of an account.

    Returns the first request; there is one for each subscription. Submitting the same form again returns the
    existing request, and so does a form that repeats what an open request declares. Any other declaration about a
    subscription with an open request is kept, and counts together with it.
    Raises RequestRefused if a subscription has ended, none is given, or they belong to several accounts.
    """
    _check_can_be_cancelled(subscriptions, received_at)
    with transaction.atomic(), recorded("submit", actor="customer"):
        lock_accounts_at(declaration.email)
        existing = CancellationRequest.objects.filter(submission_key=submission_key).order_by("part").first()
        repeated = {row.pk: open_request for row in subscriptions if (open_request := _repeated(declaration, row))}
        chosen = [subscription for subscription in subscriptions if subscription.pk not in repeated]
        if existing is not None or not chosen:
            return existing or next(iter(repeated.values()))
        request = _new_request(declaration, Channel.SIGNED_IN, submission_key, received_at, now)
        request.verified_at, request.account = now, chosen[0].account
        others = list(
            counted_with(request, chosen, now).select_for_update(of=("self",)).select_related("policy_version")
        )
        _prove_together(request, sorted(chosen, key=lambda subscription: subscription.reference), others, now)
        wake("cancellations.enforce")  # a request that ends at once is due now
    return request


def expected_for(
    *, declaration: Declaration, subscription: Subscription, received_at: datetime, now: datetime
) -> Expected:
    """Returns what `submit_for` would lead to for one of the subscriptions, without changing anything."""
    request = _new_request(declaration, Channel.SIGNED_IN, UUID(int=0), received_at, now)
    return expected(request, subscription, list(counted_with(request, [subscription], now)), now)


def _repeated(declaration: Declaration, subscription: Subscription) -> CancellationRequest | None:
    """Returns the open request of the signed-in customer about the subscription if it declares just the same."""
    request = open_request_for(subscription)
    if request is None or request.channel != Channel.SIGNED_IN:
        return None
    names = ("reason", "words", "cause", "requested_end", "refund_wanted", "refund_reason")
    is_same = all(getattr(request, name) == getattr(declaration, name) for name in names)
    return request if is_same and request.kind_declared == declaration.kind else None


def _check_can_be_cancelled(subscriptions: Sequence[Subscription], received_at: datetime) -> None:
    if len({subscription.account_id for subscription in subscriptions}) != 1:
        raise RequestRefused(_("Choose subscriptions of one account only; cancel those of another account separately."))
    for subscription in subscriptions:
        if has_ended(subscription, on=local_date(received_at, subscription.account.time_zone)):
            raise RequestRefused(
                _("%(plan)s has already ended. There is nothing left to cancel.") % {"plan": subscription.plan_name}
            )


def _part_reference(declaration: str, part: int) -> str:
    return declaration if part == 1 else f"{declaration}-{part}"


def submit_as_guest(
    *, declaration: Declaration, submission_key: UUID, received_at: datetime, now: datetime, network: str = ""
) -> CancellationRequest:
    """Submits the request of a guest. It is matched to no account until the guest proves the address.

    `network` is the client's address: only so many mails with a link are sent at once for one network, but no
    declaration is refused.

    Submitting the same form again returns the existing request. Every other form is a declaration of its own, also
    with the same identity: typing somebody's account number and address opens nothing of theirs.
    """
    request = _new_request(declaration, Channel.GUEST, submission_key, received_at, now)
    request.state = RequestState.UNVERIFIED
    request.verification_expires_at = received_at + timedelta(days=request.policy_version.verification_days)
    return _create(request, now, network=network)


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
    end_unread: str = "",
    sent_at: datetime | None = None,
) -> Declaration:
    """Returns the declaration in a mail. `words` is the mail's own text; `holder` is the account at its address.

    A time of sending after the arrival is left out.
    """
    sent_text = "\n\n".join(filter(None, (mail.subject, words)))[:MAX_MAIL_TEXT]
    return Declaration(
        account_number=account_number,
        username=username,
        email=email,
        name=mail.sender_name,
        words=sent_text,
        kind=kind,
        cause=sent_text if kind == Kind.FOR_CAUSE else "",
        requested_end=requested_end if kind == Kind.ORDINARY else None,
        end_unread=end_unread if kind == Kind.ORDINARY else "",
        language=language_for(language),
        jurisdiction=profile_for(
            holder.country if holder else "", settings.JURISDICTION, region=holder.region if holder else ""
        ).code,
        sent_at=sent_at if sent_at is not None and sent_at < mail.arrived_at else None,
    )


def submit_by_mail(
    *, declaration: Declaration, submission_key: UUID, mail: IncomingMessage, now: datetime, network: str = ""
) -> CancellationRequest:
    """Submits a cancellation sent by mail (policy 1.1) and answers it with the link that proves the sender.

    `network` is the client's address, if mails with a link are to be limited for it, as in `submit_as_guest`.

    The time of receipt is the mail's arrival. If our server could not authenticate the sender, an account number or
    username is needed as well as the link.

    The request is matched to no account until then. The same mail again returns the existing request. The proof
    expires no sooner than the link, even if the mail was read late.
    """
    request = _new_request(declaration, Channel.EMAIL, submission_key, mail.arrived_at, now)
    request.state = RequestState.UNVERIFIED
    request.proof = Proof.LINK if mail.checked == Checked.PASSED else Proof.LINK_AND_NUMBER
    request.verification_expires_at = max(
        mail.arrived_at + timedelta(days=request.policy_version.verification_days),
        now + timedelta(days=settings.PROOF_LINK_DAYS),
    )
    return _create(request, now, network=network, answers=mail)


@transaction.atomic
def answer_question(*, request: CancellationRequest, survey_reason: str, survey_words: str) -> bool:
    """Saves the answer to the question asked after the declaration. Returns False if there is an answer already."""
    row = CancellationRequest.objects.select_for_update().get(pk=request.pk)
    if not row.may_be_asked_why:
        return False
    row.survey_reason, row.survey_words = survey_reason, survey_words if survey_words.strip() else ""
    with recorded("answer", actor="customer"):
        row.save(update_fields=["survey_reason", "survey_words"])
    return True


@transaction.atomic
def send_proof_again(*, request: CancellationRequest, now: datetime, network: str = "") -> bool:
    """Sends the proof link again. Returns False if one was sent within the last minute, if it has to wait because of
    the limits (`link_due_at`), or if no proof is needed.
    """
    request = CancellationRequest.objects.select_for_update().get(pk=request.pk)
    recently_sent = OutgoingMessage.objects.filter(about=request.declaration, created_at__gt=now - LINK_PAUSE)
    if request.state != RequestState.UNVERIFIED or request.link_due_at is not None or recently_sent.exists():
        return False
    return send_proof_mail(request, now, network=network)


@transaction.atomic
def send_follow_link(*, reference: str, email: str, now: datetime) -> None:
    """Sends the link to a request's page to its sender. Does nothing if the reference and address do not match."""
    request = declared(reference).filter(email_given__same_address=email.strip()).first()
    if request is None:
        return
    recently_sent = OutgoingMessage.objects.filter(
        about=request.declaration, created_at__gt=now - LINK_PAUSE, kind="follow_link"
    )
    if not recently_sent.exists() and may_send_follow_link(request.email_given, now):
        send_letter("follow_link", request, now=now)


def use_link(*, reference: str, links_used: int) -> bool:
    """Uses up a link that was sent when `links_used` had been used, and all others sent before.

    Returns False if it was used up already. Of two browsers at the same time, one gets True.
    """
    first = CancellationRequest.objects.filter(declaration=reference, part=1, links_used=links_used)
    is_used = first.update(links_used=F("links_used") + 1) == 1
    log.info("The link to request %s was %s.", reference, "used" if is_used else "tried again, and refused")
    return is_used


@transaction.atomic
def verify(
    *,
    request: CancellationRequest,
    now: datetime,
    subscriptions: Sequence[Subscription] = (),
    identifier: str = "",
    disowned: Sequence[CancellationRequest] = (),
    stated_end: StatedEnd | None = None,
) -> None:
    """Records that the sender has proven the address. `received_at` does not change.

    The proof also proves what the address sent before, without what is `disowned`: the sender did not send that, so
    it is declined. If it is clear which subscriptions are meant, each gets a request of its own with its end date
    frozen, or the declaration joins the open one; otherwise support matches them. Verifying again changes nothing.
    `identifier` is an account number, subscription number or username, needed if our mail server could not authenticate
    the sender; `stated_end` is when it should end, if the sender says so now. Raises IllegalTransition if the request
    expired or was settled, RequestRefused if a subscription is not the sender's or `identifier` is wrong.
    """
    lock_accounts_at(request.email_given)
    request, others = lock_unproven(request, now)
    if request.verified_at is not None:
        return
    if request.state != RequestState.UNVERIFIED:
        raise IllegalTransition(reference=request.reference, state=request.state, verb="verify")
    if request.proof == Proof.LINK_AND_NUMBER and not is_known_to_holder(request, identifier):
        raise RequestRefused(_("That does not match any account with your address. Check one of our invoices."))
    if stated_end is not None:
        request.end_stated_at, request.end_stated_on = now, stated_end.day
    contracts = contracts_of(request, now)
    if len({subscription.account_id for subscription in subscriptions}) > 1:
        raise RequestRefused(_("Choose subscriptions of one account only; cancel those of another account separately."))
    if any(subscription not in contracts for subscription in subscriptions):
        raise RequestRefused("That subscription cannot be chosen here. Choose one of those shown.")
    chosen = sorted(subscriptions or contracts[: len(contracts) == 1], key=lambda subscription: subscription.reference)
    others = proven_along(request, chosen or contracts, others, now)
    with recorded("disown", actor="customer"):
        disown([other for other in others if other in disowned], now)
    with recorded("verify", actor="customer"):
        _verify_all(request, chosen, [other for other in others if other not in disowned], now)
    wake("cancellations.enforce")


@transaction.atomic
def disown_request(
    *, request: CancellationRequest, now: datetime, disowned: Sequence[CancellationRequest] = ()
) -> None:
    """Declines a request that the holder of the address did not send, and the others that wait and are `disowned`.

    No letter goes out about them any more. Raises IllegalTransition if the request was settled in the meantime.
    """
    request, others = lock_unproven(request, now)
    if request.state != RequestState.UNVERIFIED:
        raise IllegalTransition(reference=request.reference, state=request.state, verb="disown")
    with recorded("disown", actor="customer"):
        disown([request, *(other for other in others if other in disowned)], now)


def _verify_all(
    request: CancellationRequest, chosen: Sequence[Subscription], others: Sequence[CancellationRequest], now: datetime
) -> None:
    """Proves the request, and each of the others: those about the same contracts count together with it."""
    request.verified_at, request.account = now, matching_account(request) or (chosen[0].account if chosen else None)
    joined = _prove_together(request, chosen, others, now)
    for other in others:
        if other.pk not in joined:
            other.verified_at, other.account = now, matching_account(other)
            contracts = contracts_of(other, now)
            _prove_together(other, contracts[: len(contracts) == 1], [], now)


def _prove_together(
    request: CancellationRequest, chosen: Sequence[Subscription], others: Sequence[CancellationRequest], now: datetime
) -> set[int]:
    """Proves the request and joins to it the others about the same contracts. Returns the keys of these.

    The declaration gets a request for each contract. If one is open already, it joins that one.
    """
    alike = [other for other in others if other.kind_declared == request.kind_declared]
    rows = [request, *(_copy(request, part) for part in range(2, len(chosen) + 1))]
    carrying: list[CancellationRequest] = []
    joined: list[CancellationRequest] = []
    for row, subscription in zip_longest(rows, chosen):
        same = about(subscription, alike, now) if subscription is not None else []
        new = [other for other in same if other not in joined]
        carrying.append(_join_or_prove(row, subscription, same, new, now))
        joined += new if carrying[-1].subscription is not None else []
    _confirm(request, carrying, joined, now)
    _emit_webhooks([row for row in carrying if row in rows], now)
    return {other.pk for other in joined}


def _join_or_prove(
    row: CancellationRequest,
    subscription: Subscription | None,
    same: Sequence[CancellationRequest],
    new: Sequence[CancellationRequest],
    now: datetime,
) -> CancellationRequest:
    """Returns the request that carries the contract. `same` count together with the row; `new` are joined now."""
    lead = open_request_to_join(row, subscription) if subscription is not None else None
    if lead is not None:
        if row.pk is None:
            move(row, RequestState.IN_REVIEW, now)
            row.save(force_insert=True)
        if join_open(lead, [row, *new], now):
            return lead
    _prove(row, subscription, same, now)
    if row.subscription is not None:
        join(row, new, now)
    return row


def _confirm(
    request: CancellationRequest,
    carrying: Sequence[CancellationRequest],
    joined: Sequence[CancellationRequest],
    now: datetime,
) -> None:
    """Issues a receipt for each declaration, and confirms all of them in one letter."""
    for declaration in (request, *joined):
        issue_receipt(declaration, carrying, now)
    matched = [row for row in carrying if row.subscription is not None]
    send_letter("received", request, now=now, parts=matched or [request], joined=joined)


@transaction.atomic
def withdraw(*, requests: Sequence[CancellationRequest], now: datetime) -> list[CancellationRequest]:
    """Withdraws requests of one declaration before they take effect: all of them, or none.

    Their queued refunds become void. Raises IllegalTransition, and RequestRefused if a refund is already being
    paid.
    """
    withdrawn = []
    with recorded("withdraw", actor="customer"):
        for request in sorted(requests, key=lambda part: part.pk):
            row = locked(request, "withdraw", *OPEN)
            if row.effective_at is not None and row.effective_at <= now:
                raise IllegalTransition(reference=row.reference, state=RequestState.EFFECTIVE, verb="withdraw")
            refuse_while_refund_is_under_way(row)
            void_refund(row, TAKEN_BACK, now)
            move(row, RequestState.WITHDRAWN, now)
            row.save(update_fields=["state", "state_changed_at"])
            withdrawn.append(row)
            if row.verified_at is not None:  # no event was emitted for an unproven request
                emit_request_event(EventType.REQUEST_WITHDRAWN, row, now)
        if withdrawn:
            send_letter("withdrawn", withdrawn[0], now=now, parts=withdrawn)
    return withdrawn


def _emit_webhooks(requests: Sequence[CancellationRequest], now: datetime) -> None:
    for request in requests:
        emit_request_event(EventType.REQUEST_RECEIVED, request, now)
        if request.state == RequestState.SCHEDULED:
            emit_request_event(EventType.REQUEST_SCHEDULED, request, now)


def _copy(request: CancellationRequest, part: int) -> CancellationRequest:
    """Returns an unsaved request of the same declaration, for another subscription."""
    copied_fields = [
        "submission_key", "channel", "received_at", "sent_at", "account_number_given", "username_given", "email_given",
        "name_given", "jurisdiction", "language", "proof",
        "kind_declared", "kind", "reason", "words", "cause", "requested_end", "end_unread", "end_stated_at",
        "end_stated_on", "refund_wanted", "refund_reason", "policy_version", "verification_expires_at", "verified_at",
        "account", "state_changed_at",
    ]  # fmt: skip
    values = {name: getattr(request, name) for name in copied_fields}
    return CancellationRequest(reference=_part_reference(request.reference, part), part=part, **values)


def _prove(
    request: CancellationRequest,
    subscription: Subscription | None,
    others: Sequence[CancellationRequest],
    now: datetime,
) -> None:
    """Matches and saves a proven request, counted together with the others.

    If another request for the subscription is open, the two contradict each other: support decides between them.
    """
    if subscription is not None:
        count_together(request, subscription, others)
        match(request, subscription)
    move(request, state_once_proven(request), now)
    try:
        with transaction.atomic():
            request.save()
            _queue_refund(request, now)
    except IntegrityError as error:
        if not is_violation(error, "one_open_request_a_subscription"):
            raise
        unmatch(request)
        request.receipt_counts_of = request.end_counts_of = None
        move(request, RequestState.IN_REVIEW, now)
        request.save()


def _queue_refund(request: CancellationRequest, now: datetime) -> None:
    if request.state == RequestState.SCHEDULED:
        queue_requested_refund(request, now)
        request.save(update_fields=["refund"])


def _create(
    request: CancellationRequest, now: datetime, *, network: str = "", answers: IncomingMessage | None = None
) -> CancellationRequest:
    """Saves the request and queues the mail with its link. Returns the existing request of the same form or mail."""
    try:
        with transaction.atomic(), recorded("submit", actor="customer"):
            request.save(force_insert=True)
            send_proof_mail(request, now, network=network, answers=answers)
    except IntegrityError:
        existing = CancellationRequest.objects.filter(submission_key=request.submission_key).first()
        if existing is None:
            raise
        return existing
    return request


def _new_request(
    declaration: Declaration, channel: Channel, key: UUID, received_at: datetime, now: datetime
) -> CancellationRequest:
    return CancellationRequest(
        submission_key=key,
        channel=channel,
        received_at=received_at,
        sent_at=declaration.sent_at,
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
        end_unread=declaration.end_unread,
        refund_wanted=declaration.refund_wanted,
        refund_reason=declaration.refund_reason,
    )

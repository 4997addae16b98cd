"""Terminating an account (policy 3.1, 3.2), and reversing the termination on appeal."""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from moneyed import Money

from accounts.history import recorded
from accounts.models import Account, User
from accounts.permissions import permitted
from accounts.services.customers import restore_sign_in, revoke_sign_in
from billing.models import Refund, RefundBasis, Subscription
from billing.models.states import VOIDABLE, IllegalTransition
from billing.queries import quote, quoted_total, was_ever_paid
from billing.rules.periods import local_date
from billing.services.review import request_refund, void
from billing.services.subscriptions import end_subscription, restore_subscription
from cancellations.letters.terminations import send_termination_letter
from cancellations.letters.webhooks import emit_subscription_ended, emit_termination_event
from cancellations.models import (
    CancellationRequest,
    PolicyVersion,
    TerminatedSubscription,
    Termination,
    TerminationGround,
)
from cancellations.models.states import OPEN, RequestState, TerminationState
from cancellations.queries.policies import policy_in_force
from cancellations.queries.requests import has_ended
from cancellations.services.common import RequestRefused, move, refusing, review_terms, unmatch
from cancellations.services.enforcement import take_effect
from cancellations.services.refunds import void_refund
from messaging.locking import is_violation
from messaging.models import EventType, OutgoingMessage
from messaging.outbound.rendering import markdown_to_html
from messaging.waking import wake


@dataclass(frozen=True)
class Case:
    """What a manager states to terminate an account.

    `description` is sent to the customer; `evidence` and `refund_ground` are for staff only.
    """

    account: Account
    ground: str
    description: str
    refund_proposed: bool
    refund_ground: str
    evidence: str = ""
    revoke_sign_in: bool = False


@dataclass(frozen=True)
class TerminationPreview:
    """What a termination would do now."""

    ground: str
    subscriptions: list[tuple[Subscription, Money | None]]
    requests: list[CancellationRequest]
    subject: str
    letter_html: str


@permitted("cancellations.terminate_account")
@transaction.atomic
def terminate(*, case: Case, by: User, now: datetime) -> Termination:
    """Terminates an account and ends all its subscriptions at once.

    If the policy version requires it, nothing happens until a second manager confirms. Raises RequestRefused.
    """
    _require_texts(case)
    with recorded("terminate", actor="staff", by=by.pk, why=str(TerminationGround(case.ground).label)):
        termination = _create(case, by, now)
        if not termination.needs_confirmation:
            _take_effect(termination, now)
    return termination


@permitted("cancellations.terminate_account")
def preview_termination(*, case: Case, by: User, now: datetime) -> TerminationPreview:
    """Returns what `terminate` would do with this case, once confirmed if that is needed. Changes nothing.

    It terminates the account in a transaction that is rolled back. Raises RequestRefused if `terminate` would.
    """
    _require_texts(case)
    with transaction.atomic():
        savepoint = transaction.savepoint()
        termination = _create(case, by, now, is_preview=True)
        _take_effect(termination, now)
        letter = OutgoingMessage.objects.get(about=termination.reference)
        ended = termination.subscriptions.select_related("subscription", "refund").order_by("subscription__reference")
        preview = TerminationPreview(
            ground=termination.get_ground_display(),
            subscriptions=[(item.subscription, _computed_refund(item.refund)) for item in ended],
            requests=list(termination.superseded_requests.select_related("subscription").order_by("reference")),
            subject=letter.subject,
            letter_html=markdown_to_html(letter.text),
        )
        transaction.savepoint_rollback(savepoint)
    return preview


def _computed_refund(refund: Refund | None) -> Money | None:
    if refund is None:
        return None
    return quoted_total(quote(refund.subscription, ended_on=refund.ended_on, basis=refund.computed_basis))


def _require_texts(case: Case) -> None:
    if case.ground not in TerminationGround.values:
        raise RequestRefused("Choose a ground from the list.")
    if not case.description.strip():
        raise RequestRefused("Describe what happened. The customer reads it, and may appeal against it.")
    if not case.refund_ground.strip():
        raise RequestRefused("Say why a refund is proposed, or why not. Finance reads it.")


def _create(case: Case, by: User, now: datetime, *, is_preview: bool = False) -> Termination:
    """Saves a termination and locks the account. Raises RequestRefused if the account has one that is not reversed."""
    policy = policy_in_force(now)
    termination = Termination(
        # no_key: transactions that only insert rows referring to the account need not wait
        account=Account.objects.select_for_update(no_key=True).get(pk=case.account.pk),
        state=TerminationState.PROPOSED,
        state_changed_at=now,
        policy_version=policy,
        ground=case.ground,
        description=case.description.strip(),
        evidence=case.evidence.strip(),
        refund_proposed=case.refund_proposed,
        refund_ground=case.refund_ground.strip(),
        revoke_sign_in=case.revoke_sign_in,
        proposed_by=by,
        proposed_at=now,
        needs_confirmation=policy.termination_needs_two and not is_preview,
    )
    sentence = "This account is already terminated, or its termination waits for a second manager."
    with refusing("one_standing_termination_an_account", sentence):
        termination.save(force_insert=True)
    return termination


@permitted("cancellations.terminate_account")
@transaction.atomic
def confirm(*, termination: Termination, by: User, now: datetime) -> Termination:
    """Confirms a termination that another manager proposed. It takes effect at once.

    Raises RequestRefused, IllegalTransition.
    """
    termination = _locked(termination, "confirm", TerminationState.PROPOSED)
    if by.pk == termination.proposed_by_id:
        raise RequestRefused("You proposed this termination. Somebody else has to confirm it.")
    termination.confirmed_by = by
    with recorded("confirm", actor="staff", by=by.pk):
        _take_effect(termination, now)
    return termination


@permitted("cancellations.terminate_account")
@transaction.atomic
def discard(*, termination: Termination, by: User, ground: str, now: datetime) -> Termination:
    """Discards a termination that waits for confirmation. Raises RequestRefused, IllegalTransition."""
    termination = _locked_and_settled(termination, "discard", by, ground, TerminationState.PROPOSED)
    with recorded("discard", actor="staff", by=by.pk, why=ground):
        _save_in_state(termination, TerminationState.DISCARDED, now)
    return termination


@permitted("cancellations.terminate_account")
@transaction.atomic
def reverse(*, termination: Termination, by: User, ground: str, now: datetime) -> Termination:
    """Reverses a termination on appeal. Its record stays.

    Subscriptions continue unless they ended for another reason; the requests that it superseded return to review
    with their time of receipt; refunds become void if no money moved; sign-in is restored. Raises RequestRefused,
    IllegalTransition.
    """
    termination = _locked_and_settled(termination, "reverse", by, ground, TerminationState.EFFECTIVE)
    assert termination.effective_on is not None
    if termination.account.erased_at is not None:
        raise RequestRefused("The data of this account is erased, so nothing of it can run again.")
    with recorded("reverse", actor="staff", by=by.pk, why=ground):
        superseded = termination.superseded_requests.select_for_update(of=("self",)).order_by("pk")
        requests = list(superseded.filter(state=RequestState.SUPERSEDED))
        for ended in termination.subscriptions.select_related("subscription", "refund").order_by("subscription_id"):
            restore_subscription(
                subscription=ended.subscription,
                ended_on=termination.effective_on,
                ended_on_before=ended.ended_on_before,
                ended_by_before=ended.ended_by_before,
            )
            if ended.refund is not None:
                _void(ended.refund, ground, now, by)
        for request in requests:
            _reopen(request, now)
        if termination.revoke_sign_in:
            restore_sign_in(account=termination.account)
        _save_in_state(termination, TerminationState.REVERSED, now)
        send_termination_letter("termination_reversed", termination, now=now)
        emit_termination_event(EventType.ACCOUNT_REINSTATED, termination, now)
    wake("cancellations.enforce")
    return termination


def _take_effect(termination: Termination, now: datetime) -> None:
    account = termination.account
    termination.effective_at, termination.effective_on = now, local_date(now, account.time_zone)
    _supersede_requests(termination, now)
    running = Subscription.objects.filter(account=account).select_related("account").order_by("pk")
    for subscription in running:
        if not has_ended(subscription, on=termination.effective_on):
            _end_subscription(termination, subscription, now)
    if termination.revoke_sign_in:
        revoke_sign_in(account=account, now=now)
    _save_in_state(termination, TerminationState.EFFECTIVE, now)
    send_termination_letter("terminated", termination, now=now)
    emit_termination_event(EventType.ACCOUNT_TERMINATED, termination, now)
    for ended in termination.subscriptions.select_related("subscription__account").order_by("subscription__reference"):
        emit_subscription_ended(
            ended.subscription, termination.effective_on, cause="termination", reference=termination.reference, now=now
        )


def _supersede_requests(termination: Termination, now: datetime) -> None:
    """Supersedes the open requests of the account and voids their refunds: the termination has its own reviews.

    A request that is due already takes effect instead: the customer's cancellation came first.
    """
    rows = CancellationRequest.objects.select_related("policy_version", "subscription__account", "refund")
    rows = rows.select_for_update(of=("self",)).order_by("pk")
    for request in rows.filter(account=termination.account, state__in=OPEN):
        if request.effective_at is not None and request.effective_at <= now and not request.enforcement_error:
            take_effect(request, now)
            continue
        void_refund(request, "The account was terminated. The refund is reviewed with the termination.", now)
        request.superseded_by = termination
        move(request, RequestState.SUPERSEDED, now)
        request.save()


def _end_subscription(termination: Termination, subscription: Subscription, now: datetime) -> None:
    assert termination.effective_on is not None
    before = end_subscription(subscription=subscription, ended_on=termination.effective_on)
    TerminatedSubscription.objects.create(
        termination=termination,
        subscription=subscription,
        ended_on_before=before.ended_on,
        ended_by_before=before.ended_by,
        refund=_queue_refund(termination, subscription, now) if was_ever_paid(subscription) else None,
    )


def _queue_refund(termination: Termination, subscription: Subscription, now: datetime) -> Refund:
    policy = termination.policy_version
    assert termination.effective_on is not None
    return request_refund(
        subscription=subscription,
        ended_on=termination.effective_on,
        about=termination.reference,
        notify=termination.account.email,
        language=termination.account.language,
        customer_reason="",
        computed_basis=termination_basis(policy, subscription) if termination.refund_proposed else RefundBasis.NONE,
        computed_ground=termination.refund_ground,
        now=now,
        **review_terms(policy),
    )


def termination_basis(policy: PolicyVersion, subscription: Subscription) -> RefundBasis:
    """Returns the basis of a proposed refund: the policy's for the subscription, or the unused part if it has none."""
    special = policy.special_for(subscription, "refund_basis")
    basis = RefundBasis(special.refund_basis if special else policy.termination_basis)
    return RefundBasis.UNUSED if basis == RefundBasis.NONE else basis


def _void(refund: Refund, ground: str, now: datetime, by: User) -> None:
    row = Refund.objects.select_for_update().get(pk=refund.pk)
    if row.state in VOIDABLE:
        void(refund=row, ground=f"The termination was reversed. {ground.strip()}", now=now, by=by)


def _reopen(request: CancellationRequest, now: datetime) -> None:
    """Returns a superseded request to review, unmatched if a newer request for its subscription is open."""
    move(request, RequestState.IN_REVIEW, now)
    try:
        with transaction.atomic():
            request.save()
    except IntegrityError as error:
        if not is_violation(error, "one_open_request_a_subscription"):
            raise
        unmatch(request)
        request.save()


def _locked_and_settled(
    termination: Termination, verb: str, by: User, ground: str, allowed: TerminationState
) -> Termination:
    if not ground.strip():
        raise RequestRefused("State the ground. It is stored, and the customer reads it.")
    termination = _locked(termination, verb, allowed)
    termination.settled_by, termination.settled_ground = by, ground.strip()
    return termination


def _locked(termination: Termination, verb: str, allowed: TerminationState) -> Termination:
    Account.objects.select_for_update(no_key=True).get(pk=termination.account_id)  # first, as in every service
    rows = Termination.objects.select_for_update(of=("self",)).select_related("account", "policy_version")
    row = rows.get(pk=termination.pk)
    if row.state != allowed:
        raise IllegalTransition(reference=row.reference, state=row.state, verb=verb)
    return row


def _save_in_state(termination: Termination, state: TerminationState, now: datetime) -> None:
    termination.state, termination.state_changed_at = state, now
    termination.save()

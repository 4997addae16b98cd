"""Terminating an account (policy 3.1, 3.2), and taking that back on appeal."""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from moneyed import Money

from accounts.history import recorded
from accounts.models import Account, User
from accounts.permissions import permitted
from accounts.services import restore_sign_in, revoke_sign_in
from billing.models import Refund, RefundBasis, Subscription
from billing.models.states import VOIDABLE, IllegalTransition
from billing.queries import quote, quoted_total, was_ever_paid
from billing.rules.periods import local_date
from billing.services.review import request_refund, void
from billing.services.subscriptions import end_subscription, restore_subscription
from cancellations.letters.terminations import send_termination_letter
from cancellations.letters.webhooks import tell_of_end, tell_of_termination
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
from cancellations.services.common import RequestRefused, move, review_terms, unmatch
from cancellations.services.enforcement import take_effect
from cancellations.services.refunds import void_refund
from messaging.models import EventType, OutgoingMessage
from messaging.outbound.rendering import markdown_to_html
from messaging.waking import wake


@dataclass(frozen=True)
class Case:
    """Why an account is terminated, and what is to follow.

    `description` goes to the customer; `evidence` and `refund_ground` stay with staff.
    """

    account: Account
    ground: str
    description: str
    refund_proposed: bool
    refund_ground: str
    evidence: str = ""
    revoke_sign_in: bool = False


@dataclass(frozen=True)
class Rehearsal:
    """What a termination would do now: it was done, looked at, and undone."""

    ground: str
    subscriptions: list[tuple[Subscription, Money | None]]
    requests: list[CancellationRequest]
    subject: str
    letter_html: str


@permitted("cancellations.terminate_account")
@transaction.atomic
def terminate(*, case: Case, by: User, now: datetime) -> Termination:
    """Ends an account at once, for all its subscriptions; where the policy says so, once a second manager confirms.

    Raises RequestRefused.
    """
    _refuse_what_lacks_words(case)
    with recorded("terminate", actor="staff", by=by.pk, why=str(TerminationGround(case.ground).label)):
        termination = _begin(case, by, now)
        if not termination.needs_confirmation:
            _take_effect(termination, now)
    return termination


@permitted("cancellations.terminate_account")
def rehearse(*, case: Case, by: User, now: datetime) -> Rehearsal:
    """What `terminate` would do with this case, once confirmed where that is needed. Nothing is kept.

    Raises RequestRefused where it would.
    """
    _refuse_what_lacks_words(case)
    with transaction.atomic():
        undo = transaction.savepoint()
        termination = _begin(case, by, now, rehearsed=True)
        _take_effect(termination, now)
        letter = OutgoingMessage.objects.get(about=termination.reference)
        done = termination.subscriptions.select_related("subscription", "refund").order_by("subscription__reference")
        found = Rehearsal(
            ground=termination.get_ground_display(),
            subscriptions=[(one.subscription, _computed(one.refund)) for one in done],
            requests=list(termination.superseded_requests.select_related("subscription").order_by("reference")),
            subject=letter.subject,
            letter_html=markdown_to_html(letter.text),
        )
        transaction.savepoint_rollback(undo)
    return found


def _computed(refund: Refund | None) -> Money | None:
    if refund is None:
        return None
    return quoted_total(quote(refund.subscription, ended_on=refund.ended_on, basis=refund.computed_basis))


def _refuse_what_lacks_words(case: Case) -> None:
    if case.ground not in TerminationGround.values:
        raise RequestRefused("Choose the ground: an account is terminated on one of these and on no other.")
    if not case.description.strip():
        raise RequestRefused("Describe what happened: the customer reads it, and may appeal against it.")
    if not case.refund_ground.strip():
        raise RequestRefused("Say why a refund is proposed, or why not: finance reads it.")


def _begin(case: Case, by: User, now: datetime, *, rehearsed: bool = False) -> Termination:
    """Saves the case, with the account locked. Raises RequestRefused where a termination stands already."""
    policy = policy_in_force(now)
    termination = Termination(
        # Not its key: whoever writes a row that points at the account does not wait for this
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
        needs_confirmation=policy.termination_needs_two and not rehearsed,
    )
    try:
        with transaction.atomic():
            termination.save(force_insert=True)
    except IntegrityError as error:
        raise RequestRefused("This account is terminated already, or its termination waits.") from error
    return termination


@permitted("cancellations.terminate_account")
@transaction.atomic
def confirm(*, termination: Termination, by: User, now: datetime) -> Termination:
    """A second manager confirms what another proposed; it takes effect at once.

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
    """Drops a termination that waits for confirmation; nothing happened to the account. Raises as `confirm`."""
    termination = _settled(termination, "discard", by, ground, TerminationState.PROPOSED)
    with recorded("discard", actor="staff", by=by.pk, why=ground):
        _to(termination, TerminationState.DISCARDED, now)
    return termination


@permitted("cancellations.terminate_account")
@transaction.atomic
def reverse(*, termination: Termination, by: User, ground: str, now: datetime) -> Termination:
    """Takes a termination back on appeal; what it did stays visible.

    Subscriptions go on unless they ended otherwise, requests that it settled are in review again from their
    time of receipt, refunds are void where no money moved, the right to sign in is given back. Raises
    RequestRefused, IllegalTransition.
    """
    termination = _settled(termination, "reverse", by, ground, TerminationState.EFFECTIVE)
    assert termination.effective_on is not None
    with recorded("reverse", actor="staff", by=by.pk, why=ground):
        settled = termination.superseded_requests.select_for_update(of=("self",)).order_by("pk")
        requests = list(settled.filter(state=RequestState.SUPERSEDED))
        for done in termination.subscriptions.select_related("subscription", "refund").order_by("subscription_id"):
            restore_subscription(
                subscription=done.subscription,
                ended_on=termination.effective_on,
                ended_on_before=done.ended_on_before,
                ended_by_before=done.ended_by_before,
            )
            if done.refund is not None:
                _void(done.refund, ground, now, by)
        for request in requests:
            _take_up_again(request, now)
        if termination.revoke_sign_in:
            restore_sign_in(account=termination.account)
        _to(termination, TerminationState.REVERSED, now)
        send_termination_letter("termination_reversed", termination, now=now)
        tell_of_termination(EventType.ACCOUNT_REINSTATED, termination, now)
    wake("cancellations.enforce")
    return termination


def _take_effect(termination: Termination, now: datetime) -> None:
    account = termination.account
    termination.effective_at, termination.effective_on = now, local_date(now, account.time_zone)
    _settle_requests(termination, now)
    running = Subscription.objects.filter(account=account).select_related("account").order_by("pk")
    for subscription in running:
        if not has_ended(subscription, on=termination.effective_on):
            _end(termination, subscription, now)
    if termination.revoke_sign_in:
        revoke_sign_in(account=account, now=now)
    _to(termination, TerminationState.EFFECTIVE, now)
    send_termination_letter("terminated", termination, now=now)
    tell_of_termination(EventType.ACCOUNT_TERMINATED, termination, now)
    for done in termination.subscriptions.select_related("subscription__account").order_by("subscription__reference"):
        tell_of_end(
            done.subscription, termination.effective_on, cause="termination", reference=termination.reference, now=now
        )


def _settle_requests(termination: Termination, now: datetime) -> None:
    """Open requests are superseded, and their refunds void: the termination has a review of its own.

    One whose date has come takes effect as it would have by itself: the customer left before we ended anything.
    """
    rows = CancellationRequest.objects.select_related("policy_version", "subscription__account", "refund")
    rows = rows.select_for_update(of=("self",)).order_by("pk")
    for request in rows.filter(account=termination.account, state__in=OPEN):
        if request.effective_at is not None and request.effective_at <= now and not request.enforcement_error:
            take_effect(request, now)
            continue
        void_refund(request, "The account was terminated, and the refund is reviewed with that.", now)
        request.superseded_by = termination
        move(request, RequestState.SUPERSEDED, now)
        request.save()


def _end(termination: Termination, subscription: Subscription, now: datetime) -> None:
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
        computed_basis=termination_basis(policy) if termination.refund_proposed else RefundBasis.NONE,
        computed_ground=termination.refund_ground,
        now=now,
        **review_terms(policy),
    )


def termination_basis(policy: PolicyVersion) -> RefundBasis:
    """The basis of a refund that is proposed: the policy's own, or by days where its own is to propose none."""
    basis = RefundBasis(policy.termination_basis)
    return RefundBasis.UNUSED if basis == RefundBasis.NONE else basis


def _void(refund: Refund, ground: str, now: datetime, by: User) -> None:
    row = Refund.objects.select_for_update().get(pk=refund.pk)
    if row.state in VOIDABLE:
        void(refund=row, ground=f"The termination was reversed. {ground.strip()}", now=now, by=by)


def _take_up_again(request: CancellationRequest, now: datetime) -> None:
    """With all that it rested on; where a newer request for the subscription is open, staff match it anew."""
    move(request, RequestState.IN_REVIEW, now)
    try:
        with transaction.atomic():
            request.save()
    except IntegrityError:
        unmatch(request)
        request.save()


def _settled(termination: Termination, verb: str, by: User, ground: str, allowed: TerminationState) -> Termination:
    if not ground.strip():
        raise RequestRefused("State the ground: it is kept, and stands in what the customer reads.")
    termination = _locked(termination, verb, allowed)
    termination.settled_by, termination.settled_ground = by, ground.strip()
    return termination


def _locked(termination: Termination, verb: str, allowed: TerminationState) -> Termination:
    rows = Termination.objects.select_for_update(of=("self",)).select_related("account", "policy_version")
    found = rows.get(pk=termination.pk)
    if found.state != allowed:
        raise IllegalTransition(reference=found.reference, state=found.state, verb=verb)
    return found


def _to(termination: Termination, state: TerminationState, now: datetime) -> None:
    termination.state, termination.state_changed_at = state, now
    termination.save()

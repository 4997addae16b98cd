"""What the verbs share: locking rows, matching requests to subscriptions, and opening conversations."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.history import recorded
from accounts.models import Account, User
from billing.models import Subscription
from billing.models.states import IllegalTransition
from cancellations.models import CancellationRequest, Channel, Conversation, PolicyVersion, Todo
from cancellations.models.states import ConversationState, RequestState
from cancellations.queries.outcomes import COUNTS_AS_ORDINARY, kind_before_outcome, outcome_of
from cancellations.queries.requests import named_account, running
from messaging.addresses import are_same_address
from messaging.locking import is_violation, lock_correspondence
from messaging.numbers import SHORTEST, number_key

ASSIGN, ANSWER = "cancellations.assign_request", "cancellations.answer_conversation"
WORK = {ASSIGN: "work on requests", ANSWER: "answer mail"}


class RequestRefused(Exception):
    """The verb is refused for a reason that the user can act on. Nothing was changed."""


def locked(request: CancellationRequest, verb: str, *allowed: RequestState) -> CancellationRequest:
    """Returns the row, locked and freshly read. Raises IllegalTransition if its state does not allow the verb."""
    rows = CancellationRequest.objects.select_for_update(of=("self",))
    row = rows.select_related("policy_version", "account", "subscription__account").get(pk=request.pk)
    if row.state not in allowed:
        raise IllegalTransition(reference=row.reference, state=row.state, verb=verb)
    return row


def move(request: CancellationRequest, state: RequestState, now: datetime) -> None:
    request.state, request.state_changed_at = state, now


@dataclass(frozen=True)
class StatedEnd:
    """When a cancellation should end, as its sender or support says later: on a day, or as early as possible."""

    day: date | None


def matching_account(request: CancellationRequest) -> Account | None:
    """Returns the account that the sender named, if its address is the sender's."""
    if request.channel == Channel.EMAIL and not request.account_number_given.strip():
        accounts = _accounts_of_sender(request)
        return accounts[0] if len(accounts) == 1 else None
    account = named_account(request)
    return account if account and are_same_address(account.email, request.email_given) else None


def _accounts_of_sender(request: CancellationRequest) -> list[Account]:
    """Returns the accounts at the sender's address, narrowed to the one whose username the mail names, if any."""
    accounts = list(accounts_at(request.email_given))
    named = [account for account in accounts if account.username.lower() == request.username_given.strip().lower()]
    return named or accounts


def accounts_at(email: str) -> QuerySet[Account]:
    """Returns the accounts with this e-mail address, without erased ones."""
    return Account.objects.filter(email__same_address=email, erased_at__isnull=True).order_by("account_number")


def is_known_to_holder(request: CancellationRequest, typed: str) -> bool:
    """Whether `typed` is an account number, subscription number or username of an account at the sender's address.

    True if there is no such account: there is nothing to compare with, and support looks at the request anyway.
    """
    accounts = list(accounts_at(request.email_given))
    subscription_numbers = Subscription.objects.filter(account__in=accounts).values_list("reference", flat=True)
    identifiers = {
        *subscription_numbers,
        *(account.account_number for account in accounts),
        *(account.username for account in accounts),
    }
    return not accounts or any(_is_same(typed, identifier) for identifier in identifiers)


def _is_same(typed: str, identifier: str) -> bool:
    """Whether both are the same number, or the same username in letters that are no number's."""
    key = number_key(typed)
    is_number = len(key) >= SHORTEST and key == number_key(identifier)
    return is_number or typed.strip().casefold() == identifier.casefold()


def review_terms(policy: PolicyVersion) -> dict[str, Any]:
    """Returns the arguments of a refund review that come from the policy version of its case."""
    return {
        "decision_days": policy.refund_decision_days,
        "payment_days": policy.refund_payment_days,
        "approval_limits": policy.approval_limits,
    }


def contracts_of(request: CancellationRequest, now: datetime) -> list[Subscription]:
    """Returns the running subscriptions that the sender may mean, once the address is proven.

    Those that an open request concerns are among them: who has cancelled one of two contracts and writes again does
    not mean the other.
    """
    accounts = _accounts_meant(request)
    return _narrowed(request, [contract for account in accounts for contract in running(account, now=now)])


def _accounts_meant(request: CancellationRequest) -> list[Account]:
    if request.channel == Channel.EMAIL and not request.account_number_given.strip():
        return _accounts_of_sender(request)
    account = matching_account(request)
    return [account] if account else []


def _narrowed(request: CancellationRequest, subscriptions: list[Subscription]) -> list[Subscription]:
    """Narrows them to the subscription that the sender named, or that the mail mentions, if there is one."""
    number = request.account_number_given.strip().upper()
    named = [subscription for subscription in subscriptions if subscription.reference == number]
    mentioned = [
        subscription
        for subscription in subscriptions
        if request.channel == Channel.EMAIL and _mentions(request.words, subscription.reference)
    ]
    return named or mentioned or subscriptions


def _mentions(words: str, reference: str) -> bool:
    """Whether the reference stands in the words as a whole: SUB-1 does not stand in SUB-12."""
    return re.search(rf"(?<!\w){re.escape(reference)}(?!\w)", words, re.IGNORECASE) is not None


def only_choice(request: CancellationRequest, now: datetime) -> Subscription | None:
    """Returns the only subscription that the sender may mean; None if there is none, or several."""
    contracts = contracts_of(request, now)
    return contracts[0] if len(contracts) == 1 else None


def unmatch(request: CancellationRequest) -> None:
    """Clears the subscription and everything that follows from it. The caller saves the request."""
    request.subscription = request.on_time = request.refund_quoted = None
    request.next_billing_on = request.deadline_on = request.effective_on = request.effective_at = None
    request.deadline_counts_for = request.law_end_on = request.refund_days = None
    request.time_zone, request.explanation, request.law_source, request.refund_basis = "", [], "", ""


def match(request: CancellationRequest, subscription: Subscription) -> None:
    """Matches the request to the subscription and freezes its outcome. The caller saves the request."""
    outcome = outcome_of(request, subscription)
    if kind_before_outcome(request) != request.kind:
        request.kind, request.kind_ground = request.kind_declared, ""
    if outcome.kind != request.kind:
        request.kind, request.kind_ground = outcome.kind, COUNTS_AS_ORDINARY
    request.account, request.subscription = subscription.account, subscription
    request.time_zone = subscription.account.time_zone
    request.next_billing_on = outcome.assessment.next_billing_on
    request.deadline_on = outcome.assessment.deadline_on
    request.deadline_counts_for = outcome.assessment.first_possible_on
    request.on_time = outcome.assessment.on_time
    request.law_end_on = outcome.end.law_on
    request.law_source = outcome.end.law.source if outcome.end.law else ""
    request.explanation = [step.frozen() for step in outcome.assessment.steps]
    request.effective_on, request.effective_at = outcome.effective_on, outcome.effective_at
    request.refund_quoted, request.refund_basis = outcome.refund, outcome.refund_basis
    request.refund_days = outcome.refund_days
    if request.end_is_open:
        _leave_undated(request)


def _leave_undated(request: CancellationRequest) -> None:
    """Clears the end of a matched request until somebody knows which end was meant."""
    request.effective_on = request.effective_at = request.law_end_on = request.on_time = request.refund_quoted = None
    request.deadline_counts_for, request.law_source, request.explanation = None, "", []


@contextmanager
def refusing(constraint: str, sentence: str) -> Iterator[None]:
    """Runs the body in a transaction of its own. Raises RequestRefused if this constraint refuses what it writes."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if not is_violation(error, constraint):
            raise
        raise RequestRefused(sentence) from error


def assign_to(row: CancellationRequest | Conversation, *, to: User | None, by: User, permission: str) -> None:
    """Assigns a locked row to a user, or returns it to the queue (`to` is None). Raises RequestRefused."""
    if to is not None and not (to.is_active and to.is_staff and to.has_perm(permission)):
        raise RequestRefused(f"{to} may not {WORK[permission]}. Choose somebody else.")
    if row.assigned_to_id == (to.pk if to else None):
        raise RequestRefused(f"It is already assigned to {to}." if to else "It is not assigned to anybody.")
    row.assigned_to = to
    verb = "release" if to is None else "claim" if to.pk == by.pk else "assign"
    with recorded(verb, actor="staff", by=by.pk, why=f"to {to}" if verb == "assign" else ""):
        row.save(update_fields=["assigned_to"])


def open_conversation(
    *,
    todo: Todo,
    email: str,
    at: datetime,
    now: datetime,
    thread: str = "",
    name: str = "",
    subject: str = "",
    language: str = "en",
    about: str = "",
    request: CancellationRequest | None = None,
    account: Account | None = None,
    actor: str = "customer",
) -> Conversation:
    """Opens a conversation that waits for staff since `at`.

    Reuses the conversation `thread`, or the open one with the same address and the same `about`, if there is one.
    """
    lock_correspondence(email)
    rows = Conversation.objects.select_for_update()
    conversation = rows.filter(reference=thread).first() if thread else None
    if conversation is None and about:
        conversation = (
            rows.filter(about=about, email=email).exclude(state=ConversationState.CLOSED).order_by("pk").first()
        )
    with recorded("write" if actor == "customer" else "undelivered", actor=actor):
        if conversation is None:
            return Conversation.objects.create(
                todo=todo, email=email, name=name, subject=subject, language=language, about=about, request=request,
                account=account, opened_at=at, waiting_since=at, state_changed_at=now,
            )  # fmt: skip
        conversation.todo = todo
        conversation.waiting_since = conversation.waiting_since or at
        if conversation.state != ConversationState.OPEN:
            conversation.state, conversation.state_changed_at = ConversationState.OPEN, now
        conversation.save()
    return conversation

"""What the verbs share: locking with a check of the state, and freezing what a request rests on."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from accounts.history import recorded
from accounts.models import Account, User
from accounts.queries import find_account
from billing.models import Subscription
from billing.models.states import IllegalTransition
from cancellations.models import CancellationRequest, Channel, Conversation, PolicyVersion, Todo
from cancellations.models.states import ConversationState, RequestState
from cancellations.queries.outcomes import outcome_of
from cancellations.queries.requests import cancellable

ASSIGN, ANSWER = "cancellations.assign_request", "cancellations.answer_conversation"
DOES = {ASSIGN: "work on requests", ANSWER: "answer mail"}
COUNTS_AS_ORDINARY = gettext_noop("The cooling-off days were over when it was received")


class RequestRefused(Exception):
    """The verb is refused for a reason that the person can act on. Nothing was changed."""


def locked(request: CancellationRequest, verb: str, *allowed: RequestState) -> CancellationRequest:
    """The row, locked and read anew. Raises IllegalTransition where its state does not allow the verb."""
    rows = CancellationRequest.objects.select_for_update(of=("self",))
    found = rows.select_related("policy_version", "account", "subscription__account").get(pk=request.pk)
    if found.state not in allowed:
        raise IllegalTransition(reference=found.reference, state=found.state, verb=verb)
    return found


def move(request: CancellationRequest, state: RequestState, now: datetime) -> None:
    request.state, request.state_changed_at = state, now


def matching_account(request: CancellationRequest) -> Account | None:
    """The account that the sender named and whose address is the sender's: theirs, once that is proven.

    Who is asked for no username may have given the number of the contract, a subscription, instead.
    """
    number, username = request.account_number_given, request.username_given
    if request.channel == Channel.EMAIL and not number.strip():
        held = _accounts_of_sender(request)
        return held[0] if len(held) == 1 else None
    account = find_account(account_number=number, username=username) if number.strip() else None
    if account is None and not username.strip():
        contract = Subscription.objects.filter(reference=number.strip().upper()).select_related("account").first()
        account = contract.account if contract else None
    return account if account and account.email.lower() == request.email_given.lower() else None


def _accounts_of_sender(request: CancellationRequest) -> list[Account]:
    """The accounts at the sender's address; of these the one whose username the mail names, if it names one."""
    held = list(accounts_at(request.email_given))
    named = [one for one in held if one.username.lower() == request.username_given.strip().lower()]
    return named or held


def accounts_at(email: str) -> QuerySet[Account]:
    """The accounts under the address, whose data was not erased."""
    return Account.objects.filter(email__iexact=email, erased_at__isnull=True).order_by("account_number")


def known_to_holder(request: CancellationRequest, typed: str) -> bool:
    """Whether it is a number or a username that the holder of an account at the sender's address knows.

    Where there is no such account there is nothing to compare with, and support looks at the request anyway.
    """
    accounts = list(accounts_at(request.email_given))
    contracts = Subscription.objects.filter(account__in=accounts).values_list("reference", flat=True)
    known = {*contracts, *(one.account_number for one in accounts), *(one.username for one in accounts)}
    return not accounts or _plain(typed) in {_plain(one) for one in known}


def _plain(typed: str) -> str:
    return "".join(mark for mark in typed.lower() if mark.isalnum())


def review_terms(policy: PolicyVersion) -> dict[str, Any]:
    """What a refund review takes over from the policy version that binds its case."""
    return {
        "decision_days": policy.refund_decision_days,
        "payment_days": policy.refund_payment_days,
        "approval_limits": policy.approval_limits,
    }


def choices_of(request: CancellationRequest, now: datetime) -> list[Subscription]:
    """The subscriptions that the sender can mean, once the address is proven."""
    account = matching_account(request)
    accounts = [account] if account else []
    if request.channel == Channel.EMAIL and not request.account_number_given.strip():
        accounts = _accounts_of_sender(request)
    open_to = [one for each in accounts for one in cancellable(each, now=now)]
    named = [one for one in open_to if one.reference == request.account_number_given.strip().upper()]
    written = [one for one in open_to if request.channel == Channel.EMAIL and one.reference in request.words.upper()]
    return named or written or open_to


def only_choice(request: CancellationRequest, now: datetime) -> Subscription | None:
    """The one subscription that the sender can mean; None where there is none, or several."""
    open_to = choices_of(request, now)
    return open_to[0] if len(open_to) == 1 else None


def unmatch(request: CancellationRequest) -> None:
    """Takes the subscription and all that follows from it away again, before it was saved."""
    request.subscription = request.on_time = request.refund_quoted = None
    request.next_billing_on = request.deadline_on = request.effective_on = request.effective_at = None
    request.time_zone, request.explanation = "", []


def match(request: CancellationRequest, subscription: Subscription) -> None:
    """Binds the request to the subscription and freezes everything that the decision rests on."""
    found = outcome_of(request, subscription)
    if found.kind != request.kind:
        request.kind, request.kind_ground = found.kind, COUNTS_AS_ORDINARY
    request.account, request.subscription = subscription.account, subscription
    request.time_zone = subscription.account.time_zone
    request.next_billing_on = found.assessment.next_billing_on
    request.deadline_on = found.assessment.deadline_on
    request.on_time = found.assessment.on_time
    request.explanation = [each.frozen() for each in found.assessment.steps]
    request.effective_on, request.effective_at = found.effective_on, found.effective_at
    request.refund_quoted = found.refund


def put_into_hands(row: CancellationRequest | Conversation, *, to: User | None, by: User, permission: str) -> None:
    """Gives a locked row to somebody who may work on it, or back to the queue (`to` is None). Raises RequestRefused."""
    if to is not None and not (to.is_active and to.is_staff and to.has_perm(permission)):
        raise RequestRefused(f"{to} does not {DOES[permission]}.")
    if row.assigned_to_id == (to.pk if to else None):
        raise RequestRefused(f"{to} has it in hand already." if to else "Nobody has it in hand.")
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
    """Something waits for staff since `at`: in the conversation `thread` or the open one of the same address about
    the same, or else in a new one."""
    rows = Conversation.objects.select_for_update()
    found = rows.filter(reference=thread).first() if thread else None
    if found is None and about:
        found = rows.filter(about=about, email=email).exclude(state=ConversationState.CLOSED).order_by("pk").first()
    with recorded("write" if actor == "customer" else "undelivered", actor=actor):
        if found is None:
            return Conversation.objects.create(
                todo=todo, email=email, name=name, subject=subject, language=language, about=about, request=request,
                account=account, opened_at=at, waiting_since=at, state_changed_at=now,
            )  # fmt: skip
        found.todo = todo
        found.waiting_since = found.waiting_since or at
        if found.state != ConversationState.OPEN:
            found.state, found.state_changed_at = ConversationState.OPEN, now
        found.save()
    return found

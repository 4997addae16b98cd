"""Rows in every state that an action of staff needs, and a person who may do everything."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.test import Client

from accounts.desk import Verb
from accounts.models import User
from billing.services.review import approve, propose
from billing.services.sending import fail, send, settle
from cancellations.models import CancellationRequest, Conversation, PolicyVersion
from cancellations.models.conversations import Todo
from cancellations.models.requests import Kind
from cancellations.services.conversations import assign as assign_conversation
from cancellations.services.conversations import close, open_tasks_for_failed_messages
from cancellations.services.erasure import place_hold
from cancellations.services.handling import assign
from cancellations.services.policies import publish
from cancellations.services.review import decline
from cancellations.services.termination import terminate
from config.api import COLLECTIONS
from messaging.models import MessageState, OutgoingMessage
from messaging.services.webhooks import disable
from tests import cast
from tests.cast import NOW

SITES = {
    COLLECTIONS[model._meta.label_lower][0]: site
    for model, site in admin.site._registry.items()
    if model._meta.label_lower in COLLECTIONS
}


def rows() -> dict[str, list[Any]]:
    """Rows by the collection of the API that holds them."""
    version = cast.policy()
    first = cast.in_review()
    delivery, other = cast.webhook_delivered(), cast.webhook_delivered()
    disable(endpoint=other.endpoint, why="It moved")
    draft = PolicyVersion.objects.create(number=version.number + 100, text="We ask for {notice_days} of notice.")
    later = PolicyVersion.objects.create(number=version.number + 101, text="We ask for {notice_days} of notice.")
    later = publish(version=later, change_summary="More", effective_from=NOW.replace(year=2040), now=NOW)
    return {
        "requests": list(_requests(first)),
        "refunds": list(_refunds()),
        "terminations": list(_terminations()),
        "policy-versions": [draft, version, later],
        "conversations": list(_conversations()),
        "webhook-endpoints": [delivery.endpoint, cast.fresh(other.endpoint)],
        "webhook-deliveries": [delivery],
        "holds": [place_hold(account=first.account, by=cast.staff("manager"), ground="Claim", now=NOW)],
    }


def row_for(verb: Verb, user: User, candidates: Iterable[Any]) -> Any:
    """The first row for which the action is possible. Raises StopIteration if there is none."""
    return next(row for row in candidates if verb.is_open_to(user, row))


def everything_allowed() -> User:
    return User.objects.create_superuser("root@atntcrm.example", "a-long-password", name="Root")


def at_desk(person: User) -> Client:
    client = cast.at_desk(person)
    client.raise_request_exception = False
    return client


def _requests(first: CancellationRequest) -> Iterable[CancellationRequest]:
    sam = cast.staff("support")
    yield first
    yield cast.in_review(kind=Kind.FOR_CAUSE, words="It never worked")
    yield cast.unverified(cast.account())
    yield cast.proven_but_unmatched()
    yield decline(request=cast.in_review(), by=sam, ground="duplicate", words="", now=NOW)
    yield assign(request=cast.in_review(), to=sam, by=sam, now=NOW)
    late = cast.subscription(started_on=cast.date(2025, 2, 13), billing_anchor=cast.date(2025, 2, 13))
    yield cast.in_review(late)
    failed = cast.in_review()
    CancellationRequest.objects.filter(pk=failed.pk).update(enforcement_error="The disk was full")
    yield cast.fresh(failed)


def _refunds() -> Iterable[Any]:
    fiona, frank = cast.staff("finance"), cast.staff("finance", "Frank")
    yield cast.refund_requested()
    yield propose(refund=cast.refund_requested(), basis="unused", by=fiona, now=NOW)
    for steps in range(4):
        refund = propose(refund=cast.refund_requested(), basis="unused", by=fiona, now=NOW)
        refund = approve(refund=refund, by=frank, now=NOW)
        if steps > 0:
            refund = send(refund=refund, by=frank, now=NOW)
        if steps == 2:
            refund = fail(refund=refund, by=frank, ground="Account closed", now=NOW)
        if steps == 3:
            refund = settle(refund=refund, by=frank, reference="SEPA 1", paid_on=NOW.date(), now=NOW)
        yield refund


def _terminations() -> Iterable[Any]:
    yield cast.terminated(cast.account())
    cast.policy(termination_needs_two=True)
    yield terminate(case=cast.case(cast.account()), by=cast.staff("manager"), now=NOW)


def _conversations() -> Iterable[Any]:
    sam = cast.staff("support")
    yield cast.waits_for_an_answer(cast.account())
    yield close(conversation=cast.waits_for_an_answer(cast.account()), by=sam, words="", now=NOW)
    yield assign_conversation(conversation=cast.waits_for_an_answer(cast.account()), to=sam, by=sam, now=NOW)
    lost = cast.scheduled()
    OutgoingMessage.objects.filter(about=lost.declaration).update(state=MessageState.DEAD)
    open_tasks_for_failed_messages(now=NOW)
    yield Conversation.objects.filter(todo=Todo.NOT_INFORMED).first()

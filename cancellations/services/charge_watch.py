"""Payments for a time after the end of a subscription: a refund review is queued for them, whenever they arrive.

The database marks such a payment when it is written (billing/models/guards.py), whoever writes it. The workers review
the marked payments at every tick, with statements over a batch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet

from accounts.history import recorded
from billing.models import EndedBy, Payment, Refund, RefundBasis, Subscription
from billing.queries import returnable
from billing.services.review import review_charges
from cancellations.letters.charges import send_charged_letter
from cancellations.models import CancellationRequest, PolicyVersion, Termination
from cancellations.models.states import RequestState, TerminationState
from cancellations.queries.policies import policy_in_force
from cancellations.services.common import review_terms
from messaging.due import Work
from messaging.waking import wake

BATCH = 200


@dataclass(frozen=True)
class Cause:
    """What ended the subscription, and to whom its refund is written. Empty if no record of it is left."""

    about: str
    notify: str
    language: str
    policy: PolicyVersion
    request: CancellationRequest | None = None


def payments_to_check(now: datetime) -> QuerySet[Payment]:
    return Payment.objects.filter(is_to_check=True)


def basis_after_end(periods_start: Iterable[date], ended_on: date) -> RefundBasis:
    """Returns the full amount if every charged period begins on or after the end, else the unused part."""
    return RefundBasis.FULL if all(start >= ended_on for start in periods_start) else RefundBasis.UNUSED


def review_charged(keys: list[int], now: datetime) -> list[Refund]:
    """Queues a refund review of these payments and of the others of their subscriptions that are marked.

    An open review starts again. After a settled one there is a new one. The rows are locked in the usual order.
    """
    of_batch = Payment.objects.filter(pk__in=keys).values("subscription")
    requests = _ending_requests(of_batch)
    rows = Subscription.objects.filter(pk__in=of_batch).select_related("account").order_by("pk")
    subscriptions = list(rows.select_for_update(of=("self",)))
    charges = _charges(subscriptions)
    causes = _causes([each for each in subscriptions if each.pk in charges], requests, now)
    with recorded("review_charge", actor="system", why="Charged for a time after the end"):
        refunds = review_charges(
            cases=[_case(each, charges[each.pk], causes[each.pk]) for each in subscriptions if each.pk in charges],
            now=now,
        )
        _attach(refunds, causes)
    for refund in refunds:
        send_charged_letter(refund, charges[refund.subscription_id], now=now)
    Payment.objects.filter(subscription__in=subscriptions, is_to_check=True).update(is_to_check=False)
    if refunds:
        wake("cancellations.remind")
    return refunds


def _ending_requests(of_batch: QuerySet[Payment, Any]) -> dict[tuple[int, date], CancellationRequest]:
    rows = CancellationRequest.objects.filter(subscription__in=of_batch, state=RequestState.EFFECTIVE)
    locked = rows.select_related("policy_version").select_for_update(of=("self",)).order_by("pk")
    return {(row.subscription_id, row.effective_on): row for row in locked if row.subscription_id and row.effective_on}


def _charges(subscriptions: list[Subscription]) -> dict[int, list[Payment]]:
    """Returns the marked payments that still charge for a time after the portal's end, by subscription."""
    ended = {each.pk: each.ended_on for each in subscriptions if each.ended_by == EndedBy.PORTAL and each.ended_on}
    marked = Payment.objects.filter(subscription__in=subscriptions, is_to_check=True).order_by("pk")
    payments = list(marked.select_for_update())
    left, charges = returnable(payments), defaultdict[int, list[Payment]](list)
    for payment in payments:
        ended_on = ended.get(payment.subscription_id)
        if ended_on is not None and payment.period_end > ended_on and left[payment.pk] > 0:
            charges[payment.subscription_id].append(payment)
    return dict(charges)


def _causes(
    subscriptions: list[Subscription], requests: Mapping[tuple[int, date], CancellationRequest], now: datetime
) -> dict[int, Cause]:
    states = Termination.objects.filter(state=TerminationState.EFFECTIVE).select_related("policy_version")
    of_accounts = states.filter(account__in={each.account_id for each in subscriptions})
    terminations = {(row.account_id, row.effective_on): row for row in of_accounts}
    causes = {}
    for each in subscriptions:
        assert each.ended_on is not None
        account, request = each.account, requests.get((each.pk, each.ended_on))
        termination = terminations.get((each.account_id, each.ended_on))
        if request is not None:
            policy = request.policy_version
            causes[each.pk] = Cause(request.declaration, request.email_given, request.language, policy, request)
        elif termination is not None:
            policy = termination.policy_version
            causes[each.pk] = Cause(termination.reference, account.email, account.language, policy)
        else:
            causes[each.pk] = Cause("", account.email, account.language, policy_in_force(now))
    return causes


def _case(subscription: Subscription, charges: list[Payment], cause: Cause) -> dict[str, Any]:
    assert subscription.ended_on is not None
    return {
        "subscription": subscription,
        "ended_on": subscription.ended_on,
        "about": cause.about,
        "notify": cause.notify,
        "language": cause.language,
        "computed_basis": basis_after_end((each.period_start for each in charges), subscription.ended_on),
        **review_terms(cause.policy),
    }


def _attach(refunds: list[Refund], causes: Mapping[int, Cause]) -> None:
    """Makes each new review the one of the request that ended the subscription."""
    changed = []
    for refund in refunds:
        request = causes[refund.subscription_id].request
        if request is not None and request.refund_id != refund.pk and refund.about == request.declaration:
            request.refund = refund
            changed.append(request)
    CancellationRequest.objects.bulk_update(changed, ["refund"])


CHARGES = Work(
    name="payments.charged_after_end",
    task="cancellations.enforce",
    label="review payments for a time after the end",
    due=payments_to_check,
    process=review_charged,
    batch=BATCH,
    order=("pk",),
    locks=False,  # the subscription is locked before its payments
)

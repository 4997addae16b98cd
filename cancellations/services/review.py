"""Support's verbs: schedule, decline, waive late notice, change the kind, reopen, try again."""

from datetime import date, datetime

from django.db import transaction

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.models import Subscription
from billing.queries import quote, quoted_total
from billing.rules.periods import local_date, start_of_day
from cancellations.letters.requests import send_letter
from cancellations.letters.webhooks import emit_request_event
from cancellations.models import CancellationRequest, DeclineGround, Kind
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.outcomes import contract_of, is_sent_in_time
from cancellations.queries.requests import has_ended
from cancellations.rules.end_date import Terms, assess_by_policy
from cancellations.rules.explanation import step
from cancellations.services.common import RequestRefused, StatedEnd, locked, match, move, only_choice, refusing, unmatch
from cancellations.services.receipts import issue_receipt
from cancellations.services.refunds import move_refund, queue_requested_refund
from messaging.models import EventType
from messaging.waking import wake
from messaging.wording import day_words


@permitted("cancellations.schedule_request")
@transaction.atomic
def schedule(
    *,
    request: CancellationRequest,
    by: User,
    now: datetime,
    subscription: Subscription | None = None,
    words: str = "",
    stated_end: StatedEnd | None = None,
) -> CancellationRequest:
    """Accepts the request, which then takes effect on its effective date.

    Scheduling a for-cause request accepts its ground: it takes effect at once. A request that is not matched needs
    `subscription`, and one whose requested end could not be read needs `stated_end`. Raises RequestRefused,
    IllegalTransition.
    """
    request = locked(request, "schedule", RequestState.IN_REVIEW)
    if request.end_is_open and stated_end is None:
        raise RequestRefused("Say when it should end: the date in the mail could not be read for certain.")
    if stated_end is not None:
        request.end_stated_at, request.end_stated_on = now, stated_end.day
    if request.subscription is not None:
        subscription = request.subscription
        if stated_end is not None:
            match(request, subscription)
    elif subscription is None:
        raise RequestRefused("Choose the subscription that the customer means.")
    else:
        subscription = Subscription.objects.select_related("account").get(pk=subscription.pk)
        match(request, subscription)
    request.decided_by, request.decision_words, request.enforcement_error = by, words.strip(), ""
    if request.kind == Kind.FOR_CAUSE:
        request.ground_accepted = True
        match(request, subscription)
    _refuse_ended(request, subscription, now)
    move(request, RequestState.SCHEDULED, now)
    with recorded("schedule", actor="staff", by=by.pk, why=words):
        queue_requested_refund(request, now)
        _save_unless_another_is_open(request)
        send_letter("scheduled", request, now=now)
        emit_request_event(EventType.REQUEST_SCHEDULED, request, now)
    wake("cancellations.enforce")
    return request


@permitted("cancellations.decline_request")
@transaction.atomic
def decline(
    *, request: CancellationRequest, by: User, ground: str, now: datetime, words: str = ""
) -> CancellationRequest:
    """Declines the request on a ground that the customer is sent. Raises RequestRefused, IllegalTransition."""
    if ground not in DeclineGround.values:
        raise RequestRefused("Choose a ground from the list.")
    request = locked(request, "decline", RequestState.UNVERIFIED, RequestState.IN_REVIEW)
    request.decided_by, request.decline_ground, request.decision_words = by, ground, words.strip()
    move(request, RequestState.DECLINED, now)
    with recorded("decline", actor="staff", by=by.pk, why=str(DeclineGround(ground).label)):
        request.save()
        send_letter("declined", request, now=now)
    return request


@permitted("cancellations.waive_notice")
@transaction.atomic
def waive_notice(*, request: CancellationRequest, by: User, ground: str, now: datetime) -> CancellationRequest:
    """Waives late notice: the subscription ends as if the policy required no notice.

    Raises RequestRefused if the request is not late or no ground is given, IllegalTransition.
    """
    if not ground.strip():
        raise RequestRefused("State the ground for waiving the notice. It is stored with the request.")
    request = locked(request, "waive", RequestState.IN_REVIEW, RequestState.SCHEDULED)
    subscription = request.subscription
    if subscription is None or request.on_time is not False:
        raise RequestRefused("This request is not late, so there is no notice to waive.")
    if request.notice_waived_by_id is not None:
        raise RequestRefused("The notice of this request is already waived.")
    request.effective_on = _end_without_notice(request, subscription)
    request.effective_at = start_of_day(request.effective_on, request.time_zone)
    request.refund_quoted = quoted_total(quote(subscription, ended_on=request.effective_on))
    request.notice_waived_by, request.notice_waived_ground = by, ground.strip()
    request.explanation = [
        *request.explanation,
        step("waived", effective_on=request.effective_on).frozen(),
    ]
    with recorded("waive", actor="staff", by=by.pk, why=ground):
        move_refund(request, now)
        request.save()
        send_letter("notice_waived", request, now=now)
        _emit_new_end(request, now)
    wake("cancellations.enforce")
    return request


@permitted("cancellations.change_kind")
@transaction.atomic
def change_kind(
    *, request: CancellationRequest, by: User, kind: str, ground: str, now: datetime
) -> CancellationRequest:
    """Changes the kind of the request. The end date is recalculated from the same time of receipt.

    In review, any kind may be chosen. A scheduled request may only move to an earlier end, because the customer
    already knows the date. Raises RequestRefused, IllegalTransition.
    """
    if kind not in Kind.values:
        raise RequestRefused("Choose the kind of the cancellation.")
    if not ground.strip():
        raise RequestRefused("State the ground for changing the kind. The customer reads it.")
    request = locked(request, "change the kind of", RequestState.IN_REVIEW, RequestState.SCHEDULED)
    if kind == request.kind:
        raise RequestRefused(f"This request already counts as {request.get_kind_display()}.")
    if request.state == RequestState.SCHEDULED and kind == Kind.ORDINARY:
        raise RequestRefused(
            "This request is scheduled and the customer knows the end date. It cannot become an ordinary cancellation."
        )
    request.kind, request.kind_ground = kind, ground.strip()
    request.sending_counts = kind == Kind.COOLING_OFF and is_sent_in_time(request)
    request.ground_accepted = kind == Kind.FOR_CAUSE and request.state == RequestState.SCHEDULED
    request.decided_by = by if request.state == RequestState.SCHEDULED else None
    request.notice_waived_by, request.notice_waived_ground = None, ""
    if request.subscription is not None:
        match(request, request.subscription)
    if request.kind != kind:
        raise RequestRefused("The cooling-off days were over when this request was received.")
    with recorded("change_kind", actor="staff", by=by.pk, why=ground):
        move_refund(request, now)
        request.save()
        send_letter("kind_changed", request, now=now)
        _emit_new_end(request, now)
    wake("cancellations.enforce")
    return request


@permitted("cancellations.schedule_request")
@transaction.atomic
def reopen(*, request: CancellationRequest, by: User, ground: str, now: datetime) -> CancellationRequest:
    """Reopens a settled request. The end date is recalculated from the same time of receipt.

    If the address was never proven, reopening counts as proof: the declaration gets its receipt, and the ground must
    say how it was proven. Raises RequestRefused, IllegalTransition.
    """
    if not ground.strip():
        raise RequestRefused("State the ground for reopening. It is stored with the request.")
    request = locked(request, "reopen", RequestState.EXPIRED, RequestState.DECLINED, RequestState.SUPERSEDED)
    is_proof = request.verified_at is None
    request.verified_at, request.joined_to = request.verified_at or now, None
    request.decline_ground = request.decision_words = ""
    request.decided_by = request.notice_waived_by = None
    request.notice_waived_ground, request.ground_accepted = "", False
    subscription = request.subscription or only_choice(request, now)
    if subscription is not None and not has_ended(subscription, on=local_date(now, subscription.account.time_zone)):
        match(request, subscription)
    else:
        unmatch(request)
    move(request, RequestState.IN_REVIEW, now)
    with recorded("reopen", actor="staff", by=by.pk, why=ground):
        _save_unless_another_is_open(request)
        send_letter("reopened", request, now=now)
        if is_proof:
            issue_receipt(request, [request], now)
            send_letter("received", request, now=now, parts=[request])
            emit_request_event(EventType.REQUEST_RECEIVED, request, now)
    wake("cancellations.enforce")
    return request


@permitted("cancellations.schedule_request")
@transaction.atomic
def try_again(*, request: CancellationRequest, by: User, now: datetime) -> CancellationRequest:
    """Returns a request that was set aside to the worker, once the cause is fixed. Raises RequestRefused."""
    request = locked(request, "try again", *OPEN)
    if not request.enforcement_error:
        raise RequestRefused("The worker has not set this request aside.")
    request.enforcement_error = ""
    with recorded("try_again", actor="staff", by=by.pk):
        request.save(update_fields=["enforcement_error"])
    wake("cancellations.enforce")
    return request


def _refuse_ended(request: CancellationRequest, subscription: Subscription, now: datetime) -> None:
    """Raises RequestRefused if the subscription has ended before the end that the customer would be sent."""
    ended_on, today = subscription.ended_on, local_date(now, subscription.account.time_zone)
    if ended_on is None or request.effective_on is None or not has_ended(subscription, on=today):
        return
    if ended_on < request.effective_on:
        raise RequestRefused(
            f"{subscription} ended on {day_words(ended_on)}, before this request would end it. Decline the request as "
            "already ended, or choose another subscription."
        )


def _emit_new_end(request: CancellationRequest, now: datetime) -> None:
    if request.state == RequestState.SCHEDULED:
        emit_request_event(EventType.REQUEST_SCHEDULED, request, now)


def _end_without_notice(request: CancellationRequest, subscription: Subscription) -> date:
    received_on = local_date(request.counted_receipt.received_at, request.time_zone)
    assessment = assess_by_policy(
        contract_of(subscription), Terms(notice_days=0), received_on=received_on, requested_end=request.counted_end
    )
    if request.effective_on is not None and assessment.effective_on >= request.effective_on:
        raise RequestRefused(
            "Waiving the notice would change nothing: the customer requested this end date or a later one, or the law "
            "gives it."
        )
    return assessment.effective_on


def _save_unless_another_is_open(request: CancellationRequest) -> None:
    sentence = "Another request for this subscription is open. Decide that one, or decline this one as a duplicate."
    with refusing("one_open_request_a_subscription", sentence):
        request.save()

"""Word to staff: a digest each day, and at once when something is overdue. By the settings; into the outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q
from django.urls import reverse

from accounts.audit import head
from accounts.models import User
from billing.models import Refund
from billing.models.states import UNDECIDED, RefundState
from billing.rules.periods import local_date
from cancellations.models import CancellationRequest, Conversation, Reminder
from cancellations.models.states import OPEN, ConversationState, RequestState
from cancellations.queries.requests import overdue_requests
from messaging.models import NOT_ARRIVED, Mailbox, OutgoingMessage
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.services.webhooks import disable, failing_endpoints, record_warning
from messaging.wording import day_words, instant_words, use_language

REQUESTS, REFUNDS = "schedule_request", "approve_refund"
MOST = 50
WARNED_AFTER, DISABLED_AFTER = timedelta(days=1), timedelta(days=5)
Item = tuple[str, str, str]  # what it is and since when, what is to be done, its address


def remind(*, now: datetime) -> int:
    """Writes what is due of digests and of overdue items; returns how many messages. Nothing is written twice."""
    with use_language(settings.LANGUAGE_CODE):
        return _digest(now) + _overdue(now) + _webhooks(now)


def _once(kind: str, about: Sequence[str], now: datetime) -> set[str]:
    """Which of these nobody was told of yet; from now on they count as told. One worker at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('cancellations.remind'))")
    known = Reminder.objects.filter(kind=kind, about__in=about).values_list("about", flat=True)
    new = set(about) - set(known)
    Reminder.objects.bulk_create(Reminder(kind=kind, about=each, sent_at=now) for each in sorted(new))
    return new


def _digest(now: datetime) -> int:
    local = now.astimezone(ZoneInfo(settings.COMPANY_TIME_ZONE))
    if not 0 <= settings.STAFF_DIGEST_HOUR <= local.hour:
        return 0
    with transaction.atomic():
        if not _once("digest", [local.date().isoformat()], now):
            return 0
        people = _readers(settings.STAFF_DIGEST_TO, REQUESTS, REFUNDS)
        figures = _figures(now)
        for email, person in people.items():
            mine = CancellationRequest.objects.filter(assigned_to=person, state__in=OPEN) if person else None
            told: dict[str, Value] = {**figures, "mine": str(mine.count()) if mine is not None else ""}
            queue_message(kind="staff_digest", recipient=email, context=told, now=now)
    return len(people)


def _figures(now: datetime) -> dict[str, Value]:
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    day = now - timedelta(days=1)
    requests = CancellationRequest.objects.filter(state__in=OPEN).aggregate(
        review=Count("pk", filter=Q(state=RequestState.IN_REVIEW)),
        proof=Count("pk", filter=Q(state=RequestState.UNVERIFIED)),
        soon=Count("pk", filter=Q(state=RequestState.IN_REVIEW, due_at__lt=now + timedelta(days=3))),
    )
    refunds = Refund.objects.filter(due_on__isnull=False).aggregate(
        decide=Count("pk", filter=Q(state__in=UNDECIDED)),
        pay=Count("pk", filter=~Q(state__in=UNDECIDED)),
        today=Count("pk", filter=Q(due_on__lte=today)),
    )
    told: dict[str, Value] = {f"requests_{name}": str(count) for name, count in requests.items()}
    told |= {f"refunds_{name}": str(count) for name, count in refunds.items()}
    told["received"] = str(CancellationRequest.objects.filter(received_at__gt=day, received_at__lte=now).count())
    told["overdue"] = [f"{what}: {todo}" for what, todo, _ in _overdue_items(now)]
    told["given_up"] = str(OutgoingMessage.objects.filter(NOT_ARRIVED).count())
    told["mail"] = str(Conversation.objects.filter(state=ConversationState.OPEN).count())
    told["unread"] = [str(one) for one in Mailbox.objects.filter(failing_since__isnull=False)]
    told["day"] = day_words(today)
    told["audit"] = head()
    told["desk_url"] = settings.SITE_URL + reverse("admin:index")
    return told


def _overdue(now: datetime) -> int:
    if not settings.STAFF_OVERDUE:
        return 0
    with transaction.atomic():
        items = _overdue_items(now)
        new = _once("overdue", [what for what, _, _ in items], now) if items else set()
        told = [item for item in items if item[0] in new]
        if not told:
            return 0
        people = _readers(settings.STAFF_OVERDUE_TO, REQUESTS, REFUNDS)
        context: dict[str, Value] = {
            "items": [{"what": what, "todo": todo, "page_url": settings.SITE_URL + url} for what, todo, url in told],
            "count": str(len(told)),
            "one": len(told) == 1,
        }
        for email in people:
            queue_message(kind="staff_overdue", recipient=email, context=context, now=now)
    return len(people)


def _overdue_items(now: datetime) -> list[Item]:
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    found: list[Item] = []
    for request in overdue_requests(now, CancellationRequest.objects.all()).order_by("received_at", "pk")[:MOST]:
        url = reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])
        todo = "mend what the worker stumbled over" if request.enforcement_error else "match it or look at its ground"
        since = local_date(request.received_at, settings.COMPANY_TIME_ZONE)
        found.append((f"{request.reference}, received on {day_words(since)}", todo, url))
    waiting = Conversation.objects.filter(state=ConversationState.OPEN, waiting_since__lt=now - timedelta(days=1))
    for one in waiting.order_by("waiting_since", "pk")[:MOST]:
        url = reverse("admin:cancellations_conversation_change", args=[one.pk])
        since = local_date(one.waiting_since or now, settings.COMPANY_TIME_ZONE)
        found.append((f"{one.reference}, since {day_words(since)}", str(one.get_todo_display()), url))
    for refund in Refund.objects.filter(due_on__lt=today).order_by("due_on", "pk")[:MOST]:
        todo = "decide it" if refund.state in UNDECIDED else "see that it is paid"
        url = reverse("admin:billing_refund_change", args=[refund.pk])
        found.append((f"{refund.reference}, due on {day_words(refund.due_on)}", todo, url))
    for refund in Refund.objects.filter(state=RefundState.FAILED, due_on__gte=today).order_by("pk")[:MOST]:
        url = reverse("admin:billing_refund_change", args=[refund.pk])
        failed = local_date(refund.state_changed_at, settings.COMPANY_TIME_ZONE)
        found.append((f"{refund.reference}, failed on {day_words(failed)}", "send it again", url))
    return found


def _webhooks(now: datetime) -> int:
    """Warns of an endpoint that has not answered for a day, and disables one that has not for five."""
    return sum(_webhook(key, now) for key in list(failing_endpoints().values_list("pk", flat=True)))


def _webhook(key: UUID, now: datetime) -> int:
    with transaction.atomic():
        endpoint = failing_endpoints().select_for_update().filter(pk=key).first()
        since = endpoint.failing_since if endpoint else None
        if endpoint is None or since is None:
            return 0
        disabled = now >= since + DISABLED_AFTER
        if disabled:
            disable(endpoint=endpoint, why=f"It took no webhook for {DISABLED_AFTER.days} days.")
        elif endpoint.warned_at is not None or now < since + WARNED_AFTER:
            return 0
        else:
            record_warning(endpoint=endpoint, now=now)
        last = endpoint.deliveries.exclude(last_error="").order_by("-last_tried_at").first()
        context: dict[str, Value] = {
            "name": endpoint.name,
            "address": endpoint.url,
            "disabled": disabled,
            "disabled_on": day_words(local_date(since + DISABLED_AFTER, settings.COMPANY_TIME_ZONE)),
            "since": instant_words(since, settings.COMPANY_TIME_ZONE),
            "why": f"It took no webhook for {DISABLED_AFTER.days} days.",
            "error": last.last_error if last else "",
            "page_url": settings.SITE_URL + reverse("admin:messaging_webhookendpoint_change", args=[endpoint.pk]),
        }
        people = _readers([], "change_webhookendpoint")
        for email in people:
            queue_message(kind="staff_webhook", recipient=email, context=context, now=now)
    return len(people)


def _readers(named: Sequence[str], *permissions: str) -> dict[str, User | None]:
    """Who reads it: the addresses of the settings, else the active staff who may act."""
    if named:
        known = {one.email: one for one in User.objects.filter(email__in=[each.lower() for each in named])}
        return {each: known.get(each.lower()) for each in named}
    may = Q(groups__permissions__codename__in=permissions)
    people = User.objects.filter(may, is_staff=True, is_active=True).distinct().order_by("email")
    return {one.email: one for one in people}

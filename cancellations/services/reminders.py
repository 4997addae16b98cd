"""Notifications to staff by mail: a daily digest, escalations of overdue cases, and warnings about webhooks."""

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
from accounts.queries import staff_with
from billing.models import Refund
from billing.models.states import UNDECIDED
from billing.rules.periods import local_date
from cancellations.figures.overdue import overdue_items
from cancellations.models import CancellationRequest, Conversation, Reminder
from cancellations.models.states import OPEN, ConversationState, RequestState
from messaging.due import Run, Work
from messaging.models import NOT_ARRIVED, Mailbox, OutgoingMessage, WebhookEndpoint
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.services.webhooks import disable, failing_endpoints, record_warning
from messaging.wording import day_words, instant_words, use_language

REQUESTS, REFUNDS = "schedule_request", "approve_refund"
MAX_ITEMS = 50
WARN_AFTER, DISABLE_AFTER = timedelta(days=1), timedelta(days=5)


def notify_staff(*, now: datetime) -> int:
    """Queues the notifications that are due, each once, and returns how many messages."""
    with use_language(settings.LANGUAGE_CODE):
        warnings = sum(ENDPOINTS.results(Run(now)))
        return warnings + _send_digests(now) + _send_escalations(now) + _send_charged(now)


def _claim_new(kind: str, about: Sequence[str], now: datetime) -> set[str]:
    """Records the items as sent and returns those that were not sent before. Locks out other workers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('cancellations.remind'))")
    sent_before = Reminder.objects.filter(kind=kind, about__in=about).values_list("about", flat=True)
    new = set(about) - set(sent_before)
    Reminder.objects.bulk_create(Reminder(kind=kind, about=item, sent_at=now) for item in sorted(new))
    return new


def _send_digests(now: datetime) -> int:
    local = now.astimezone(ZoneInfo(settings.COMPANY_TIME_ZONE))
    if not 0 <= settings.STAFF_DIGEST_HOUR <= local.hour:
        return 0
    with transaction.atomic():
        if not _claim_new("digest", [local.date().isoformat()], now):
            return 0
        people = _recipients(settings.STAFF_DIGEST_TO, REQUESTS, REFUNDS)
        figures = _figures(now)
        for email, person in people.items():
            own_requests = CancellationRequest.objects.filter(assigned_to=person, state__in=OPEN) if person else None
            context: dict[str, Value] = {
                **figures,
                "mine": str(own_requests.count()) if own_requests is not None else "",
            }
            queue_message(kind="staff_digest", recipient=email, context=context, now=now)
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
        charged=Count("pk", filter=Q(state__in=UNDECIDED, charged_after_end=True)),
    )
    figures: dict[str, Value] = {f"requests_{name}": str(count) for name, count in requests.items()}
    figures |= {f"refunds_{name}": str(count) for name, count in refunds.items()}
    figures["received"] = str(CancellationRequest.objects.filter(received_at__gt=day, received_at__lte=now).count())
    figures["overdue"] = [
        f"{item.reference}, {item.since}: {item.todo}" for item in overdue_items(now, limit=MAX_ITEMS)
    ]
    figures["given_up"] = str(OutgoingMessage.objects.filter(NOT_ARRIVED).count())
    figures["mail"] = str(Conversation.objects.filter(state=ConversationState.OPEN).count())
    figures["unread"] = [str(mailbox) for mailbox in Mailbox.objects.filter(failing_since__isnull=False)]
    figures["day"] = day_words(today)
    figures["audit"] = head()
    figures["desk_url"] = settings.SITE_URL + reverse("admin:index")
    return figures


def _send_escalations(now: datetime) -> int:
    if not settings.STAFF_OVERDUE:
        return 0
    with transaction.atomic():
        items = {f"{item.reference}, {item.since}": item for item in overdue_items(now, limit=MAX_ITEMS)}
        new_keys = _claim_new("overdue", list(items), now) if items else set()
        new_items = {what: item for what, item in items.items() if what in new_keys}
        if not new_items:
            return 0
        people = _recipients(settings.STAFF_OVERDUE_TO, REQUESTS, REFUNDS)
        context: dict[str, Value] = {
            "items": [
                {"what": what, "todo": item.todo, "page_url": settings.SITE_URL + item.path}
                for what, item in new_items.items()
            ],
            "count": str(len(new_items)),
            "is_single": len(new_items) == 1,
        }
        for email in people:
            queue_message(kind="staff_overdue", recipient=email, context=context, now=now)
    return len(people)


def _send_charged(now: datetime) -> int:
    """Queues a message about customers who were charged after the end, each once."""
    with transaction.atomic():
        opened = Refund.objects.filter(charged_after_end=True, state__in=UNDECIDED)
        refunds = {refund.reference: refund for refund in opened.select_related("account").order_by("due_on", "pk")}
        new = _claim_new("charged", list(refunds), now) if refunds else set()
        if not new:
            return 0
        items = [
            {
                "what": f"{refund.about or reference}, {refund.account.account_number}",
                "due": day_words(refund.decision_due_on),
                "page_url": settings.SITE_URL + reverse("admin:billing_refund_change", args=[refund.pk]),
            }
            for reference, refund in refunds.items()
            if reference in new
        ]
        context: dict[str, Value] = {
            "items": items[:MAX_ITEMS],
            "count": str(len(items)),
            "is_single": len(items) == 1,
            "more": str(len(items) - MAX_ITEMS) if len(items) > MAX_ITEMS else "",
            "page_url": settings.SITE_URL + reverse("admin:billing_refund_changelist") + "?charged=yes",
        }
        people = _recipients(settings.STAFF_OVERDUE_TO, REFUNDS)
        for email in people:
            queue_message(kind="staff_charged", recipient=email, context=context, now=now)
    return len(people)


def _warn_about_endpoints(keys: list[UUID], now: datetime) -> list[int]:
    return [_warn_about_endpoint(endpoint, now) for endpoint in failing_endpoints().filter(pk__in=keys)]


def _warn_about_endpoint(endpoint: WebhookEndpoint, now: datetime) -> int:
    """Warns about an endpoint that has failed for a day, and disables it after five. Returns how many messages."""
    since = endpoint.failing_since
    assert since is not None
    disabled = now >= since + DISABLE_AFTER
    if disabled:
        disable(endpoint=endpoint, why=f"It has accepted no webhook for {DISABLE_AFTER.days} days.")
    elif endpoint.warned_at is not None or now < since + WARN_AFTER:
        return 0
    else:
        record_warning(endpoint=endpoint, now=now)
    last = endpoint.deliveries.exclude(last_error="").order_by("-last_tried_at").first()
    context: dict[str, Value] = {
        "name": endpoint.name,
        "address": endpoint.url,
        "disabled": disabled,
        "disabled_on": day_words(local_date(since + DISABLE_AFTER, settings.COMPANY_TIME_ZONE)),
        "since": instant_words(since, settings.COMPANY_TIME_ZONE),
        "why": f"It has accepted no webhook for {DISABLE_AFTER.days} days.",
        "error": last.last_error if last else "",
        "page_url": settings.SITE_URL + reverse("admin:messaging_webhookendpoint_change", args=[endpoint.pk]),
    }
    people = _recipients([], "change_webhookendpoint")
    for email in people:
        queue_message(kind="staff_webhook", recipient=email, context=context, now=now)
    return len(people)


def _recipients(addresses: Sequence[str], *permissions: str) -> dict[str, User | None]:
    """Returns users by address: the addresses of the settings, else active staff with one of the permissions."""
    if addresses:
        users = {user.email: user for user in User.objects.filter(email__in=[address.lower() for address in addresses])}
        return {address: users.get(address.lower()) for address in addresses}
    return {user.email: user for user in staff_with(*permissions)}


ENDPOINTS = Work(
    name="webhooks.warn",
    task="cancellations.remind",
    label="warn about a failing webhook endpoint",
    due=lambda now: failing_endpoints().order_by("pk"),
    process=_warn_about_endpoints,
    batch=1,
    order=("pk",),
)

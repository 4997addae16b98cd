"""What is overdue: one list for the first page, the daily digest and the escalations."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.urls import reverse

from billing.models import Refund
from billing.models.states import UNDECIDED, RefundState
from billing.queries import overdue_refunds
from billing.rules.periods import local_date
from cancellations.models import CancellationRequest, Conversation
from cancellations.queries.requests import overdue_conversations, overdue_requests
from messaging.models import SetAside
from messaging.wording import day_words, use_language


@dataclass(frozen=True)
class OverdueItem:
    """An overdue row: since when, what staff have to do, and the path of its page."""

    reference: str
    since: str
    todo: str
    path: str


def overdue_items(now: datetime, *, limit: int) -> list[OverdueItem]:
    """Returns overdue requests, conversations and refunds, refunds that failed and rows set aside: `limit` of each.

    In the language of the desk.
    """
    with use_language(settings.LANGUAGE_CODE):
        return [
            *_requests(now, limit),
            *_conversations(now, limit),
            *_refunds(now, limit),
            *_failed(now, limit),
            *_set_aside(limit),
        ]


def _requests(now: datetime, limit: int) -> Iterator[OverdueItem]:
    for request in overdue_requests(now, CancellationRequest.objects.all()).order_by("received_at", "pk")[:limit]:
        todo = "fix the error that stopped the worker" if request.enforcement_error else "match it or review its ground"
        path = reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])
        yield OverdueItem(request.reference, f"received on {_company_day(request.received_at)}", todo, path)


def _conversations(now: datetime, limit: int) -> Iterator[OverdueItem]:
    for row in overdue_conversations(now, Conversation.objects.all()).order_by("waiting_since", "pk")[:limit]:
        path = reverse("admin:cancellations_conversation_change", args=[row.pk])
        since = f"since {_company_day(row.waiting_since or now)}"
        yield OverdueItem(row.reference, since, str(row.get_todo_display()), path)


def _refunds(now: datetime, limit: int) -> Iterator[OverdueItem]:
    for refund in overdue_refunds(now, Refund.objects.all()).order_by("due_on", "pk")[:limit]:
        todo = "decide it" if refund.state in UNDECIDED else "make sure that it is paid"
        yield OverdueItem(refund.reference, f"due on {day_words(refund.due_on)}", todo, _refund_page(refund))


def _failed(now: datetime, limit: int) -> Iterator[OverdueItem]:
    failed = Refund.objects.filter(state=RefundState.FAILED)
    for refund in failed.exclude(pk__in=overdue_refunds(now, failed)).order_by("pk")[:limit]:
        since = f"failed on {_company_day(refund.state_changed_at)}"
        yield OverdueItem(refund.reference, since, "send it again", _refund_page(refund))


def _set_aside(limit: int) -> Iterator[OverdueItem]:
    for row in SetAside.objects.order_by("at", "pk")[:limit]:
        path = reverse("admin:messaging_setaside_change", args=[row.pk])
        todo = f"look at the error of {row}, then try it again"
        yield OverdueItem(f"Row {row.pk}", f"set aside on {_company_day(row.at)}", todo, path)


def _refund_page(refund: Refund) -> str:
    return reverse("admin:billing_refund_change", args=[refund.pk])


def _company_day(moment: datetime) -> str:
    return day_words(local_date(moment, settings.COMPANY_TIME_ZONE))

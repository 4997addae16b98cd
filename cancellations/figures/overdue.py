"""Overdue requests and refunds, for the dashboard."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from billing.models import Refund
from billing.rules.periods import local_date
from cancellations.models import CancellationRequest
from cancellations.queries.requests import overdue_requests

LISTED = 10


def overdue(now: datetime) -> list[tuple[str, str, str]]:
    """Returns (reference, description, URL) of each overdue refund and request, the oldest of each first."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    items = []
    for refund in Refund.objects.filter(due_on__lt=today).select_related("account").order_by("due_on")[:LISTED]:
        what = "to decide" if refund.payment_due_on is None else "to pay"
        url = reverse("admin:billing_refund_change", args=[refund.pk])
        items.append((refund.reference, f"refund {what} since {refund.due_on:%d %b %Y}, {refund.account.name}", url))
    rows = overdue_requests(now, CancellationRequest.objects.select_related("account"))
    for request in rows.order_by("received_at")[:LISTED]:
        what = (
            "set aside by the worker" if request.enforcement_error else f"waiting since {request.received_at:%d %b %Y}"
        )
        items.append((request.reference, what, _page(request)))
    return items


def _page(request: CancellationRequest) -> str:
    return reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])

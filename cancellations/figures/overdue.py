"""What is overdue, most pressing first."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from billing.models import Refund
from billing.rules.periods import local_date
from cancellations.models import CancellationRequest
from cancellations.queries.requests import overdue_requests

LISTED = 10


def overdue(now: datetime) -> list[tuple[str, str, str]]:
    """What is overdue, most pressing first: reference, what, address."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    found = []
    for refund in Refund.objects.filter(due_on__lt=today).select_related("account").order_by("due_on")[:LISTED]:
        what = "to decide" if refund.payment_due_on is None else "to pay"
        url = reverse("admin:billing_refund_change", args=[refund.pk])
        found.append((refund.reference, f"refund {what} since {refund.due_on:%d %b %Y}, {refund.account.name}", url))
    rows = overdue_requests(now, CancellationRequest.objects.select_related("account"))
    for request in rows.order_by("received_at")[:LISTED]:
        what = "set aside by the worker" if request.enforcement_error else f"waits since {request.received_at:%d %b %Y}"
        found.append((request.reference, what, _page(request)))
    return found


def _page(request: CancellationRequest) -> str:
    return reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])

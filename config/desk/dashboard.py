"""The first page of the staff interface: figures with links to their rows, as charts, tables and CSV."""

import json
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from accounts.audit import record_action
from accounts.desk.exports import exported
from accounts.models import User
from cancellations.figures.overdue import overdue_items
from cancellations.figures.refunds import refunds_figures
from cancellations.figures.requests import requests_figures
from cancellations.figures.spans import Group, span_of

LISTED = 10  # overdue rows of each kind
COLUMNS = (
    ("Group", lambda row: row[0]),
    ("Figure", lambda row: row[1].name),
    ("Value", lambda row: row[1].value),
    ("More", lambda row: row[1].more),
)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds the figures that the user may see to the context."""
    now = timezone.now()
    span, problem = span_of(request.GET, now)
    may_see_requests, may_see_refunds = _may_see(request)
    groups = [
        *(requests_figures(span, now) if may_see_requests else []),
        *(refunds_figures(span) if may_see_refunds else []),
    ]
    context |= {
        "title": "Dashboard",
        "span": span,
        "span_problem": problem,
        "groups": [(group, _chart(group)) for group in groups],
        "overdue": overdue_items(now, limit=LISTED) if may_see_requests and may_see_refunds else [],
        "may_see": may_see_requests or may_see_refunds,
        "csv_query": request.GET.urlencode(),
    }
    return context


def as_csv(request: HttpRequest) -> HttpResponseBase:
    """The same figures as CSV. Recorded in the audit log like every export."""
    now = timezone.now()
    span, _ = span_of(request.GET, now)
    may_see_requests, may_see_refunds = _may_see(request)
    if not (may_see_requests or may_see_refunds):
        raise PermissionDenied
    assert isinstance(request.user, User)
    record_action(verb="export", by=request.user, now=now, about="dashboard", why=f"csv, {span.first} to {span.last}")
    groups = [
        *(requests_figures(span, now) if may_see_requests else []),
        *(refunds_figures(span) if may_see_refunds else []),
    ]
    rows = [(group.title, figure) for group in groups for figure in group.figures]
    return exported("csv", name=f"dashboard-{span.first}-{span.last}", columns=COLUMNS, rows=rows)


def _may_see(request: HttpRequest) -> tuple[bool, bool]:
    user: Any = request.user
    return user.has_perm("cancellations.view_cancellationrequest"), user.has_perm("billing.view_refund")


def _chart(group: Group) -> str:
    """The data of the group's chart as JSON for Chart.js; empty if the group is only shown as a table."""
    if not group.chart or not any(figure.count for figure in group.figures):
        return ""
    bars = {"data": [figure.count for figure in group.figures], "label": group.title}
    bars["backgroundColor"] = "var(--color-primary-500)"
    return json.dumps({"labels": [figure.name for figure in group.figures], "datasets": [bars]})

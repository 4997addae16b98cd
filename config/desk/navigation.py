"""The sidebar of the staff interface: the queues come first, each with the number of its rows."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from billing.models import Refund
from billing.models.states import RefundState
from cancellations.models import CancellationRequest, Conversation, Termination
from cancellations.models.states import OPEN, ConversationState, RequestState, TerminationState
from cancellations.queries.requests import overdue_requests
from messaging.models import SetAside

REQUESTS = "cancellations.cancellationrequest"
SEE = "cancellations.view_cancellationrequest"
REFUNDS = "billing.refund"
MAIL = "cancellations.conversation"
# Filtered lists that have their own item
VIEWS = ("state__exact=open", "assigned=me", "due=overdue", "due=decide", "due=pay")
MAX_COUNT = 1000  # the highest number that a badge shows


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    mine = _mine(request)
    queues = [
        _item(request, "Cancellation requests", "event_busy", REQUESTS, badge=_in_review),
        _item(request, "Assigned to me", "assignment_ind", REQUESTS, badge=mine, query="?assigned=me"),
        _item(request, "Overdue", "alarm", REQUESTS, badge=_overdue, query="?due=overdue"),
        _item(
            request,
            "Mail to answer",
            "forum",
            "cancellations.conversation",
            badge=_to_answer,
            query="?state__exact=open",
        ),
        _item(request, "Set aside", "report", "messaging.setaside", badge=_set_aside),
        _item(request, "Bulk jobs", "checklist", "cancellations.bulkjob", needs=SEE),
        _item(request, "Terminations", "person_off", "cancellations.termination", badge=_unconfirmed),
        _item(request, "Refunds to decide", "balance", REFUNDS, badge=_undecided, query="?due=decide"),
        _item(request, "Refunds to pay", "payments", REFUNDS, badge=_unpaid, query="?due=pay"),
        _item(request, "Bank transfers", "account_balance", "billing.transferbatch", needs="billing.view_refund"),
    ]
    records = [
        _item(request, "All refunds", "currency_exchange", REFUNDS),
        _item(request, "Accounts", "badge", "accounts.account"),
        _item(request, "Subscriptions", "autorenew", "billing.subscription"),
        _item(request, "Payments", "receipt_long", "billing.payment"),
        _item(request, "Incoming mail", "inbox", "messaging.incomingmessage"),
        _item(request, "Outgoing mail", "outbox", "messaging.outgoingmessage"),
        _item(request, "All conversations", "chat", MAIL),
        _item(request, "Saved replies", "quickreply", "messaging.cannedreply"),
        _item(request, "Policy versions", "gavel", "cancellations.policyversion"),
        _item(request, "Holds", "back_hand", "cancellations.hold"),
        _item(request, "Erasures", "ink_eraser", "cancellations.erasure"),
    ]
    records.append(_item(request, "Abandoned forms", "error_outline", "cancellations.begunform", needs=SEE))
    systems = [
        _item(request, "Webhook endpoints", "webhook", "messaging.webhookendpoint"),
        _item(request, "Webhook deliveries", "send", "messaging.webhookdelivery"),
        _item(request, "Mailboxes", "all_inbox", "messaging.mailbox"),
    ]
    audit = [_item(request, "Audit log", "policy", "accounts.auditentry")]
    people = [_item(request, "People", "group", "accounts.user"), _item(request, "Roles", "key", "auth.group")]
    home: dict[str, Any] = {"title": "Dashboard", "icon": "monitoring", "link": reverse("admin:index")}
    home["active"] = lambda http: http.path == reverse("admin:index")
    return [
        {"title": "", "items": [home]},
        {"title": "Queues", "items": queues},
        {"title": "Records", "separator": True, "items": records},
        {"title": "Other systems", "separator": True, "items": systems},
        {"title": "Audit", "separator": True, "items": audit},
        {"title": "Staff", "separator": True, "items": people},
    ]


def _item(
    request: HttpRequest, title: str, icon: str, model: str, badge: Any = None, query: str = "", needs: str = ""
) -> dict[str, Any]:
    app, name = model.split(".")
    item: dict[str, Any] = {
        "title": title,
        "icon": icon,
        "link": reverse(f"admin:{app}_{name}_changelist") + query,
        "active": lambda http: _is_shown(http, f"/{app}/{name}/", query),
        "permission": lambda http: http.user.has_perm(needs or f"{app}.view_{name}"),
    }
    if badge is not None and request.user.has_perm(f"{app}.view_{name}"):  # type: ignore[union-attr]
        item["badge"] = badge()
    return item


def _in_review() -> str:
    return _badge(CancellationRequest.objects.filter(state=RequestState.IN_REVIEW)[: MAX_COUNT + 1].count())


def _is_shown(http: HttpRequest, path: str, query: str) -> bool:
    """Whether the page shows this item's list; of several lists of a model, the one with these filters."""
    is_list = http.path.endswith(path)
    if query:
        return is_list and http.META.get("QUERY_STRING", "") == query.removeprefix("?")
    return path in http.path and not (is_list and http.META.get("QUERY_STRING", "") in VIEWS)


def _mine(request: HttpRequest) -> Any:
    mine = CancellationRequest.objects.filter(assigned_to=request.user.pk, state__in=OPEN)
    return lambda: _badge(mine[: MAX_COUNT + 1].count())


def _overdue() -> str:
    return _badge(overdue_requests(timezone.now(), CancellationRequest.objects.all())[: MAX_COUNT + 1].count())


def _to_answer() -> str:
    return _badge(Conversation.objects.filter(state=ConversationState.OPEN)[: MAX_COUNT + 1].count())


def _set_aside() -> str:
    return _badge(SetAside.objects.all()[: MAX_COUNT + 1].count())


def _undecided() -> str:
    states = (RefundState.REQUESTED, RefundState.PROPOSED)
    return _badge(Refund.objects.filter(state__in=states)[: MAX_COUNT + 1].count())


def _unpaid() -> str:
    states = (RefundState.APPROVED, RefundState.SENDING, RefundState.FAILED)
    return _badge(Refund.objects.filter(state__in=states)[: MAX_COUNT + 1].count())


def _unconfirmed() -> str:
    return _badge(Termination.objects.filter(state=TerminationState.PROPOSED)[: MAX_COUNT + 1].count())


def _badge(count: int) -> str:
    return f"{MAX_COUNT}+" if count > MAX_COUNT else str(count or "")

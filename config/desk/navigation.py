"""The staff interface's side bar: the queues first, with how much lies in them."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from billing.models import Refund
from billing.models.states import RefundState
from cancellations.models import CancellationRequest, Conversation, Termination
from cancellations.models.states import OPEN, ConversationState, RequestState, TerminationState
from cancellations.queries.requests import overdue_requests

REQUESTS = "cancellations.cancellationrequest"
SEE = "cancellations.view_cancellationrequest"
REFUNDS = "billing.refund"
MAIL = "cancellations.conversation"
VIEWS = ("state__exact=open", "assigned=me", "due=overdue", "due=decide", "due=pay")  # lists with a line of their own
MANY = 1000  # a badge counts no further


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
        _item(request, "Bulk work", "checklist", "cancellations.bulkjob", needs=SEE),
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
        _item(request, "Mail that came in", "inbox", "messaging.incomingmessage"),
        _item(request, "Mail that goes out", "outbox", "messaging.outgoingmessage"),
        _item(request, "All conversations", "chat", MAIL),
        _item(request, "Saved replies", "quickreply", "messaging.cannedreply"),
        _item(request, "Policy versions", "gavel", "cancellations.policyversion"),
        _item(request, "Holds", "back_hand", "cancellations.hold"),
        _item(request, "Erasures", "ink_eraser", "cancellations.erasure"),
    ]
    records.append(_item(request, "Abandoned forms", "error_outline", "cancellations.begunform", needs=SEE))
    systems = [
        _item(request, "Webhook endpoints", "webhook", "messaging.webhookendpoint"),
        _item(request, "What was sent to them", "send", "messaging.webhookdelivery"),
        _item(request, "Mailboxes", "all_inbox", "messaging.mailbox"),
    ]
    proof = [_item(request, "Audit", "policy", "accounts.auditentry")]
    people = [_item(request, "People", "group", "accounts.user"), _item(request, "Roles", "key", "auth.group")]
    home: dict[str, Any] = {"title": "Dashboard", "icon": "monitoring", "link": reverse("admin:index")}
    home["active"] = lambda http: http.path == reverse("admin:index")
    return [
        {"title": "", "items": [home]},
        {"title": "Queues", "items": queues},
        {"title": "Records", "separator": True, "items": records},
        {"title": "Other systems", "separator": True, "items": systems},
        {"title": "Proof", "separator": True, "items": proof},
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
    return _upto(CancellationRequest.objects.filter(state=RequestState.IN_REVIEW)[: MANY + 1].count())


def _is_shown(http: HttpRequest, path: str, query: str) -> bool:
    """Of several lists of one model, the one with these filters."""
    own = http.path.endswith(path)
    if query:
        return own and http.META.get("QUERY_STRING", "") == query.removeprefix("?")
    return path in http.path and not (own and http.META.get("QUERY_STRING", "") in VIEWS)


def _mine(request: HttpRequest) -> Any:
    mine = CancellationRequest.objects.filter(assigned_to=request.user.pk, state__in=OPEN)
    return lambda: _upto(mine[: MANY + 1].count())


def _overdue() -> str:
    return _upto(overdue_requests(timezone.now(), CancellationRequest.objects.all())[: MANY + 1].count())


def _to_answer() -> str:
    return _upto(Conversation.objects.filter(state=ConversationState.OPEN)[: MANY + 1].count())


def _undecided() -> str:
    waiting = (RefundState.REQUESTED, RefundState.PROPOSED)
    return _upto(Refund.objects.filter(state__in=waiting)[: MANY + 1].count())


def _unpaid() -> str:
    under_way = (RefundState.APPROVED, RefundState.SENDING, RefundState.FAILED)
    return _upto(Refund.objects.filter(state__in=under_way)[: MANY + 1].count())


def _unconfirmed() -> str:
    return _upto(Termination.objects.filter(state=TerminationState.PROPOSED)[: MANY + 1].count())


def _upto(count: int) -> str:
    return f"{MANY}+" if count > MANY else str(count or "")

"""The staff interface's side bar: the queues first, with how much lies in them."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from billing.models import Refund
from billing.states import RefundState
from cancellations.models import CancellationRequest, Termination
from cancellations.states import RequestState, TerminationState

MANY = 1000  # a badge counts no further


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    queues = [
        _item(request, "Cancellation requests", "event_busy", "cancellations.cancellationrequest", badge=_in_review),
        _item(request, "Terminations", "person_off", "cancellations.termination", badge=_unconfirmed),
        _item(request, "Refunds", "payments", "billing.refund", badge=_undecided),
    ]
    records = [
        _item(request, "Accounts", "badge", "accounts.account"),
        _item(request, "Subscriptions", "autorenew", "billing.subscription"),
        _item(request, "Payments", "receipt_long", "billing.payment"),
        _item(request, "Messages", "mail", "messaging.outgoingmessage"),
        _item(request, "Policy versions", "gavel", "cancellations.policyversion"),
        _item(request, "Holds", "back_hand", "cancellations.hold"),
        _item(request, "Erasures", "ink_eraser", "cancellations.erasure"),
    ]
    people = [_item(request, "People", "group", "accounts.user"), _item(request, "Roles", "key", "auth.group")]
    return [
        {"title": "Queues", "items": queues},
        {"title": "Records", "separator": True, "items": records},
        {"title": "Staff", "separator": True, "items": people},
    ]


def _item(request: HttpRequest, title: str, icon: str, model: str, badge: Any = None) -> dict[str, Any]:
    app, name = model.split(".")
    item: dict[str, Any] = {
        "title": title,
        "icon": icon,
        "link": reverse(f"admin:{app}_{name}_changelist"),
        "permission": lambda http: http.user.has_perm(f"{app}.view_{name}"),
    }
    if badge is not None and request.user.is_authenticated:
        item["badge"] = badge()
    return item


def _in_review() -> str:
    return _upto(CancellationRequest.objects.filter(state=RequestState.IN_REVIEW)[: MANY + 1].count())


def _undecided() -> str:
    waiting = (RefundState.REQUESTED, RefundState.PROPOSED, RefundState.APPROVED)
    return _upto(Refund.objects.filter(state__in=waiting)[: MANY + 1].count())


def _unconfirmed() -> str:
    return _upto(Termination.objects.filter(state=TerminationState.PROPOSED)[: MANY + 1].count())


def _upto(count: int) -> str:
    return f"{MANY}+" if count > MANY else str(count or "")

"""The queue of cancellation requests, and the page of each."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from accounts.desk import VerbAdmin
from accounts.models import User
from accounts.timeline import changed_since
from billing.models.states import IllegalTransition
from billing.queries import double_charges, payments_with_returned
from billing.rules.periods import local_date
from cancellations.admin.bulk import BulkActions
from cancellations.admin.files import FilesAdmin
from cancellations.admin.filters import (
    Assigned,
    Due,
    Ground,
    Informed,
    Jurisdiction,
    OnTime,
    search_requests,
    waiting_for,
)
from cancellations.admin.request_verbs import (
    VERBS,
)
from cancellations.admin.timeline import request_timeline
from cancellations.models import CancellationRequest, Kind
from cancellations.models.states import RequestState
from cancellations.queries.outcomes import difference_since, is_sent_in_time, terms_of
from cancellations.queries.requests import declared, failed_letters, named_account
from cancellations.rules.date_line import points
from cancellations.services.common import RequestRefused
from cancellations.wording.charges import words_to_come_of
from messaging.wording import day_words, use_language

S = RequestState


@admin.register(CancellationRequest)
class CancellationRequestAdmin(BulkActions, FilesAdmin, VerbAdmin):
    actions = ("schedule_selected", "assign_selected", "ask_selected_again", "export_selected")
    list_display = [
        "reference",
        "falls_due",
        "customer",
        "plan",
        "received",
        "shown_channel",
        "shown_kind",
        "shown_on_time",
        "assignee",
        "shown_state",
    ]
    list_filter = [
        Due,
        "state",
        Assigned,
        "kind",
        OnTime,
        "channel",
        Jurisdiction,
        Ground,
        "decline_ground",
        "reason",
        Informed,
    ]
    search_fields = ["reference"]  # shows the search box; `search_requests` does the search
    search_help_text = "Reference, account number, username, e-mail address or name"
    sortable = ("falls_due", "received")
    replies_for = "request"
    export_permission = "cancellations.export_cancellationrequest"
    columns = (
        ("Reference", lambda row: row.reference),
        ("Declaration", lambda row: row.declaration),
        ("State", lambda row: row.get_state_display()),
        ("Received", lambda row: row.received_at),
        ("Channel", lambda row: row.get_channel_display()),
        ("Account number", lambda row: row.account.account_number if row.account else row.account_number_given),
        ("Customer", lambda row: row.account.name if row.account else row.name_given),
        ("E-mail address", lambda row: row.email_given),
        ("Subscription", lambda row: row.subscription.reference if row.subscription else ""),
        ("Plan", lambda row: row.subscription.plan_name if row.subscription else ""),
        ("Kind declared", lambda row: row.get_kind_declared_display()),
        ("Counts as", lambda row: row.get_kind_display()),
        ("Reason", lambda row: row.get_reason_display()),
        ("Words", lambda row: row.words),
        ("Ground", lambda row: row.cause),
        ("Requested end date", lambda row: row.requested_end),
        ("On time", lambda row: row.on_time),
        ("Notice waived", lambda row: row.notice_waived_by is not None),
        ("Notice deadline", lambda row: row.deadline_on),
        ("Ends on", lambda row: row.effective_on),
        ("Falls due", lambda row: row.due_at),
        ("Assigned to", lambda row: str(row.assigned_to or "")),
        ("Decided by", lambda row: str(row.decided_by or "")),
        ("Decline ground", lambda row: row.get_decline_ground_display()),
        ("Policy", lambda row: row.policy_version.number),
        ("Jurisdiction", lambda row: row.jurisdiction),
        ("Refund", lambda row: row.refund.reference if row.refund else ""),
    )
    refusals, illegal = (RequestRefused,), (IllegalTransition,)
    change_form_template = "desk/request.html"
    verbs = VERBS

    def get_queryset(self, request: HttpRequest) -> QuerySet[CancellationRequest]:
        rows: QuerySet[CancellationRequest] = super().get_queryset(request)
        return rows.select_related(
            "account",
            "subscription__account",
            "policy_version",
            "refund",
            "decided_by",
            "assigned_to",
            "notice_waived_by",
        )

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("due_at").asc(nulls_last=True), "-received_at", "-id"]

    def page_context(self, request: HttpRequest, row: CancellationRequest) -> dict[str, Any]:
        payments = payments_with_returned(row.subscription) if row.subscription else []
        context: dict[str, Any] = {
            "row": row,
            "named_account": None if row.account_id else named_account(row),
            "difference": difference_since(row) if row.is_open else None,
            "sent_in_time": row.is_open and row.kind != Kind.COOLING_OFF and is_sent_in_time(row),
            "payments": payments[:6],
            "doubles": double_charges(payments),
            "others": self._others(row),
            "timeline": request_timeline(row),
            "uninformed": failed_letters(row),
            "siblings": declared(row.reference).exclude(pk=row.pk).select_related("subscription"),
            "due_words": self.falls_due(row),
            "to_come": words_to_come_of(row, today=local_date(timezone.now(), row.account.time_zone))
            if row.account
            else "",
            "notice_days": terms_of(row.policy_version, row.subscription).notice_days if row.subscription else None,
        }
        if row.effective_on is not None and row.is_open and not row.at_once:
            context["points"] = points(
                today=timezone.localdate(),
                deadline_on=row.deadline_on,
                next_billing_on=row.next_billing_on,
                effective_on=row.effective_on,
            )
        return context

    def _others(self, row: CancellationRequest) -> QuerySet[CancellationRequest]:
        others = CancellationRequest.objects.exclude(declaration=row.declaration).order_by("-received_at")
        if row.account_id:
            return others.filter(account_id=row.account_id)[:10]
        return others.filter(account_number_given__iexact=row.account_number_given)[:10]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CancellationRequest], search_term: str
    ) -> tuple[QuerySet[CancellationRequest], bool]:
        return search_requests(queryset, search_term), False

    def facts(self, row: CancellationRequest) -> dict[str, str]:
        facts = {
            "State": str(row.get_state_display()),
            "Ends on": day_words(row.effective_on) or "–",
            "Counts as": str(row.get_kind_display()),
            "Assigned to": str(row.assigned_to or "nobody"),
        }
        if row.refund is not None:
            facts["Refund"] = f"{row.refund}, {row.refund.get_state_display()}"
        return facts

    def variables(self, row: CancellationRequest) -> tuple[str, dict[str, str]]:
        with use_language(row.language):
            return row.language, {
                "name": row.account.name if row.account else row.name_given,
                "reference": row.declaration,
                "plan": row.subscription.plan_name if row.subscription else "",
                "end_date": day_words(row.effective_on),
                "support_email": settings.SUPPORT_EMAIL,
            }

    def what_changed(self, row: CancellationRequest, since: int) -> list[str]:
        return changed_since(row, since)

    def waiting(self, rows: QuerySet[CancellationRequest], user: User) -> QuerySet[CancellationRequest]:
        return waiting_for(rows, user)

    @display(description="customer", header=True)
    def customer(self, request: CancellationRequest) -> list[str]:
        if request.account:
            return [request.account.name, request.account.account_number]
        return [request.email_given, f"{request.account_number_given} · not matched"]

    @display(description="assigned to")
    def assignee(self, request: CancellationRequest) -> str:
        return str(request.assigned_to or "–")

    @display(description="subscription")
    def plan(self, request: CancellationRequest) -> str:
        return request.subscription.plan_name if request.subscription else "–"

    @display(description="kind", ordering="kind")
    def shown_kind(self, request: CancellationRequest) -> str:
        return request.get_kind_display()

    @display(description="received", ordering="received_at")
    def received(self, request: CancellationRequest) -> str:
        at = timezone.localtime(request.received_at)
        return f"{at:%d %b, %H:%M}" if at.year == timezone.localtime().year else f"{at:%d %b %Y}"

    @display(description="channel")
    def shown_channel(self, request: CancellationRequest) -> str:
        return {"signed_in": "signed in", "guest": "guest"}.get(request.channel, request.get_channel_display())

    @display(description="on time", label={"on time": "success", "late": "warning", "waived": "info"})
    def shown_on_time(self, request: CancellationRequest) -> str:
        if request.notice_waived_by_id is not None:
            return "waived"
        return {True: "on time", False: "late", None: "–"}[request.on_time]

    @display(description="falls due", ordering="due_at", header=True)
    def falls_due(self, request: CancellationRequest) -> list[str]:
        """Says in words what is due next, and when, so that nobody depends on colours."""
        what, when = _due_words(request)
        return [what, when]

    @display(
        description="state",
        ordering="state",
        label={"in review": "warning", "scheduled": "info", "effective": "success", "declined": "danger"},
    )
    def shown_state(self, request: CancellationRequest) -> str:
        return request.get_state_display()


def _due_words(request: CancellationRequest) -> tuple[str, str]:
    if request.enforcement_error:
        return "Set aside by the worker", "look at it now"
    if request.due_at is None:
        return "–", ""
    now = timezone.now()
    if request.state == S.UNVERIFIED:
        return "Proof of the address", _in_days(request.due_at, now)
    if request.subscription_id and request.end_is_open and request.effective_on is None:
        return "Find out when it should end", f"waits {_ago(request.received_at, now)}"
    if request.effective_on is None:
        return "Match it", f"waits {_ago(request.received_at, now)}"
    if request.ground_is_open:
        return "Look at the ground", f"waits {_ago(request.received_at, now)}"
    if request.at_once:
        return "Ends", "now"
    what = "Decide before it ends" if request.state == S.IN_REVIEW else "Ends"
    return what, _in_days(request.effective_at or request.due_at, now)


def _in_days(moment: datetime, now: datetime) -> str:
    zone = settings.COMPANY_TIME_ZONE
    days = (local_date(moment, zone) - local_date(now, zone)).days
    day = f"{local_date(moment, zone):%d %b %Y}"
    if moment <= now:
        return f"{day}, due now"  # the worker has it next; overdue is what staff have to move on
    return f"{day}, " + ("today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days")


def _ago(moment: datetime, now: datetime) -> str:
    hours = int((now - moment).total_seconds() // 3600)
    if hours < 48:
        return f"{hours} hour{'' if hours == 1 else 's'}"
    return f"{hours // 24} days"

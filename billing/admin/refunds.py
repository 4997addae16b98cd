"""The refund desk: the queue, and the page of each refund."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from moneyed import Money
from unfold.decorators import display

from accounts.desk import VerbAdmin
from accounts.models import Account, User
from accounts.timeline import TimelineItem, action_item, changed_since, entries, outgoing_item, staff_names
from billing.admin.refund_verbs import VERBS
from billing.gateways import gateway_choices
from billing.models import Refund, RefundLine
from billing.models.states import IllegalTransition, RefundState
from billing.queries import (
    double_charges,
    overdue_refunds,
    payments_with_returned,
    quote,
    quoted_total,
    without_a_refund,
)
from billing.rules.periods import local_date
from billing.services.common import RefundRefused
from billing.services.transfers import payee_warnings
from messaging.models import OutgoingMessage
from messaging.numbers import tidy_reference
from messaging.wording import day_words, money_words, use_language

S = RefundState


class RefundDue(admin.SimpleListFilter):
    title, parameter_name = "due", "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("overdue", "overdue"), ("today", "by the end of today"), ("decide", "to decide"), ("pay", "to pay")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        now = timezone.now()
        if self.value() == "overdue":
            return overdue_refunds(now, queryset)
        today = local_date(now, settings.COMPANY_TIME_ZONE)
        conditions = {
            "today": Q(due_on__lte=today),
            "decide": Q(state__in=(S.REQUESTED, S.PROPOSED)),
            "pay": Q(state__in=(S.APPROVED, S.SENDING, S.FAILED)),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


class ChargedAfterEnd(admin.SimpleListFilter):
    title, parameter_name = "charged after the end", "charged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "charged for a time after the end")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        return queryset.filter(charged_after_end=True) if self.value() == "yes" else queryset


class Currency(admin.SimpleListFilter):
    title, parameter_name = "currency", "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        codes = Account.objects.order_by("currency").values_list("currency", flat=True).distinct()[:100]
        return [(code, code) for code in codes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        return queryset.filter(amount_currency=self.value()) if self.value() else queryset


class Gateway(admin.SimpleListFilter):
    title, parameter_name = "sent through", "gateway"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return gateway_choices()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        return queryset.filter(gateway=self.value()) if self.value() else queryset


@admin.register(Refund)
class RefundAdmin(VerbAdmin):
    list_display = ["reference", "falls_due", "customer", "about", "shown_amount", "basis", "people", "shown_state"]
    list_filter = [RefundDue, ChargedAfterEnd, "state", "basis", Currency, Gateway]
    search_fields = ["reference", "about", "account__account_number"]
    search_help_text = "Reference, request or account number, from its beginning"
    sortable = ("falls_due",)
    replies_for = "refund"
    export_permission = "billing.export_refund"
    columns = (
        ("Reference", lambda row: row.reference),
        ("State", lambda row: row.get_state_display()),
        ("Account number", lambda row: row.account.account_number),
        ("Customer", lambda row: row.account.name),
        ("Follows from", lambda row: row.about),
        ("Subscription", lambda row: row.subscription.reference),
        ("Ended on", lambda row: row.ended_on),
        ("Requested", lambda row: row.requested_at),
        ("Basis", lambda row: row.get_basis_display() if row.basis else ""),
        ("Amount", lambda row: row.amount.amount if row.amount else None),
        ("Currency", lambda row: row.amount.currency.code if row.amount else ""),
        ("Proposed by", lambda row: str(row.proposed_by or "")),
        ("Approved by", lambda row: str(row.approved_by or "")),
        ("Second approval", lambda row: str(row.second_approved_by or "")),
        ("Decide by", lambda row: row.decision_due_on),
        ("Pay by", lambda row: row.payment_due_on),
        ("Sent through", lambda row: row.gateway),
        ("Paid on", lambda row: row.paid_on),
        ("Settlement reference", lambda row: row.settlement_reference),
        ("Credit note", lambda row: row.credit_note),
        ("Ground", lambda row: row.decision_ground),
        ("Charged after the end", lambda row: "yes" if row.charged_after_end else ""),
    )
    refusals, illegal = (RefundRefused,), (IllegalTransition,)
    change_form_template = "desk/refund.html"
    verbs = VERBS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        refunds: QuerySet[Refund] = super().get_queryset(request)
        return refunds.select_related("account", "subscription", "proposed_by", "approved_by", "second_approved_by")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("due_on").asc(nulls_last=True), "requested_at", "pk"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Refund], search_term: str
    ) -> tuple[QuerySet[Refund], bool]:
        term = " ".join(search_term.split())
        reference = tidy_reference(term)
        begins = Q(reference__startswith=reference) | Q(about__startswith=reference)
        return (queryset.filter(begins | Q(account__account_number__istartswith=term)) if term else queryset), False

    def facts(self, row: Refund) -> dict[str, str]:
        return {
            "State": str(row.get_state_display()),
            "Amount": money_words(row.amount) if row.amount else "–",
            "Basis": str(row.get_basis_display()) if row.basis else "–",
            "Approvals": f"{bool(row.approved_by_id) + bool(row.second_approved_by_id)} of {row.approvals_needed}",
            "Pay by": day_words(row.payment_due_on) or "–",
            "Paid on": day_words(row.paid_on) or "–",
            "Goes to": f"{row.payee_name}, {row.payee_account}" if row.payee_account else "–",
        }

    def variables(self, row: Refund) -> tuple[str, dict[str, str]]:
        with use_language(row.language):
            return row.language, {
                "name": row.account.name,
                "reference": row.about or row.reference,
                "plan": row.subscription.plan_name,
                "end_date": day_words(row.ended_on),
                "amount": money_words(row.amount) if row.amount else "",
                "support_email": settings.SUPPORT_EMAIL,
            }

    def what_changed(self, row: Refund, since: int) -> list[str]:
        return changed_since(row, since)

    def waiting(self, rows: QuerySet[Refund], user: User) -> QuerySet[Refund]:
        """What the user can decide: others' proposals if they may approve, otherwise refunds without a proposal."""
        if user.has_perm("billing.approve_refund"):
            undecided = rows.filter(state__in=(S.REQUESTED, S.PROPOSED))
            return undecided.exclude(state=S.PROPOSED, proposed_by=user).exclude(state=S.PROPOSED, approved_by=user)
        return rows.filter(state=S.REQUESTED)

    def page_context(self, request: HttpRequest, row: Refund) -> dict[str, Any]:
        lines = quote(
            row.subscription,
            ended_on=row.ended_on,
            basis=row.computed_basis,
            whole_contract=row.whole_contract,
            currency=row.currency,
        )
        payments = payments_with_returned(row.subscription)
        own = list(row.lines.select_related("payment").order_by("payment__period_start"))
        return {
            "row": row,
            "quoted": lines,
            "quoted_total": quoted_total(lines),
            "lines": own,
            "remainder": remainder_words(own),
            "outstanding": _partly_outstanding(row),
            "credit_notes": row.credit_notes.select_related("reverses"),
            "payments": payments[:12],
            "doubles": double_charges(payments),
            "left_out": [payment.reference for payment in without_a_refund(row, payments)],
            "today": timezone.localdate(),
            "earlier": Refund.objects.filter(subscription=row.subscription).exclude(pk=row.pk),
            "timeline": self._timeline(row),
            "due_words": due_words(row),
            "payee_warnings": payee_warnings([row]).get(row.pk, []),
            "transfers": row.transfers.select_related("batch"),
        }

    def _timeline(self, row: Refund) -> list[TimelineItem]:
        names = staff_names()
        about = Q(about=row.reference) | Q(about=row.about) & ~Q(about="")
        messages = OutgoingMessage.objects.filter(about, kind__startswith="refund_")
        items = [*(action_item(entry, names) for entry in entries(row)), *map(outgoing_item, messages)]
        return sorted(items, key=lambda item: item.at)

    @display(description="amount", ordering="amount")
    def shown_amount(self, refund: Refund) -> str:
        return money_words(refund.amount) if refund.amount else "–"

    @display(
        description="state",
        label={"requested": "warning", "proposed": "info", "approved": "info", "paid": "success", "failed": "danger"},
    )
    def shown_state(self, refund: Refund) -> str:
        return refund.get_state_display()

    @display(description="falls due", ordering="due_on", header=True)
    def falls_due(self, refund: Refund) -> list[str]:
        return list(due_words(refund))

    @display(description="customer", header=True)
    def customer(self, refund: Refund) -> list[str]:
        return [refund.account.name, refund.account.account_number]

    @display(description="proposed, approved")
    def people(self, refund: Refund) -> str:
        people = (refund.proposed_by, refund.approved_by, refund.second_approved_by)
        return " → ".join(str(person) for person in people if person) or "–"


def remainder_words(lines: list[RefundLine]) -> str:
    """What the gateway cannot return of the computed sum; empty if it can return all."""
    total = sum((line.remainder for line in lines), Decimal(0))
    return money_words(Money(total, lines[0].payment.amount.currency)) if total else ""


def _partly_outstanding(refund: Refund) -> Money | None:
    """What is still to return after a part was returned; None otherwise."""
    outstanding = refund.outstanding
    return outstanding if outstanding and Decimal(0) < outstanding.amount < refund.amount.amount else None


def due_words(refund: Refund) -> tuple[str, str]:
    """The next step of the refund and when it is due, as texts."""
    if refund.due_on is None:
        return "–", ""
    steps = {S.REQUESTED: "Propose", S.PROPOSED: "Decide", S.APPROVED: "Send", S.SENDING: "Pay", S.FAILED: "Send again"}
    today = local_date(timezone.now(), settings.COMPANY_TIME_ZONE)
    days = (refund.due_on - today).days
    upcoming = "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
    when = f"{-days} day{'' if days == -1 else 's'} overdue" if days < 0 else upcoming
    return steps[S(refund.state)], f"{refund.due_on:%d %b %Y}, {when}"

"""The refund desk, and read-only views of subscriptions and payments."""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import display

from accounts.audit import note_deed
from accounts.desk import DeskAdmin, Verb, VerbAdmin, VerbForm
from accounts.desk.proof import ask_again, is_proven_lately
from accounts.models import Account, User
from accounts.story import Told, changed_since, deed, entries, letter, staff_names
from billing.gateways import MANUAL
from billing.models import Payment, Refund, RefundBasis, Subscription, TransferBatch
from billing.periods import local_date
from billing.queries import payments_with_returned, quote, quoted_total
from billing.services.common import RefundRefused
from billing.services.review import approve, decline, propose, void
from billing.services.sending import fail, send, settle
from billing.services.transfers import Result, enter_bank_details, make_batch, read_back, ready_for_transfer
from billing.states import IllegalTransition, RefundState
from billing.transfers import MOST_BYTES, READ_COLUMNS, UnreadableFile, read
from messaging.models import OutgoingMessage
from messaging.wording import day_words, money_words, reading

S = RefundState


class ProposeForm(VerbForm):
    basis = forms.ChoiceField(choices=RefundBasis.choices, widget=forms.RadioSelect)
    amount = forms.DecimalField(
        label="Other amount",
        required=False,
        min_value=0,
        help_text="Only for «other amount», in the payments’ currency.",
    )
    ground = forms.CharField(
        label="Ground",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Needed for another amount, and for nothing. Only staff read it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(
            basis=self.row.basis or self.row.computed_basis,
            amount=self.row.amount.amount if self.row.basis == RefundBasis.CUSTOM else None,
            ground=self.row.proposal_ground or self.row.computed_ground,
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("basis") == RefundBasis.CUSTOM and not given.get("amount"):
            self.add_error("amount", "Enter the amount.")
        if given.get("basis") in (RefundBasis.CUSTOM, RefundBasis.NONE) and not given.get("ground", "").strip():
            self.add_error("ground", "State the ground: another amount, or none, needs one.")
        return given


class ApproveForm(VerbForm):
    replies_to = "ground"
    ground = forms.CharField(
        label="Message to the customer",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Optional; it stands in the mail below the breakdown.",
    )


class DeclineForm(VerbForm):
    replies_to = "ground"
    ground = forms.CharField(
        label="Ground",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The customer reads it.",
        error_messages={"required": "State the ground: the customer reads it."},
    )


class SettleForm(VerbForm):
    reference = forms.CharField(
        label="Reference of the transfer",
        max_length=120,
        error_messages={"required": "Enter the reference of the transfer: it proves the payment."},
    )
    paid_on = forms.DateField(
        label="Paid on",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"required": "Enter the day on which the money left.", "invalid": "Enter a date."},
    )


class FailForm(VerbForm):
    ground = forms.CharField(
        label="What went wrong",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say what went wrong: whoever sends it again needs to know."},
    )


class VoidForm(VerbForm):
    replies_to = "ground"
    ground = forms.CharField(
        label="Ground",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The customer reads it.",
        error_messages={"required": "State the ground: the customer reads it."},
    )


class BankDetailsForm(VerbForm):
    name = forms.CharField(
        label="Account holder", max_length=140, error_messages={"required": "Enter the account holder."}
    )
    account = forms.CharField(
        label="IBAN or account number", max_length=80, error_messages={"required": "Enter the account."}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"name": self.row.payee_name or self.row.account.name, "account": self.row.payee_account}


def _bank_details(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    enter_bank_details(refund=refund, name=given["name"], account=given["account"], by=user, now=now)


def _propose(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    custom = given["basis"] == RefundBasis.CUSTOM
    amount = given["amount"] if custom else None
    propose(refund=refund, basis=given["basis"], amount=amount, ground=given["ground"], by=user, now=now)


def _approve(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    approve(refund=refund, by=user, ground=given["ground"], now=now)


def _decline(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    decline(refund=refund, by=user, ground=given["ground"], now=now)


def _settle(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    settle(refund=refund, by=user, reference=given["reference"], paid_on=given["paid_on"], now=now)


def _send(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    send(refund=refund, by=user, now=now)


def _fail(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    fail(refund=refund, by=user, ground=given["ground"], now=now)


def _void(refund: Refund, user: User, given: dict[str, Any], now: datetime) -> None:
    void(refund=refund, by=user, ground=given["ground"], now=now)


def _is_with_a_gateway(refund: Refund) -> bool:
    return refund.state == S.SENDING and refund.gateway not in ("", MANUAL)


class RefundDue(admin.SimpleListFilter):
    title, parameter_name = "due", "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("overdue", "overdue"), ("today", "by the end of today"), ("decide", "to decide"), ("pay", "to pay")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        today = local_date(timezone.now(), settings.COMPANY_TIME_ZONE)
        asked = {
            "overdue": Q(due_on__lt=today),
            "today": Q(due_on__lte=today),
            "decide": Q(state__in=(S.REQUESTED, S.PROPOSED)),
            "pay": Q(state__in=(S.APPROVED, S.SENDING, S.FAILED)),
        }
        return queryset.filter(asked.get(self.value() or "", Q()))


class Currency(admin.SimpleListFilter):
    title, parameter_name = "currency", "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = Account.objects.order_by("currency").values_list("currency", flat=True).distinct()[:100]
        return [(code, code) for code in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        return queryset.filter(amount_currency=self.value()) if self.value() else queryset


class Gateway(admin.SimpleListFilter):
    title, parameter_name = "sent through", "gateway"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(MANUAL, "by hand"), ("stripe", "Stripe")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        return queryset.filter(gateway=self.value()) if self.value() else queryset


@admin.register(Refund)
class RefundAdmin(VerbAdmin):
    list_display = ["reference", "falls_due", "customer", "about", "shown_amount", "basis", "hands", "shown_state"]
    list_filter = [RefundDue, "state", "basis", Currency, Gateway]
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
    )
    refusals, illegal = (RefundRefused,), (IllegalTransition,)
    change_form_template = "desk/refund.html"
    verbs = (
        Verb(
            "propose", "Propose", "billing.propose_refund", (S.REQUESTED, S.PROPOSED), ProposeForm, _propose,
            "You become the proposer, and somebody else decides. The customer is told the sum and how it arises, and "
            "that it is a proposal.", "proposed.",
            key="p", decides=True,
        ),
        Verb(
            "approve", "Approve", "billing.approve_refund", (S.PROPOSED,), ApproveForm, _approve,
            "The sum is settled and the customer is told. Above the limit, a second person has to approve as well.",
            "approved by you.",
            applies=lambda refund, user: refund.basis != RefundBasis.NONE
            and user.pk not in (refund.proposed_by_id, refund.approved_by_id),
            grave=True,
            key="a", decides=True,
        ),
        Verb(
            "decline", "Decline", "billing.decline_refund", (S.REQUESTED, S.PROPOSED), DeclineForm, _decline,
            "The refund ends here, and the customer reads the ground.", "declined.",
            key="d", decides=True,
        ),
        Verb(
            "send", "Send", "billing.settle_refund", (S.APPROVED, S.FAILED), VerbForm, _send,
            "It goes through the gateway that took the payments. Where that is done by hand, it counts as ordered, "
            "and you mark it as paid once the money has left.", "on its way.",
            grave=True,
            key="s",
        ),
        Verb(
            "settle", "Mark as paid", "billing.settle_refund", (S.APPROVED, S.SENDING, S.FAILED), SettleForm, _settle,
            "You have sent the money by hand. The customer is told with its reference and gets a credit note.", "paid.",
            applies=lambda refund, user: not _is_with_a_gateway(refund),
            grave=True,
            key="m",
        ),
        Verb(
            "fail", "Mark as failed", "billing.settle_refund", (S.SENDING,), FailForm, _fail,
            "The transfer did not arrive. It can be sent again, and the customer hears that it is delayed.", "failed.",
            applies=lambda refund, user: not _is_with_a_gateway(refund),
            key="f",
        ),
        Verb(
            "bank-details", "Bank details", "billing.settle_refund", (S.REQUESTED, S.PROPOSED, S.APPROVED, S.FAILED),
            BankDetailsForm, _bank_details, "The account to which it goes, if it goes by bank transfer. Whoever enters "
            "it does not order the transfer: somebody else does.", "bank details kept.",
            key="b",
        ),
        Verb(
            "void", "Void", "billing.approve_refund", (S.APPROVED,), VoidForm, _void,
            "It has lost its cause, and no money has moved. The customer reads the ground.", "void.",
            grave=True,
            key="v",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        found: QuerySet[Refund] = super().get_queryset(request)
        return found.select_related("account", "subscription", "proposed_by", "approved_by", "second_approved_by")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("due_on").asc(nulls_last=True), "requested_at", "pk"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Refund], search_term: str
    ) -> tuple[QuerySet[Refund], bool]:
        term = " ".join(search_term.split())
        begins = Q(reference__startswith=term.upper()) | Q(about__startswith=term.upper())
        return (queryset.filter(begins | Q(account__account_number__istartswith=term)) if term else queryset), False

    def facts(self, row: Refund) -> dict[str, str]:
        return {
            "State": str(row.get_state_display()),
            "Sum": money_words(row.amount) if row.amount else "–",
            "Basis": str(row.get_basis_display()) if row.basis else "–",
            "Approvals": f"{bool(row.approved_by_id) + bool(row.second_approved_by_id)} of {row.approvals_needed}",
            "Pay by": day_words(row.payment_due_on) or "–",
            "Paid on": day_words(row.paid_on) or "–",
            "Goes to": f"{row.payee_name}, {row.payee_account}" if row.payee_account else "–",
        }

    def variables(self, row: Refund) -> tuple[str, dict[str, str]]:
        with reading(row.language):
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
        """What the person can decide: proposals of others, if they approve; else what nobody proposed yet."""
        if user.has_perm("billing.approve_refund"):
            undecided = rows.filter(state__in=(S.REQUESTED, S.PROPOSED))
            return undecided.exclude(state=S.PROPOSED, proposed_by=user).exclude(state=S.PROPOSED, approved_by=user)
        return rows.filter(state=S.REQUESTED)

    def page_context(self, request: HttpRequest, row: Refund) -> dict[str, Any]:
        lines = quote(
            row.subscription, ended_on=row.ended_on, basis=row.computed_basis, whole_contract=row.whole_contract
        )
        return {
            "row": row,
            "quoted": lines,
            "quoted_total": quoted_total(lines),
            "lines": list(row.lines.select_related("payment").order_by("payment__period_start")),
            "payments": payments_with_returned(row.subscription)[:12],
            "today": timezone.localdate(),
            "earlier": Refund.objects.filter(subscription=row.subscription).exclude(pk=row.pk),
            "story": self._story(row),
            "due_words": due_words(row),
            "transfers": row.transfers.select_related("batch"),
        }

    def _story(self, row: Refund) -> list[Told]:
        names = staff_names()
        about = Q(about=row.reference) | Q(about=row.about) & ~Q(about="")
        letters = OutgoingMessage.objects.filter(about, kind__startswith="refund_")
        lines = [*(deed(entry, names) for entry in entries(row)), *map(letter, letters)]
        return sorted(lines, key=lambda line: line.at)

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
    def hands(self, refund: Refund) -> str:
        people = [one for one in (refund.proposed_by, refund.approved_by, refund.second_approved_by) if one]
        return " → ".join(map(str, people)) or "–"


def due_words(refund: Refund) -> tuple[str, str]:
    """What falls due next, and when; in words."""
    if refund.due_on is None:
        return "–", ""
    what = {S.REQUESTED: "Propose", S.PROPOSED: "Decide", S.APPROVED: "Send", S.SENDING: "Pay", S.FAILED: "Send again"}
    today = local_date(timezone.now(), settings.COMPANY_TIME_ZONE)
    days = (refund.due_on - today).days
    near = "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
    when = f"{-days} day{'' if days == -1 else 's'} overdue" if days < 0 else near
    return what[S(refund.state)], f"{refund.due_on:%d %b %Y}, {when}"


class TransferForm(forms.Form):
    """Which refunds go into the file."""

    refunds: Any = forms.ModelMultipleChoiceField(
        queryset=Refund.objects.none(), error_messages={"required": "Choose refunds first."}
    )

    def __init__(self, choices: list[Refund], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["refunds"]
        field.queryset = Refund.objects.filter(pk__in=[one.pk for one in choices])


class ReadBackForm(forms.Form):
    file = forms.FileField(
        label="The bank’s file",
        help_text="camt.053, camt.054, pain.002, or CSV with the columns " + ", ".join(READ_COLUMNS) + ".",
        error_messages={"required": "Choose the file.", "empty": "The file is empty."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


@admin.register(TransferBatch)
class TransferBatchAdmin(DeskAdmin):
    """Files with bank transfers: made, handed out, and read back."""

    change_form_template = "desk/transfer_batch.html"
    list_display = ["reference", "made_at", "made_by", "count", "shown_total", "form", "progress"]
    list_select_related = ["made_by"]
    permission = "billing.settle_refund"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:key>/file/", view(self.file_view), name="transfer_file"),
            path("read/", view(self.read_view), name="transfers_read"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TransferBatch]:
        found: QuerySet[TransferBatch] = super().get_queryset(request)
        return found.defer("file")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("billing.view_refund"))  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.permission))  # type: ignore[union-attr]

    @csrf_protect_m
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Chooses refunds of one currency, and orders their transfers in one file."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_proven_lately(request, timezone.now()):
            return ask_again(request)
        assert isinstance(request.user, User)
        waiting = Refund.objects.filter(state__in=(S.APPROVED, S.FAILED)).exclude(payee_account="")
        currencies = sorted(set(waiting.values_list("amount_currency", flat=True)))
        currency = request.POST.get("currency") or request.GET.get("currency") or next(iter(currencies), "")
        choices = ready_for_transfer(currency, by=request.user)
        form = TransferForm(choices, request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                chosen = list(form.cleaned_data["refunds"])
                batch = make_batch(refunds=chosen, by=request.user, now=timezone.now())
            except (RefundRefused, IllegalTransition) as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"{batch}: {batch.count} transfers ordered. Hand the file to the bank.")
                return redirect("admin:billing_transferbatch_change", batch.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Bank transfers",
            "opts": self.opts,
            "form": form,
            "choices": choices,
            "currency": currency,
            "currencies": currencies,
            "own": waiting.filter(payee_by=request.user, amount_currency=currency).count(),
            "without": Refund.objects.filter(state=S.APPROVED, payee_account="").count(),
        }
        return render(request, "desk/transfers.html", context, status=422 if form.is_bound else 200)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            may = self.has_add_permission(request)
            context |= {"row": row, "items": row.items.select_related("refund__account"), "may": may}
        return super().change_view(request, object_id, form_url, context)

    def file_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """The file for the bank; who fetched it is noted."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_proven_lately(request, timezone.now()):
            return ask_again(request)
        assert isinstance(request.user, User)
        batch = get_object_or_404(TransferBatch, pk=key)
        note_deed(verb="download", by=request.user, now=timezone.now(), about=batch.reference)
        ending, kind = ("xml", "application/xml") if batch.form == "pain.001" else ("csv", "text/csv; charset=utf-8")
        answer = HttpResponse(bytes(batch.file), content_type=kind)
        answer["Content-Disposition"] = f'attachment; filename="{batch.reference}.{ending}"'
        return answer

    @csrf_protect_m
    def read_view(self, request: HttpRequest) -> HttpResponse:
        """Reads back what the bank paid, and shows what became of each line."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_proven_lately(request, timezone.now()):
            return ask_again(request)
        assert isinstance(request.user, User)
        form = ReadBackForm(*((request.POST, request.FILES) if request.method == "POST" else (None, None)))
        results: list[Result] | None = None
        if form.is_valid():
            try:
                bookings = read(form.cleaned_data["file"].read(MOST_BYTES + 1))
                now = timezone.now()
                name = form.cleaned_data["file"].name
                note_deed(verb="read_bank_file", by=request.user, now=now, about=name, why=f"{len(bookings)} lines")
                results = read_back(bookings=bookings, by=request.user, now=now)
            except UnreadableFile as error:
                form.add_error("file", str(error))
        context = {**self.admin_site.each_context(request), "title": "Read back what was paid", "opts": self.opts}
        failed = form.is_bound and results is None
        context |= {"form": form, "results": results}
        return render(request, "desk/read_back.html", context, status=422 if failed else 200)

    @display(description="total")
    def shown_total(self, batch: TransferBatch) -> str:
        return money_words(batch.total)

    @display(description="paid")
    def progress(self, batch: TransferBatch) -> str:
        return f"{batch.items.filter(refund__state=S.PAID).count()} of {batch.count}"


@admin.register(Subscription)
class SubscriptionAdmin(DeskAdmin):
    list_display = ["reference", "account", "plan_name", "shown_price", "billing_anchor", "ended_on"]
    list_filter = ["interval_unit", "ended_by"]
    search_fields = ["reference", "account__account_number", "account__name", "plan_name"]
    list_select_related = ["account"]

    @display(description="price")
    def shown_price(self, subscription: Subscription) -> str:
        return f"{money_words(subscription.price)} / {subscription.interval}"


@admin.register(Payment)
class PaymentAdmin(DeskAdmin):
    list_display = ["reference", "account", "period_start", "period_end", "shown_amount", "paid_at", "method"]
    search_fields = ["reference", "subscription__reference", "account__account_number"]
    list_select_related = ["account"]

    @display(description="amount")
    def shown_amount(self, payment: Payment) -> str:
        return money_words(payment.amount)

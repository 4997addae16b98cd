"""Bank transfers: ordering them in a file for the bank, and reading the bank's file back."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import display

from accounts.audit import record_action
from accounts.desk import DeskAdmin
from accounts.desk.proof import ask_for_proof, is_proven_recently
from accounts.models import User
from billing.bank_files.statements import MAX_BYTES, READ_COLUMNS, UnreadableFile, read
from billing.models import Refund, TransferBatch
from billing.models.states import IllegalTransition, RefundState
from billing.services.common import RefundRefused
from billing.services.transfers import Result, cancel_batch, make_batch, payee_warnings, read_back, ready_for_transfer
from messaging.forms import KeepableTextMixin
from messaging.wording import money_words


class TransferForm(KeepableTextMixin, forms.Form):
    """Which refunds go into the file."""

    refunds: Any = forms.ModelMultipleChoiceField(
        queryset=Refund.objects.none(), error_messages={"required": "Choose refunds first."}
    )

    def __init__(self, choices: list[Refund], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["refunds"]
        field.queryset = Refund.objects.filter(pk__in=[refund.pk for refund in choices])


class CancelForm(KeepableTextMixin, forms.Form):
    ground = forms.CharField(
        label="Why the bank does not get this file",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say why the bank does not get this file."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


class ReadBackForm(KeepableTextMixin, forms.Form):
    file = forms.FileField(
        label="The bank’s file",
        help_text="camt.053, camt.054, pain.002, MT940, or CSV with the columns "
        + ", ".join(READ_COLUMNS)
        + ". Also several files in a ZIP archive.",
        error_messages={"required": "Choose the file.", "empty": "The file is empty."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


@admin.register(TransferBatch)
class TransferBatchAdmin(DeskAdmin):
    """Files with bank transfers: created, downloaded and read back."""

    change_form_template = "desk/transfer_batch.html"
    list_display = ["reference", "made_at", "made_by", "count", "shown_total", "form", "progress"]
    list_select_related = ["made_by"]
    permission = "billing.settle_refund"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:key>/file/", view(self.file_view), name="transfer_file"),
            path("<int:key>/cancel/", view(self.cancel_view), name="transfer_cancel"),
            path("read/", view(self.read_view), name="transfers_read"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TransferBatch]:
        batches: QuerySet[TransferBatch] = super().get_queryset(request)
        return batches.defer("file")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("billing.view_refund"))  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.permission))  # type: ignore[union-attr]

    @csrf_protect_m
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page to choose refunds of one currency and order their transfers in one file."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_proven_recently(request, timezone.now()):
            return ask_for_proof(request)
        assert isinstance(request.user, User)
        waiting = Refund.objects.filter(state__in=(RefundState.APPROVED, RefundState.FAILED)).exclude(payee_account="")
        currencies = sorted(set(waiting.values_list("amount_currency", flat=True)))
        currency = request.POST.get("currency") or request.GET.get("currency") or ""
        currency = currency if currency in currencies else next(iter(currencies), "")
        choices = ready_for_transfer(currency, by=request.user)
        warnings = payee_warnings(choices)
        form = TransferForm(choices, request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                chosen = list(form.cleaned_data["refunds"])
                batch = make_batch(refunds=chosen, by=request.user, now=timezone.now())
            except (RefundRefused, IllegalTransition) as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"{batch}: {batch.count} transfers ordered. Upload the file to the bank.")
                return redirect("admin:billing_transferbatch_change", batch.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Bank transfers",
            "opts": self.opts,
            "form": form,
            "choices": [(refund, warnings.get(refund.pk, [])) for refund in choices],
            "currency": currency,
            "currencies": currencies,
            "own": waiting.filter(payee_by=request.user, amount_currency=currency).count(),
            "without_details": Refund.objects.filter(state=RefundState.APPROVED, payee_account="").count(),
        }
        return render(request, "desk/transfers.html", context, status=422 if form.is_bound else 200)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            may_settle = self.has_add_permission(request)
            context |= {"row": row, "items": row.items.select_related("refund__account"), "may_settle": may_settle}
            context["may_cancel"] = may_settle and row.cancelled_at is None
        return super().change_view(request, object_id, form_url, context)

    def file_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Downloads the file for the bank. Recorded in the audit log."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_proven_recently(request, timezone.now()):
            return ask_for_proof(request)
        assert isinstance(request.user, User)
        batch = get_object_or_404(TransferBatch, pk=key)
        record_action(verb="download", by=request.user, now=timezone.now(), about=batch.reference)
        extension, content_type = (
            ("xml", "application/xml") if batch.form == "pain.001" else ("csv", "text/csv; charset=utf-8")
        )
        response = HttpResponse(bytes(batch.file), content_type=content_type)
        response["Content-Disposition"] = f'attachment; filename="{batch.reference}.{extension}"'
        return response

    @csrf_protect_m
    def cancel_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Cancels the orders of a file that the bank did not get."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_proven_recently(request, timezone.now()):
            return ask_for_proof(request)
        assert isinstance(request.user, User)
        batch: TransferBatch = get_object_or_404(TransferBatch.objects.defer("file"), pk=key)
        form = CancelForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                cancel_batch(batch=batch, ground=form.cleaned_data["ground"], by=request.user, now=timezone.now())
            except RefundRefused as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"{batch} is cancelled. Its refunds can be ordered again.")
                return redirect("admin:billing_transferbatch_change", batch.pk)
        context = {**self.admin_site.each_context(request), "title": f"Cancel {batch}", "opts": self.opts}
        context |= {"form": form, "row": batch}
        return render(request, "desk/transfer_cancel.html", context, status=422 if form.is_bound else 200)

    @csrf_protect_m
    def read_view(self, request: HttpRequest) -> HttpResponse:
        """Reads the bank's file and shows the result of each line."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not is_proven_recently(request, timezone.now()):
            return ask_for_proof(request)
        assert isinstance(request.user, User)
        form = ReadBackForm(*((request.POST, request.FILES) if request.method == "POST" else (None, None)))
        results: list[Result] | None = None
        if form.is_valid():
            try:
                bookings = read(form.cleaned_data["file"].read(MAX_BYTES + 1), zone=settings.COMPANY_TIME_ZONE)
                now = timezone.now()
                name = form.cleaned_data["file"].name
                record_action(verb="read_bank_file", by=request.user, now=now, about=name, why=f"{len(bookings)} lines")
                results = read_back(bookings=bookings, by=request.user, now=now)
            except UnreadableFile as error:
                form.add_error("file", str(error))
        context = {**self.admin_site.each_context(request), "title": "Read the bank’s file", "opts": self.opts}
        has_failed = form.is_bound and results is None
        context |= {"form": form, "results": results}
        return render(request, "desk/read_back.html", context, status=422 if has_failed else 200)

    @display(description="total")
    def shown_total(self, batch: TransferBatch) -> str:
        return money_words(batch.total)

    @display(description="paid")
    def progress(self, batch: TransferBatch) -> str:
        if batch.cancelled_at:
            return "cancelled"
        return f"{batch.items.filter(refund__state=RefundState.PAID).count()} of {batch.count}"

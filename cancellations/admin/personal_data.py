"""Personal data: holds that prevent its erasure, and erasing it, with what blocks it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from unfold.decorators import display

from accounts.desk import DeskAdmin, Verb, VerbAdmin, VerbForm
from accounts.desk.proof import ask_for_proof, is_proven_recently, restored_input
from accounts.models import Account, User
from accounts.queries import find_account
from cancellations.models import Erasure, Hold
from cancellations.queries.personal_data import erasure_blockers
from cancellations.services.common import RequestRefused
from cancellations.services.erasure import erase, lift_hold, place_hold
from messaging.forms import IdentifierField, KeepableTextMixin


class AccountForm(KeepableTextMixin, forms.Form):
    account_number = IdentifierField(
        label="Account number", max_length=40, error_messages={"required": "Enter the account number."}
    )
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Stored for good. Do not write anything that identifies a person.",
        error_messages={"required": "State the ground. It is stored with the record."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False

    def clean_account_number(self) -> Account:
        number = self.cleaned_data["account_number"].strip()
        account = find_account(account_number=number, username="")
        if account is None:
            raise forms.ValidationError(f"No account has the number {number}. Look it up under Accounts.")
        return account


class AccountFormAdmin(DeskAdmin):
    """Base of admins whose rows are added by a form with an account and a ground, through a service."""

    permission: ClassVar[str]
    title: ClassVar[str]
    consequence: ClassVar[str]
    success_message: ClassVar[str]
    service: ClassVar[Callable[..., Model]]
    sensitive: ClassVar[bool] = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.permission))  # type: ignore[union-attr]

    @csrf_protect_m
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        now = timezone.now()
        if self.sensitive and not is_proven_recently(request, now):
            return ask_for_proof(request)
        initial = {"account_number": request.GET.get("account", "")} | restored_input(request)
        form = AccountForm(request.POST if request.method == "POST" else None, initial=initial)
        if form.is_valid():
            account = form.cleaned_data["account_number"]
            try:
                self.run(account, request.user, form.cleaned_data["ground"], now)
            except RequestRefused as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"{account.account_number}: {self.success_message}")
                return redirect("admin:accounts_account_change", account.pk)
        about = find_account(account_number=initial["account_number"], username="")
        context = {
            **self.admin_site.each_context(request),
            "title": self.title,
            "consequence": self.consequence,
            "opts": self.opts,
            "form": form,
            "blockers": self.blockers(about, now) if about else [],
        }
        return render(request, "desk/data.html", context, status=422 if form.is_bound else 200)

    def run(self, account: Account, user: Any, ground: str, now: datetime) -> None:
        assert isinstance(user, User)
        type(self).service(account=account, by=user, ground=ground, now=now)

    def blockers(self, account: Account, now: datetime) -> list[str]:
        return []


class LiftForm(VerbForm):
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}), error_messages={"required": "State the ground for lifting the hold."}
    )


def _lift(hold: Hold, user: User, data: dict[str, Any], now: datetime) -> None:
    lift_hold(hold=hold, by=user, ground=data["ground"], now=now)


@admin.register(Hold)
class HoldAdmin(AccountFormAdmin, VerbAdmin):
    list_display = ["account", "ground", "placed_by", "placed_at", "shown_state"]
    search_fields = ["account__account_number", "account__name"]
    refusals = (RequestRefused,)
    permission = "cancellations.hold_data"
    title = "Hold an account’s data"
    consequence = "Its personal data is not erased, on request or by the retention job, until the hold is lifted."
    success_message = "data held."
    service = staticmethod(place_hold)
    verbs = (
        Verb(
            "lift", "Lift", "cancellations.hold_data", ("in force",), LiftForm, _lift,
            "Its data can be erased again.", "lifted.",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hold]:
        holds: QuerySet[Hold] = super().get_queryset(request)
        return holds.select_related("account", "placed_by", "lifted_by")

    @display(description="state", label={"in force": "warning"})
    def shown_state(self, hold: Hold) -> str:
        return hold.state


@admin.register(Erasure)
class ErasureAdmin(AccountFormAdmin):
    list_display = ["account", "erased_at", "erased_by", "ground"]
    search_fields = ["account__account_number"]
    permission = "cancellations.erase_data"
    sensitive = True
    title = "Erase an account’s personal data"
    consequence = (
        "Names, addresses, what the customer wrote, files, messages and receipts are erased for good, also from the "
        "history. Dates, amounts, payments and decisions stay under the account number, as accounting needs them. "
        "Nobody can sign in to the account afterwards, and the next import restores nothing."
    )
    success_message = "personal data erased."
    service = staticmethod(erase)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Erasure]:
        erasures: QuerySet[Erasure] = super().get_queryset(request)
        return erasures.select_related("account", "erased_by")

    def blockers(self, account: Account, now: datetime) -> list[str]:
        return erasure_blockers(account, now=now)

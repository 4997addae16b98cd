"""The form of a draft of the policy. What has several entries is a table, not JSON."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from moneyed import CURRENCIES
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.desk.rows import Row, RowsField
from billing.models.subscriptions import IntervalUnit
from cancellations.models import PolicyVersion
from cancellations.models.policy import MAX_DAYS, TERMINATION_BASES
from messaging.forms import KeepableModelForm, KeepableTextMixin

ANY: list[tuple[str, str]] = [("", "–")]


class LimitRow(KeepableTextMixin, forms.Form):
    """The amount in a currency up to which one person approves a refund."""

    currency = forms.CharField(label="Currency", widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "EUR"}))
    limit = forms.DecimalField(
        label="One approver up to",
        min_value=Decimal(0),
        max_digits=16,
        decimal_places=4,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )

    def clean_currency(self) -> str:
        code = str(self.cleaned_data["currency"]).upper()
        if code not in CURRENCIES:
            raise ValidationError(f"{code} is no currency code, such as EUR.")
        return code


class SpecialTermsRow(KeepableTextMixin, forms.Form):
    """What differs for a plan or a billing interval."""

    plan_code = forms.CharField(
        label="Plan code",
        required=False,
        max_length=60,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "PRO-*"}),
    )
    interval_unit = forms.ChoiceField(
        label="or interval",
        required=False,
        choices=[*ANY, *IntervalUnit.choices],
        widget=UnfoldAdminSelectWidget,
    )
    notice_days = forms.IntegerField(
        label="Notice (days)", required=False, min_value=0, max_value=MAX_DAYS, widget=UnfoldAdminIntegerFieldWidget
    )
    trial_notice_days = forms.IntegerField(
        label="Notice within a trial (days)",
        required=False,
        min_value=0,
        max_value=MAX_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    refund_basis = forms.ChoiceField(
        label="Refund proposed on termination",
        required=False,
        choices=[*ANY, *TERMINATION_BASES],
        widget=UnfoldAdminSelectWidget,
    )


def _pack_limits(rows: list[dict[str, Any]]) -> dict[str, str]:
    codes = [row["currency"] for row in rows]
    if twice := next((code for code in codes if codes.count(code) > 1), ""):
        raise ValidationError(f"There are two rows for {twice}. Keep one.")
    return {row["currency"]: f"{row['limit']:f}" for row in rows}


def _unpack_limits(limits: Any) -> list[Row]:
    pairs = sorted(limits.items()) if isinstance(limits, dict) else []
    return [{"currency": code, "limit": limit} for code, limit in pairs]


def _unpack_special_terms(terms: Any) -> list[Row]:
    return terms if isinstance(terms, list) else []


class PolicyForm(KeepableModelForm):
    approval_limits = RowsField(
        LimitRow,
        pack=_pack_limits,
        unpack=_unpack_limits,
        label="One approver up to",
        help_text="Above it, and in any other currency, two people approve. More rows appear when you save.",
    )
    special_terms = RowsField(
        SpecialTermsRow,
        pack=list,
        unpack=_unpack_special_terms,
        label="Special terms",
        help_text="For a plan code (exact, or its start with * at the end) or a billing interval. The most exact row "
        "counts for each value: the plan code, then the longest start, then the interval. What no row sets is as "
        "above. Customers read this table on the page of the policy. More rows appear when you save.",
    )

    class Meta:
        model = PolicyVersion
        fields = "__all__"

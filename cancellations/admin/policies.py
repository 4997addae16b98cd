"""Policy versions: drafts are edited, previewed, published, and announced."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from accounts.desk import Verb, VerbAdmin, VerbForm
from accounts.models import User
from billing.models.states import IllegalTransition
from cancellations.admin.policy_form import PolicyForm
from cancellations.models import Announcement, PolicyVersion
from cancellations.models.states import PolicyState
from cancellations.queries.policies import announced_versions, published_versions
from cancellations.rules.comparison import compare_figures
from cancellations.services.announcing import announce
from cancellations.services.common import RequestRefused
from cancellations.services.policies import publish, recall
from cancellations.wording.policy import FIRST_TEXT, filled_in, table


class PublishForm(VerbForm):
    change_summary = forms.CharField(
        label="What changes",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="In one sentence. Customers read it in the policy’s history.",
        error_messages={"required": "Say in a sentence what changes. Customers read it."},
    )
    effective_from = forms.DateTimeField(
        label="In force from",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Leave it empty for now.",
        error_messages={"invalid": "Enter a date and a time."},
    )
    tell_holders = forms.BooleanField(
        label="Announce it to account holders by mail",
        required=False,
        help_text="It is sent in the background. The page of the version shows the progress.",
    )

    recalled = forms.ModelMultipleChoiceField(
        label="Recall what was announced for later",
        queryset=PolicyVersion.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What you do not tick still comes into force on its day, and follows this version.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["recalled"]
        field.queryset = announced_versions(timezone.now())
        field.label_from_instance = lambda version: f"{version}, in force from {version.effective_from:%d %b %Y, %H:%M}"
        if not field.queryset.exists():
            del self.fields["recalled"]


class RecallForm(VerbForm):
    ground = forms.CharField(
        label="Why it is recalled",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="In one sentence. Customers read it in the policy’s history.",
        error_messages={"required": "Say why it is recalled. Customers read it."},
    )


def _recall(version: PolicyVersion, user: User, data: dict[str, Any], now: datetime) -> None:
    recall(version=version, ground=data["ground"], by=user, now=now)


def _publish(version: PolicyVersion, user: User, data: dict[str, Any], now: datetime) -> None:
    publish(
        version=version,
        by=user,
        now=now,
        effective_from=data["effective_from"] or now,
        change_summary=data["change_summary"],
        tell_holders=data["tell_holders"],
        instead_of=list(data.get("recalled") or ()),
    )


def _announce(version: PolicyVersion, user: User, data: dict[str, Any], now: datetime) -> None:
    announce(version=version, by=user, now=now)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(VerbAdmin):
    """Drafts are edited here; a published version is only shown."""

    list_display = ["__str__", "state", "effective_from", "notice_days", "refund_decision_days", "change_summary"]
    refusals, illegal = (RequestRefused,), (IllegalTransition,)
    change_form_template = "desk/policy.html"
    form = PolicyForm
    fieldsets = [
        (None, {"fields": ["number", "text"]}),
        ("Figures", {"fields": ["notice_days", "trial_notice_days", "cooling_off_days", "verification_days"]}),
        ("Special terms", {"fields": ["special_terms"]}),
        ("Review", {"fields": ["review_mode", "refund_decision_days", "refund_payment_days", "approval_limits"]}),
        ("Termination", {"fields": ["termination_basis", "termination_needs_two"]}),
    ]
    verbs = (
        Verb(
            "publish", "Publish", "cancellations.publish_policyversion", (PolicyState.DRAFT,), PublishForm, _publish,
            "Requests received from then on are bound to this version. It can never be changed again.", "published.",
        ),
        Verb(
            "recall", "Recall", "cancellations.publish_policyversion", (PolicyState.PUBLISHED,), RecallForm, _recall,
            "It never comes into force, and stays in the public history as recalled. A running announcement stops; "
            "whoever was told by then hears nothing more.", "recalled.",
            applies=lambda version, user: version.effective_from > timezone.now(),
        ),
        Verb(
            "announce", "Announce to account holders", "cancellations.publish_policyversion", (PolicyState.PUBLISHED,),
            VerbForm, _announce, "Each account holder is sent a mail with what changes and from when, one per address.",
            "announcement started.",
            applies=lambda version, user: not Announcement.objects.filter(policy_version=version).exists(),
        ),
    )  # fmt: skip

    def page_context(self, request: HttpRequest, row: PolicyVersion) -> dict[str, Any]:
        previous = published_versions().filter(number__lt=row.number).first()
        return {
            "row": row,
            "policy_html": filled_in(row),
            "figures": compare_figures(table(previous) if previous else {}, table(row)),
            "before": previous,
            "announcement": Announcement.objects.filter(policy_version=row).first(),
        }

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        newest = PolicyVersion.objects.order_by("-number").first()
        if newest is None:
            return {"number": 1, "text": FIRST_TEXT.read_text(encoding="utf-8")}
        copied = {name: getattr(newest, name) for _, options in self.fieldsets for name in options["fields"]}
        return {**copied, "number": newest.number + 1}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(ModelAdmin.has_add_permission(self, request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        editable = obj is None or obj.state == PolicyState.DRAFT
        return editable and bool(ModelAdmin.has_change_permission(self, request, obj))

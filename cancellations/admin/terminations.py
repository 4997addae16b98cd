"""Terminations: the page that terminates an account after a preview, and the verbs that follow."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from unfold.decorators import display

from accounts.desk import Verb, VerbAdmin, VerbForm
from accounts.desk.proof import ask_for_proof, is_proven_recently, restored_input
from accounts.models import Account, User
from accounts.queries import find_account
from accounts.timeline import changed_since
from billing.models import EndedBy, RefundBasis
from billing.models.states import IllegalTransition
from cancellations.admin.files import AddFilesForm, FilesAdmin
from cancellations.admin.timeline import termination_timeline
from cancellations.models import Attachment, Termination, TerminationGround
from cancellations.models.states import TerminationState
from cancellations.queries.policies import policy_in_force
from cancellations.services.attachments import attach_to_termination
from cancellations.services.common import RequestRefused
from cancellations.services.termination import Case, confirm, discard, preview_termination, reverse, terminate
from messaging.forms import IdentifierField, KeepableTextMixin

S = TerminationState
YES_NO = [("yes", "Yes, a refund is proposed"), ("no", "No, none is proposed")]


class TerminateForm(KeepableTextMixin, forms.Form):
    account_number = IdentifierField(
        label="Account number", max_length=40, error_messages={"required": "Enter the account number."}
    )
    ground = forms.ChoiceField(
        choices=TerminationGround.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a ground from the list."},
    )
    description = forms.CharField(
        label="What happened",
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Facts and dates. The customer reads it in the letter, and may appeal against it.",
        error_messages={"required": "Describe what happened. The customer reads it, and may appeal against it."},
    )
    evidence = forms.CharField(
        label="Evidence",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What proves it, and where it is stored. Only staff see it. You can add files on the next page.",
    )
    refund_proposed = forms.ChoiceField(
        label="Refund of the unused part",
        choices=YES_NO,
        widget=forms.RadioSelect,
        error_messages={"required": "Say whether a refund is proposed."},
    )
    refund_ground = forms.CharField(
        label="Why, or why not",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Finance reads it and decides.",
        error_messages={"required": "Say why a refund is proposed, or why not. Finance reads it."},
    )
    revoke_sign_in = forms.BooleanField(label="Revoke sign-in to the account", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False

    def clean_account_number(self) -> Account:
        number = self.cleaned_data["account_number"].strip()
        account = find_account(account_number=number, username="")
        if account is None:
            raise forms.ValidationError(f"No account has the number {number}. Look it up under Accounts.")
        return account

    def case(self) -> Case:
        data = dict(self.cleaned_data)
        account, proposed = data.pop("account_number"), data.pop("refund_proposed") == "yes"
        return Case(account=account, refund_proposed=proposed, **data)


class GroundForm(VerbForm):
    ground = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Stored for good. The customer reads it.",
        error_messages={"required": "State the ground. It is stored, and the customer reads it."},
    )


def _confirm(termination: Termination, user: User, data: dict[str, Any], now: datetime) -> None:
    confirm(termination=termination, by=user, now=now)


def _discard(termination: Termination, user: User, data: dict[str, Any], now: datetime) -> None:
    discard(termination=termination, by=user, ground=data["ground"], now=now)


def _reverse(termination: Termination, user: User, data: dict[str, Any], now: datetime) -> None:
    reverse(termination=termination, by=user, ground=data["ground"], now=now)


def _add_files(termination: Termination, user: User, data: dict[str, Any], now: datetime) -> None:
    attach_to_termination(termination=termination, files=data["file"], by=user, now=now)


@admin.register(Termination)
class TerminationAdmin(FilesAdmin, VerbAdmin):
    list_display = ["reference", "account", "ground", "shown_state", "proposed_by", "effective_at"]
    list_filter = ["state", "ground"]
    search_fields = ["reference", "account__account_number", "account__name", "account__email"]
    refusals, illegal = (RequestRefused,), (IllegalTransition,)
    change_form_template = "desk/termination.html"
    verbs = (
        Verb(
            "confirm", "Confirm", "cancellations.terminate_account", (S.PROPOSED,), VerbForm, _confirm,
            "It takes effect at once: subscriptions end, open requests are superseded, and the letter is sent.",
            "confirmed.",
            applies=lambda termination, user: user.pk != termination.proposed_by_id,
            sensitive=True,
        ),
        Verb(
            "discard", "Discard", "cancellations.terminate_account", (S.PROPOSED,), GroundForm, _discard,
            "Nothing happens to the account, and the customer is not notified.", "discarded.",
        ),
        Verb(
            "reverse", "Reverse on appeal", "cancellations.terminate_account", (S.EFFECTIVE,), GroundForm, _reverse,
            "Its subscriptions continue, the requests that it superseded return to review, refunds whose payment has "
            "not started become void, and the customer is notified. Other refunds do not change.", "reversed.",
            sensitive=True,
        ),
        Verb(
            "add-files", "Add evidence", "cancellations.terminate_account", tuple(S), AddFilesForm, _add_files,
            "They are stored with the termination for good. Only staff see them.", "evidence added.",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Termination]:
        terminations: QuerySet[Termination] = super().get_queryset(request)
        return terminations.select_related("account", "policy_version", "proposed_by", "confirmed_by", "settled_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("cancellations.terminate_account"))  # type: ignore[union-attr]

    @csrf_protect_m
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Shows the form, then a preview of the termination, and terminates once that is confirmed."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        assert isinstance(request.user, User)
        now = timezone.now()
        if not is_proven_recently(request, now):
            return ask_for_proof(request)
        initial = self._initial(request, now) | restored_input(request)
        form = TerminateForm(request.POST if request.method == "POST" else None, initial=initial)
        preview = None
        if form.is_valid() and request.POST.get("step") != "edit":
            try:
                if request.POST.get("step") == "confirm":
                    return self._redirect_to(request, terminate(case=form.case(), by=request.user, now=now))
                preview = preview_termination(case=form.case(), by=request.user, now=now)
            except RequestRefused as error:
                if (existing := self._own_termination(form.case().account, request.user)) is not None:
                    return self._redirect_to(request, existing)  # a double click
                form.add_error(None, str(error))
        context = {
            **self.admin_site.each_context(request),
            "title": "Terminate an account",
            "opts": self.opts,
            "form": form,
            "preview": preview,
            "policy": policy_in_force(now),
        }
        failed = form.is_bound and preview is None and request.POST.get("step") != "edit"
        return render(request, "desk/terminate.html", context, status=422 if failed else 200)

    def _own_termination(self, account: Account, user: User) -> Termination | None:
        active = Termination.objects.filter(account=account, state__in=(S.PROPOSED, S.EFFECTIVE))
        return active.filter(proposed_by=user).first()

    def _initial(self, request: HttpRequest, now: datetime) -> dict[str, Any]:
        proposes = policy_in_force(now).termination_basis != RefundBasis.NONE
        account = request.GET.get("account", "")
        return {"account_number": account, "refund_proposed": "yes" if proposes else "no", "revoke_sign_in": True}

    def _redirect_to(self, request: HttpRequest, termination: Termination) -> HttpResponse:
        is_waiting = termination.state == S.PROPOSED
        result = "waits for a second manager. Nothing has happened to the account yet." if is_waiting else "in effect."
        messages.success(request, f"{termination}: {result}")
        return redirect(self.page_url(termination))

    def page_context(self, request: HttpRequest, row: Termination) -> dict[str, Any]:
        return {
            "row": row,
            "done": row.subscriptions.select_related("subscription", "refund").order_by("subscription__reference"),
            "requests": row.superseded_requests.select_related("subscription").order_by("reference"),
            "files": self.files_of(row).defer("content"),
            "timeline": termination_timeline(row),
        }

    def facts(self, row: Termination) -> dict[str, str]:
        facts = {"State": str(row.get_state_display()), "Confirmed by": str(row.confirmed_by or "nobody yet")}
        facts["Subscriptions ended"] = str(row.subscriptions.filter(subscription__ended_by=EndedBy.PORTAL).count())
        facts["Requests superseded"] = str(row.superseded_requests.filter(state="superseded").count())
        return facts

    def what_changed(self, row: Termination, since: int) -> list[str]:
        return changed_since(row, since)

    def files_of(self, row: Termination) -> QuerySet[Attachment]:
        return Attachment.objects.filter(termination=row)

    @display(
        description="state",
        ordering="state",
        label={"waiting for a second manager": "warning", "effective": "danger", "reversed": "info"},
    )
    def shown_state(self, termination: Termination) -> str:
        return termination.get_state_display()

"""Bulk actions in the staff interface: the page that starts a job, and the page of its results."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import display

from accounts.audit import record_action
from accounts.desk import DeskAdmin, text_field
from accounts.desk.exports import exported
from accounts.models import User
from cancellations.admin.filters import request_workers
from cancellations.models import BulkJob, BulkState, BulkVerb, CancellationRequest
from cancellations.services.bulk import MAX_REQUESTS, PERMISSIONS, order
from cancellations.services.common import RequestRefused
from messaging.forms import KeepableTextMixin

CONSEQUENCES = {
    BulkVerb.SCHEDULE: "Each request takes effect on its own end date. Each customer is notified immediately.",
    BulkVerb.ASSIGN: "They find them under «assigned to me».",
    BulkVerb.ASK_AGAIN: "The link that proves the address is sent again for each request that is not proven.",
}
SHOWN = 200


class BulkForm(KeepableTextMixin, forms.Form):
    """The input that the verb needs, and the keys of the selected requests."""

    keys = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, verb: BulkVerb, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False
        if verb == BulkVerb.SCHEDULE:
            self.fields["words"] = text_field(required=False, help_text="Optional. It appears in each mail.")
        if verb == BulkVerb.ASSIGN:
            self.fields["to"] = forms.ModelChoiceField(
                label="To",
                queryset=request_workers(),
                empty_label="Choose a person",
                error_messages={"required": "Choose a person."},
            )

    def clean_keys(self) -> list[int]:
        keys = self.cleaned_data["keys"].split(",")
        if not all(key.isdecimal() and len(key) < 19 for key in keys) or len(keys) > MAX_REQUESTS:
            raise forms.ValidationError("The selection is not valid. Select the requests again.")
        return list(CancellationRequest.objects.filter(pk__in=map(int, keys)).values_list("pk", flat=True))


class BulkActions:
    """Mixin of the queue: actions on the selected requests, or on all that match the filters."""

    def get_urls(self) -> list[URLPattern]:
        self_: Any = self
        page = self_.admin_site.admin_view(self.bulk_view)
        urls: list[URLPattern] = super().get_urls()  # type: ignore[misc]  # mixed into a ModelAdmin
        return [path("bulk/<slug:verb>/", page, name="bulk"), *urls]

    @admin.action(description="Schedule", permissions=["schedule"])
    def schedule_selected(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> HttpResponse | None:
        return self._ask(request, queryset, BulkVerb.SCHEDULE)

    @admin.action(description="Assign", permissions=["assign"])
    def assign_selected(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> HttpResponse | None:
        return self._ask(request, queryset, BulkVerb.ASSIGN)

    @admin.action(description="Ask for proof again", permissions=["assign"])
    def ask_selected_again(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> HttpResponse | None:
        return self._ask(request, queryset, BulkVerb.ASK_AGAIN)

    @admin.action(description="Export as CSV", permissions=["export"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> HttpResponseBase:
        self_: Any = self
        assert isinstance(request.user, User)
        keys = list(queryset.values_list("pk", flat=True)[: MAX_REQUESTS + 1])
        now, why = timezone.now(), f"csv, {len(keys)} selected rows"
        record_action(verb="export", by=request.user, now=now, about=self_.list_name, why=why)
        rows = self_.each_row(self_.get_queryset(request).filter(pk__in=keys), self_.get_ordering(request))
        return exported("csv", name=f"requests-{now:%Y-%m-%d}", columns=self_.columns, rows=rows)

    def has_schedule_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(PERMISSIONS[BulkVerb.SCHEDULE]))  # type: ignore[union-attr]

    def has_assign_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(PERMISSIONS[BulkVerb.ASSIGN]))  # type: ignore[union-attr]

    def has_export_permission(self, request: HttpRequest) -> bool:
        self_: Any = self
        return bool(request.user.has_perm(self_.export_permission))  # type: ignore[union-attr]

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[CancellationRequest], verb: BulkVerb
    ) -> HttpResponse | None:
        keys = list(queryset.order_by().values_list("pk", flat=True)[: MAX_REQUESTS + 1])
        if len(keys) > MAX_REQUESTS:
            messages.error(request, f"At most {MAX_REQUESTS:,} requests at once. Narrow the filters down.")
            return None
        return self._page(request, verb, BulkForm(verb, initial={"keys": ",".join(map(str, keys))}), keys)

    def _page(self, request: HttpRequest, verb: BulkVerb, form: BulkForm, keys: list[int]) -> HttpResponse:
        self_: Any = self
        states = CancellationRequest.objects.filter(pk__in=keys).values_list("state").annotate(many=Count("pk"))
        labels = dict(CancellationRequest._meta.get_field("state").flatchoices)
        context = {
            **self_.admin_site.each_context(request),
            "title": f"{verb.label.capitalize()}: {len(keys)} request{'' if len(keys) == 1 else 's'}",
            "opts": self_.opts,
            "form": form,
            "verb": verb,
            "consequence": CONSEQUENCES[verb],
            "states": sorted((str(labels[state]), count) for state, count in states),
            "url": reverse("admin:bulk", args=[verb]),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return render(request, "desk/bulk.html", context, status=422 if form.is_bound else 200)

    @csrf_protect_m
    def bulk_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        self_: Any = self
        if verb not in BulkVerb.values or request.method != "POST":
            return redirect(f"admin:{self_.opts.app_label}_{self_.opts.model_name}_changelist")
        chosen = BulkVerb(verb)
        if not request.user.has_perm(PERMISSIONS[chosen]):  # type: ignore[union-attr]
            raise PermissionDenied
        assert isinstance(request.user, User)
        form = BulkForm(chosen, request.POST)
        if form.is_valid():
            data = form.cleaned_data
            options: dict[str, Any] = {"words": data.get("words", ""), "to": data.get("to")}
            try:
                job = order(verb=chosen, requests=data["keys"], by=request.user, now=timezone.now(), **options)
            except RequestRefused as error:
                form.add_error(None, str(error))
            else:
                return redirect("admin:cancellations_bulkjob_change", job.pk)
        return self._page(request, chosen, form, form.cleaned_data.get("keys", []))


@admin.register(BulkJob)
class BulkJobAdmin(DeskAdmin):
    """Bulk jobs: their progress, and which requests were refused and why."""

    change_form_template = "desk/bulk_job.html"
    list_display = ["__str__", "ordered_by", "ordered_at", "progress"]
    list_filter = ["verb"]
    list_select_related = ["ordered_by"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("cancellations.view_cancellationrequest"))  # type: ignore[union-attr]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        job = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if job is not None and self.has_view_permission(request, job):
            counts = dict(job.rows.values_list("state").annotate(many=Count("pk")))
            only = request.GET.get("only", "")
            rows = job.rows.filter(state=only) if only in BulkState.values else job.rows.all()
            context |= {
                "row": job,
                "done": counts.get(BulkState.DONE, 0),
                "refused": counts.get(BulkState.REFUSED, 0),
                "waiting": counts.get(BulkState.PENDING, 0),
                "past": job.total - counts.get(BulkState.PENDING, 0),
                "rows": rows.select_related("request")[: SHOWN + 1],
                "shown": SHOWN,
                "only": only,
            }
        return super().change_view(request, object_id, form_url, context)

    @display(description="progress")
    def progress(self, job: BulkJob) -> str:
        if job.finished_at:
            return f"finished {timezone.localtime(job.finished_at):%d %b %Y, %H:%M}"
        pending = job.rows.filter(state=BulkState.PENDING).count()
        return f"{job.total - pending} of {job.total}"

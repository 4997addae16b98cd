"""What the workers set aside, whatever the kind of row, with the error and a way to try it again."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from accounts.desk import DeskAdmin
from accounts.models import User
from cancellations.services.set_aside import PERMISSION, try_set_aside_again
from messaging.due import Work
from messaging.models import SetAside


@admin.register(SetAside)
class SetAsideAdmin(DeskAdmin):
    list_display = ["what", "row", "error", "at"]
    list_filter = ["work"]
    fields = readonly_fields = ("what", "row", "error", "at")
    actions = ("try_again",)

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-at", "-id"]

    @display(description="What the workers could not do")
    def what(self, row: SetAside) -> str:
        return label_of(row)

    @display(description="row")
    def row(self, row: SetAside) -> str:
        url = url_of(row)
        return format_html('<a href="{}">{}</a>', url, row.key) if url else row.key

    @admin.action(description="Try again", permissions=["try_again"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[SetAside]) -> None:
        assert isinstance(request.user, User)
        count = try_set_aside_again(rows=list(queryset), by=request.user, now=timezone.now())
        self.message_user(request, f"{count} will be tried again shortly. What fails again comes back to this list.")

    def has_try_again_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(PERMISSION))  # type: ignore[union-attr]


def label_of(row: SetAside) -> str:
    work = Work.registry.get(row.work)
    return work.label.capitalize() if work else row.work


def url_of(row: SetAside) -> str:
    """Returns the page of the row; empty if it has none."""
    work: Work[Any] | None = Work.registry.get(row.work)
    if work is None:
        return ""
    model = work.due(timezone.now()).model
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.key])
    except NoReverseMatch:
        return ""

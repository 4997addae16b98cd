"""Forms that were begun but not finished, to find out what stops people."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.desk import DeskAdmin
from cancellations.models import BegunForm


class Finished(admin.SimpleListFilter):
    title, parameter_name = "finished", "left"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "not finished"), ("no", "finished")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BegunForm]) -> QuerySet[BegunForm]:
        if self.value() in ("yes", "no"):
            return queryset.filter(finished_at__isnull=self.value() == "yes")
        return queryset


@admin.register(BegunForm)
class BegunFormAdmin(DeskAdmin):
    list_display = ["begun_at", "kind", "jurisdiction", "signed_in", "stopped_at", "fields_with_errors", "finished_at"]
    list_display_links = None
    list_filter = [Finished, "stopped_at", "signed_in"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("cancellations.view_cancellationrequest"))  # type: ignore[union-attr]

    @display(description="fields with errors")
    def fields_with_errors(self, form: BegunForm) -> str:
        return ", ".join(name.replace("__all__", "the form").replace("_", " ") for name in form.errors) or "–"

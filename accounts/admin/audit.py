"""The audit: who did what to whom, when and from where."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import Truncator
from unfold.decorators import display

from accounts.audit import lines_of, reasons_of, thing, values_of
from accounts.desk import DeskAdmin
from accounts.models import AuditEntry, ToldContext, User

MANY = 200


class OfPerson(admin.SimpleListFilter):
    title, parameter_name = "who", "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = User.objects.filter(is_staff=True).order_by("name", "email")[:MANY]
        return [("customer", "a customer"), ("system", "the system"), *((str(one.pk), str(one)) for one in people)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = self.value() or ""
        if value in ("customer", "system"):
            return queryset.filter(actor=value)
        return queryset.filter(by=int(value)) if value.isdecimal() and len(value) < 10 else queryset


class Since(admin.SimpleListFilter):
    title, parameter_name = "when", "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "last 24 hours"), ("7", "last 7 days"), ("30", "last 30 days"), ("365", "last year")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        days = self.value() or ""
        known = days in {value for value, _ in self.lookup_choices}
        return queryset.filter(at__gte=timezone.now() - timedelta(days=int(days))) if known else queryset


class _Distinct(admin.SimpleListFilter):
    """The values that a column has, found by skipping along its index."""

    column = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, self.named(value)) for value in values_of(self.column) if value]

    def named(self, value: str) -> str:
        return value

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class OfVerb(_Distinct):
    title, parameter_name, column = "what was done", "verb", "verb"

    def named(self, value: str) -> str:
        return value.replace("_", " ")


class OfTable(_Distinct):
    title, parameter_name, column = "to what", "table", "table_name"

    def named(self, value: str) -> str:
        return thing(value)


@admin.register(AuditEntry)
class AuditAdmin(DeskAdmin):
    """Who did what to whom, when, from where: read, filtered and exported, never changed."""

    change_form_template = "desk/audit.html"
    list_display = ["when", "who", "what", "to_what", "about", "where_from", "why", "sealed"]
    list_display_links = ["when"]
    list_filter = [OfPerson, OfVerb, OfTable, Since, "operation"]
    search_fields = ["about"]
    search_help_text = "Reference, account number or a colleague’s e-mail address, from its beginning"
    export_permission = "accounts.export_auditentry"
    columns = (
        ("Number", lambda row: row.number),
        ("When", lambda row: row.at),
        ("Who", lambda row: row.told_who),
        ("Done", lambda row: row.verb),
        ("To what", lambda row: thing(row.table_name)),
        ("About", lambda row: row.about),
        ("From", lambda row: row.address),
        ("Page", lambda row: row.page),
        ("Why", lambda row: row.told_why),
        ("Line", lambda row: f"{row.table_name} {row.row_key}"),
        ("Operation", lambda row: row.get_operation_display()),
        ("Digest", lambda row: row.digest),
        ("Seal", lambda row: row.seal),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Without the notes of who and why by themselves: they stand beside what they tell of."""
        return super().get_queryset(request).exclude(table_name=ToldContext._meta.db_table)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = search_term.strip()
        return (queryset.filter(about__startswith=term) if term else queryset), False

    def prepare(self, rows: list[AuditEntry]) -> list[AuditEntry]:
        people = {one.pk: str(one) for one in User.objects.filter(pk__in={row.by_id for row in rows if row.by_id})}
        reasons: dict[tuple[str, str], str] = {}
        for table in {row.table_name for row in rows}:
            keys = [row.row_key for row in rows if row.table_name == table]
            reasons |= {(table, key): why for key, why in reasons_of(table, keys)}
        for row in rows:
            nobody = {"customer": "a customer", "system": "the system", "": "somebody outside the portal"}
            row.told_who = people.get(row.by_id or 0) or nobody.get(row.actor, row.actor)  # type: ignore[attr-defined]
            row.told_why = reasons.get((row.table_name, row.row_key), "")  # type: ignore[attr-defined]
        return rows

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            self.prepare([row])
            context |= {"row": row, "lines": lines_of(row)}
        return super().change_view(request, object_id, form_url, context)

    @display(description="who")
    def who(self, row: Any) -> str:
        return str(row.told_who)

    @display(description="what was done", label={"outside the portal": "danger"})
    def what(self, row: AuditEntry) -> str:
        return row.verb.replace("_", " ") or "outside the portal"

    @display(description="to what")
    def to_what(self, row: AuditEntry) -> str:
        return thing(row.table_name)

    @display(description="from")
    def where_from(self, row: AuditEntry) -> str:
        return row.address or row.page or "–"

    @display(description="why")
    def why(self, row: Any) -> str:
        return Truncator(row.told_why).chars(80) or "–"

    @display(description="number")
    def sealed(self, row: AuditEntry) -> str:
        return str(row.number or "sealed soon")

    @display(description="when")
    def when(self, row: AuditEntry) -> str:
        return f"{timezone.localtime(row.at):%d %b %Y, %H:%M:%S}"

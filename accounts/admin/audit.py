"""The audit log in the staff interface: who did what, when and from where."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import Truncator
from unfold.decorators import display

from accounts.audit import fields_of, reasons_of, subject_of, values_of
from accounts.desk import DeskAdmin
from accounts.models import AuditEntry, HistoryContext, User

MAX_PEOPLE = 200


class OfPerson(admin.SimpleListFilter):
    title, parameter_name = "who", "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = User.objects.filter(is_staff=True).order_by("name", "email")[:MAX_PEOPLE]
        return [
            ("customer", "a customer"),
            ("system", "the system"),
            *((str(person.pk), str(person)) for person in people),
        ]

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
        is_choice = days in {value for value, _ in self.lookup_choices}
        return queryset.filter(at__gte=timezone.now() - timedelta(days=int(days))) if is_choice else queryset


class _Distinct(admin.SimpleListFilter):
    """A filter that offers the distinct values of a column."""

    column = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, self.label(value)) for value in values_of(self.column) if value]

    def label(self, value: str) -> str:
        return value

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class OfVerb(_Distinct):
    title, parameter_name, column = "what was done", "verb", "verb"

    def label(self, value: str) -> str:
        return value.replace("_", " ")


class OfTable(_Distinct):
    title, parameter_name, column = "to what", "table", "table_name"

    def label(self, value: str) -> str:
        return subject_of(value)


@admin.register(AuditEntry)
class AuditAdmin(DeskAdmin):
    """Read-only: the audit log can be filtered and exported, never changed."""

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
        ("Who", lambda row: row.who_name),
        ("Done", lambda row: row.verb),
        ("To what", lambda row: subject_of(row.table_name)),
        ("About", lambda row: row.about),
        ("From", lambda row: row.address),
        ("Page", lambda row: row.page),
        ("Why", lambda row: row.why_text),
        ("History row", lambda row: f"{row.table_name} {row.row_key}"),
        ("Operation", lambda row: row.get_operation_display()),
        ("Digest", lambda row: row.digest),
        ("Seal", lambda row: row.seal),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Without the entries of history contexts: who and why are shown with the change itself."""
        return super().get_queryset(request).exclude(table_name=HistoryContext._meta.db_table)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = search_term.strip()
        return (queryset.filter(about__startswith=term) if term else queryset), False

    def prepare(self, rows: list[AuditEntry]) -> list[AuditEntry]:
        staff = User.objects.filter(pk__in={row.by_id for row in rows if row.by_id})
        people = {person.pk: str(person) for person in staff}
        reasons: dict[tuple[str, str], str] = {}
        for table in {row.table_name for row in rows}:
            keys = [row.row_key for row in rows if row.table_name == table]
            reasons |= {(table, key): why for key, why in reasons_of(table, keys)}
        for row in rows:
            actors = {"customer": "a customer", "system": "the system", "": "somebody outside the portal"}
            row.who_name = people.get(row.by_id or 0) or actors.get(row.actor, row.actor)  # type: ignore[attr-defined]
            row.why_text = reasons.get((row.table_name, row.row_key), "")  # type: ignore[attr-defined]
        return rows

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            self.prepare([row])
            context |= {"row": row, "fields": fields_of(row)}
        return super().change_view(request, object_id, form_url, context)

    @display(description="who")
    def who(self, row: Any) -> str:
        return str(row.who_name)

    @display(description="what was done", label={"outside the portal": "danger"})
    def what(self, row: AuditEntry) -> str:
        return row.verb.replace("_", " ") or "outside the portal"

    @display(description="to what")
    def to_what(self, row: AuditEntry) -> str:
        return subject_of(row.table_name)

    @display(description="from")
    def where_from(self, row: AuditEntry) -> str:
        return row.address or row.page or "–"

    @display(description="why")
    def why(self, row: Any) -> str:
        return Truncator(row.why_text).chars(80) or "–"

    @display(description="number")
    def sealed(self, row: AuditEntry) -> str:
        return str(row.number or "sealed soon")

    @display(description="when")
    def when(self, row: AuditEntry) -> str:
        return f"{timezone.localtime(row.at):%d %b %Y, %H:%M:%S}"

"""Lists of the staff interface: paged by key (keyset pagination), with filters that can be saved and shared."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters, csrf_protect_m
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from accounts.audit import record_action
from accounts.desk.exports import FORMS, exported
from accounts.desk.paging import Key, keys_of, page
from accounts.models import SavedFilter, User
from messaging.forms import KeepableModelForm
from messaging.text import REPLACEMENT, on_one_line, replace_unkeepable

AFTER, BEFORE = "after", "before"
NOT_SAVED = (AFTER, BEFORE, PAGE_VAR, ERROR_FLAG)
MAX_SAVED = 30
EXPORT_PAGE_SIZE = 1000


class Keyset(Paginator):
    """A placeholder where the admin expects a paginator; KeysetList does the paging."""

    template_name = "desk/pagination.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__([], 1)


class KeysetList(ChangeList):
    """Django's change list without COUNT and without OFFSET."""

    keys: list[Key]
    next_url = previous_url = first_url = ""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self._after, self._before = request.GET.get(AFTER, ""), request.GET.get(BEFORE, "")
        super().__init__(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        filter_params = super().get_filters_params(params)
        for name in (AFTER, BEFORE):
            filter_params.pop(name, None)
        return filter_params

    def get_results(self, request: HttpRequest) -> None:
        for name in (AFTER, BEFORE):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        self.keys = keys_of(self.model, self.get_ordering(request, self.root_queryset))
        current = page(self.queryset, self.keys, size=self.list_per_page, after=self._after, before=self._before)
        self.paginator = Keyset()
        self.result_list = self.model_admin.prepare(current.rows)
        # Not the real count: only enough for the admin to tell whether there are more rows than on this page
        self.result_count = len(current.rows) + bool(current.next or current.previous)
        self.full_result_count, self.show_full_result_count, self.show_admin_actions = self.result_count, False, True
        self.can_show_all = self.multi_page = False
        self.next_url = self.get_query_string({AFTER: current.next}) if current.next else ""
        self.previous_url = self.get_query_string({BEFORE: current.previous}) if current.previous else ""
        self.first_url = self.get_query_string() if current.previous else ""


class DeskAdmin(ModelAdmin):
    """A read-only list: only the import and verbs create and change rows.

    `columns` are the columns of an export, by title; without `export_permission` there is no export.
    """

    export_permission: ClassVar[str] = ""
    columns: ClassVar[tuple[tuple[str, Callable[[Any], Any]], ...]] = ()

    form = KeepableModelForm
    paginator = Keyset
    show_full_result_count = False
    list_per_page = 50
    actions: Any = None
    list_filter_submit = False
    list_fullwidth = True
    show_facets = ShowFacets.NEVER  # facets count the whole table, once for each choice
    list_before_template = "desk/saved_filters.html"
    sortable: ClassVar[tuple[str, ...]] = ()  # columns that an index can sort by

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return self.sortable

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @property
    def list_name(self) -> str:
        return str(self.opts.label_lower)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("filters/save/", self.admin_site.admin_view(self.save_filter), name=f"{name}_save_filter"),
            path(
                "filters/<int:key>/remove/", self.admin_site.admin_view(self.remove_filter), name=f"{name}_drop_filter"
            ),
            path("export/<slug:form>/", self.admin_site.admin_view(self.export_view), name=f"{name}_export"),
            *super().get_urls(),
        ]

    def prepare(self, rows: list[Any]) -> list[Any]:
        """Fetches what a page of rows needs besides them, in bulk, and returns the rows."""
        return rows

    def export_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """Exports all rows of the filtered list, in its order, as CSV or XLSX. Recorded in the audit log."""
        if not self.export_permission or not request.user.has_perm(self.export_permission):  # type: ignore[union-attr]
            raise PermissionDenied
        if form not in FORMS:
            raise Http404
        assert isinstance(request.user, User)
        now, query = timezone.now(), savable(request.GET)
        try:
            rows = self.rows_of(request, query)
        except IncorrectLookupParameters as error:
            raise BadRequest("The filters in that address are not valid.") from error
        record_action(
            verb="export", by=request.user, now=now, about=self.list_name, why=f"{form}, {query or 'all rows'}"
        )
        return exported(
            form,
            name=f"{self.opts.model_name}-{now:%Y-%m-%d}",
            columns=self.columns,
            rows=self.each_row(rows, self.get_ordering(request)),
        )

    def each_row(self, rows: QuerySet[Any], ordering: Sequence[Any]) -> Iterator[Any]:
        """Every row, read a page at a time so that they are never all in memory."""
        keys, after = keys_of(self.model, ordering), ""
        while True:
            current = page(rows, keys, size=EXPORT_PAGE_SIZE, after=after)
            yield from self.prepare(current.rows)
            after = current.next
            if not after:
                return

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if any(REPLACEMENT in value for _, values in request.GET.lists() for value in values):  # see KeepableText
            messages.error(request, "The filters in that address are not valid. This is the whole list.")
            return redirect(self._list_url())
        query = savable(request.GET)
        saved = SavedFilter.objects.filter(list_name=self.list_name).select_related("owner")
        mine_or_shared = saved.filter(Q(owner=request.user.pk) | Q(shared=True))[:MAX_SAVED]
        context = {
            "saved_filters": [(saved_filter, saved_filter.query == query) for saved_filter in mine_or_shared],
            "savable": query,
            "save_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_save_filter"),
            "drop_url": f"admin:{self.opts.app_label}_{self.opts.model_name}_drop_filter",
            "export_urls": self._export_urls(request, query),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @csrf_protect_m
    def save_filter(self, request: HttpRequest) -> HttpResponse:
        """Saves the filters, the search and the order of the list under a name."""
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        assert isinstance(request.user, User)
        query = savable(QueryDict(request.POST.get("query", "")))
        back = redirect(f"{self._list_url()}?{query}")
        name = on_one_line(request.POST.get("name", ""))[:60]
        if not name or not query:
            messages.error(
                request, "Choose filters first, then give them a name." if name else "Give the filter a name."
            )
            return back
        values: dict[str, Any] = {"query": query[:1000], "shared": request.POST.get("shared") == "on"}
        try:
            with transaction.atomic():
                SavedFilter.objects.update_or_create(
                    owner=request.user, list_name=self.list_name, name=name, defaults=values
                )
        except IntegrityError:  # saved under the same name at the same moment: it exists now
            pass
        messages.success(request, f"Saved as «{name}».")
        return back

    @csrf_protect_m
    def remove_filter(self, request: HttpRequest, key: int) -> HttpResponse:
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        saved_filter = get_object_or_404(SavedFilter, pk=key, list_name=self.list_name, owner=request.user.pk)
        saved_filter.delete()
        messages.success(request, f"«{saved_filter.name}» was removed.")
        return redirect(self._list_url())

    def _export_urls(self, request: HttpRequest, query: str) -> list[tuple[str, str]]:
        if not self.export_permission or not request.user.has_perm(self.export_permission):  # type: ignore[union-attr]
            return []
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_export"
        return [(form.upper(), f"{reverse(name, args=[form])}?{query}") for form in FORMS]

    def _list_url(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def rows_of(self, request: HttpRequest, query: str) -> QuerySet[Any]:
        """The rows that the list shows with this query, in its order."""
        get, request.GET = request.GET, QueryDict(savable(QueryDict(query)))  # type: ignore[assignment]
        try:
            change_list: Any = self.get_changelist_instance(request)
        finally:
            request.GET = get
        rows: QuerySet[Any] = change_list.queryset
        return rows


def savable(params: QueryDict) -> str:
    """The query string without the position in the list."""
    saved = params.copy()
    for name in NOT_SAVED:
        saved.pop(name, None)
    for name, values in list(saved.lists()):
        saved.setlist(name, [replace_unkeepable(value) for value in values])
    return saved.urlencode()

"""The staff interface's common ground: pages that show, and verbs that act, each on a page of its own.

Rows are never edited in a form here. What staff may do is a verb with its permission, its form and its
confirmation; the service behind it decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from accounts.models import User


class VerbForm(forms.Form):
    """The form of a verb. It may look at the row (`row`) and at who acts (`user`) to offer the right choices."""

    def __init__(self, *args: Any, row: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.row, self.user = row, user
        self.use_required_attribute = False


@dataclass(frozen=True)
class Verb:
    """One thing that staff do to a row: who may, in which states, what is asked, and the service's call."""

    name: str
    label: str
    permission: str
    states: tuple[str, ...]
    form: type[VerbForm]
    run: Callable[[Any, User, dict[str, Any], datetime], object]
    consequence: str
    done: str
    applies: Callable[[Any, User], bool] = lambda row, user: True

    def open_to(self, user: Any, row: Any) -> bool:
        return user.has_perm(self.permission) and row.state in self.states and self.applies(row, user)


class DeskAdmin(ModelAdmin):
    """Read-only: rows come and change by import and by verbs alone."""

    paginator = InfinitePaginator  # never counts a large table to print a page number
    show_full_result_count = False
    list_per_page = 50
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class VerbAdmin(DeskAdmin):
    """A read-only page with the row's verbs as buttons, shown only where they are legal and permitted."""

    verbs: ClassVar[tuple[Verb, ...]] = ()
    refusals: ClassVar[tuple[type[Exception], ...]] = ()  # what a person can mend in the form
    illegal: ClassVar[tuple[type[Exception], ...]] = ()  # the row moved on meanwhile
    change_form_template = "desk/page.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_verb"
        page = self.admin_site.admin_view(self.verb_view)
        return [path("<path:object_id>/do/<slug:verb>/", page, name=name), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            context["verbs"] = [
                (verb, self.verb_url(row, verb)) for verb in self.verbs if verb.open_to(request.user, row)
            ]
            context |= self.page_context(request, row)
        return super().change_view(request, object_id, form_url, context)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page shows beside the row itself."""
        return {"row": row}

    def verb_url(self, row: Model, verb: Verb) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_verb"
        return reverse(name, args=[row.pk, verb.name])

    def page_url(self, row: Model) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])

    @csrf_protect_m
    def verb_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        row: Any = self.get_object(request, object_id)
        chosen = next((one for one in self.verbs if one.name == verb), None)
        if row is None or chosen is None:
            raise Http404
        assert isinstance(request.user, User)
        if not self.has_view_permission(request, row) or not request.user.has_perm(chosen.permission):
            raise PermissionDenied
        if not chosen.open_to(request.user, row):
            messages.error(
                request, f"{row} is {row.get_state_display()}: {chosen.label.lower()} is not open to it now."
            )
            return redirect(self.page_url(row))
        posted = (request.POST, request.FILES) if request.method == "POST" else (None, None)
        form = chosen.form(*posted, row=row, user=request.user)
        answer = self._run(request, chosen, row, form) if form.is_valid() else None
        return answer or self._verb_page(request, chosen, row, form)

    def _run(self, request: HttpRequest, verb: Verb, row: Any, form: VerbForm) -> HttpResponse | None:
        assert isinstance(request.user, User)
        try:
            verb.run(row, request.user, form.cleaned_data, timezone.now())
        except self.illegal as error:
            messages.error(request, f"Nothing was changed: somebody was faster. {error}")
            return redirect(self.page_url(row))
        except self.refusals as error:
            form.add_error(None, str(error))
            return None
        messages.success(request, f"{row}: {verb.done}")
        return redirect(self.page_url(row))

    def _verb_page(self, request: HttpRequest, verb: Verb, row: Any, form: VerbForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            **self.page_context(request, row),
            "title": f"{verb.label}: {row}",
            "opts": self.opts,
            "verb": verb,
            "form": form,
            "back": self.page_url(row),
        }
        return render(request, "desk/verb.html", context, status=422 if form.is_bound else 200)

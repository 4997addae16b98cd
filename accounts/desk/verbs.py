"""Verbs: what staff can do to a row, each with its permission, its form, a preview and its confirmation.

Staff never edit rows directly. The service behind a verb decides; its page previews the effect by running the
service in a transaction that is rolled back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters, csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Max, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.desk.lists import DeskAdmin, savable
from accounts.desk.paging import cursor_of, keys_of, page
from accounts.desk.presence import end_presence, others_viewing, record_presence
from accounts.desk.proof import ask_for_proof, is_proven_recently, restored_input
from accounts.models import User
from messaging.forms import KeepableTextMixin
from messaging.models import CannedReply, OutgoingMessage
from messaging.outbound.rendering import markdown_to_html
from messaging.wording import language_for

SEEN, STEP, LIST, REPLY = "seen", "step", "list", "reply"


class VerbForm(KeepableTextMixin, forms.Form):
    """The form of a verb. It can use the row (`row`) and the user (`user`) to offer the right choices."""

    replies_to: ClassVar[str] = ""  # the field into which a saved reply is inserted

    def __init__(self, *args: Any, row: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.row, self.user = row, user
        self.use_required_attribute = False


def text_field(label: str = "Message to the customer", help_text: str = "Optional.", **kwargs: Any) -> forms.CharField:
    """A text area of at most 10,000 characters, by default optional in its help text."""
    options: dict[str, Any] = {"widget": forms.Textarea(attrs={"rows": 4}), "max_length": 10_000, **kwargs}
    return forms.CharField(label=label, help_text=help_text, **options)


@dataclass(frozen=True)
class Verb:
    """An action on a row: its permission, the states that allow it, its form, and the service that it calls.

    `key` is its keyboard shortcut. A verb that `decides` leads on to the next row of the queue, a `sensitive` one
    (money, terminations) asks for the second factor again, a `one_click` verb has no page of its own.
    """

    name: str
    label: str
    permission: str
    states: tuple[str, ...]
    form: type[VerbForm]
    run: Callable[[Any, User, dict[str, Any], datetime], object]
    consequence: str
    done: str
    applies: Callable[[Any, User], bool] = lambda row, user: True
    key: str = ""
    decides: bool = False
    sensitive: bool = False
    one_click: bool = False

    def is_open_to(self, user: Any, row: Any) -> bool:
        return user.has_perm(self.permission) and row.state in self.states and self.applies(row, user)


@dataclass
class Preview:
    """What a verb would do: the facts that change and the mails that go out, or why it would be refused."""

    changes: list[tuple[str, str, str]] = field(default_factory=list)
    letters: list[tuple[OutgoingMessage, str]] = field(default_factory=list)
    refusal: str = ""


class VerbAdmin(DeskAdmin):
    """A read-only page with the row's verbs as buttons: only those that its state and the user's permissions allow."""

    verbs: ClassVar[tuple[Verb, ...]] = ()
    refusals: ClassVar[tuple[type[Exception], ...]] = ()  # errors that a person can correct in the form
    illegal: ClassVar[tuple[type[Exception], ...]] = ()  # errors because the row has changed state
    replies_for: ClassVar[str] = ""  # which saved replies are offered, by CannedReply.used_for
    change_form_template = "desk/page.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/do/<slug:verb>/", view(self.verb_view), name=f"{name}_verb"),
            path("<path:object_id>/preview/<slug:verb>/", view(self.preview_view), name=f"{name}_preview"),
            path("<path:object_id>/looking/", view(self.presence_view), name=f"{name}_looking"),
            *super().get_urls(),
        ]

    # What a subclass defines for its rows

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """The template context of the row's page and of the pages of its verbs."""
        return {"row": row}

    def facts(self, row: Any) -> dict[str, str]:
        """What a verb can change, by label and as text; the preview shows those that differ afterwards."""
        return {"State": str(row.get_state_display())}

    def variables(self, row: Any) -> tuple[str, dict[str, str]]:
        """The customer's language, and the variables of saved replies in that language."""
        return "en", {}

    def what_changed(self, row: Any, since: int) -> list[str]:
        """What happened to the row after the event with this key, a sentence each."""
        return ["It was changed."]

    def waiting(self, rows: QuerySet[Any], user: User) -> QuerySet[Any]:
        """The rows of the list that wait for this user; the next one opens after a decision."""
        return rows.none()

    # The page of a row

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            assert isinstance(request.user, User)
            query = list_query(request)
            context["verbs"] = [
                (verb, self.verb_url(row, verb, query)) for verb in self.verbs if verb.is_open_to(request.user, row)
            ]
            context |= self.page_context(request, row)
            context |= self._navigation(request, row)
        return super().change_view(request, object_id, form_url, context)

    def _navigation(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        assert isinstance(request.user, User)
        query = list_query(request)
        now = timezone.now()
        return {
            "others_here": record_presence(page=self._page_name(row), person=request.user, now=now),
            "presence_url": reverse(self._url_name("looking"), args=[row.pk]),
            "seen": newest_event(row),
            "list_query": query,
            "next_url": self._next_url(request, row),
            "back_to_list": f"{self._list_url()}?{query}" if query else self._list_url(),
        }

    def _page_name(self, row: Any) -> str:
        return f"{self.list_name}:{row.pk}"

    def _url_name(self, view: str) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"

    def verb_url(self, row: Model, verb: Verb, query: str = "") -> str:
        url = reverse(self._url_name("verb"), args=[row.pk, verb.name])
        return f"{url}?{filters(query)}" if query else url

    def page_url(self, row: Model, query: str = "") -> str:
        url = reverse(self._url_name("change"), args=[row.pk])
        return f"{url}?{filters(query)}" if query else url

    @csrf_protect_m
    def presence_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """For the page's script, every few seconds: who else has the page open, and whether the row has changed."""
        row = self.get_object(request, object_id)
        if row is None or request.method != "POST" or not self.has_view_permission(request, row):
            raise PermissionDenied
        assert isinstance(request.user, User)
        if request.POST.get("leave"):
            end_presence(page=self._page_name(row), person=request.user)
            return HttpResponse(status=204)
        others = record_presence(page=self._page_name(row), person=request.user, now=timezone.now())
        since = _number(request.POST.get(SEEN, ""))
        changed = self.what_changed(row, since) if newest_event(row) > since else []
        return JsonResponse({"others": others, "changed": changed})

    # A verb

    @csrf_protect_m
    def verb_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        row, chosen = self._row_and_verb(request, object_id, verb)
        assert isinstance(request.user, User)
        if not chosen.is_open_to(request.user, row):
            since = _number(request.POST.get(SEEN, ""))
            changes = self.what_changed(row, since) if since and newest_event(row) > since else []
            refusal = f"{row} is {row.get_state_display()}: {chosen.label.lower()} is not possible now."
            messages.error(request, " ".join([refusal, *changes]))
            return redirect(self.page_url(row, list_query(request)))
        if chosen.sensitive and not is_proven_recently(request, timezone.now()):
            return ask_for_proof(request)
        is_post = request.method == "POST"
        form = chosen.form(*((request.POST, request.FILES) if is_post else (None, None)), row=row, user=request.user)
        if not is_post:
            form.initial = {**form.initial, **restored_input(request)}
            return self._verb_page(request, chosen, row, form)
        step = request.POST.get(STEP, "")
        if step == REPLY:
            form = self._with_reply(request, chosen, row)
            return self._verb_page(request, chosen, row, form, status=200)
        is_valid = form.is_valid()
        if step == "preview":
            return self._verb_page(request, chosen, row, form, status=200 if is_valid else 422)
        response = self._run(request, chosen, row, form) if is_valid else None
        return response or self._verb_page(request, chosen, row, form, status=422)

    def _row_and_verb(self, request: HttpRequest, object_id: str, verb: str) -> tuple[Any, Verb]:
        row: Any = self.get_object(request, object_id)
        chosen = next((candidate for candidate in self.verbs if candidate.name == verb), None)
        if row is None or chosen is None:
            raise Http404
        assert isinstance(request.user, User)
        if not self.has_view_permission(request, row) or not request.user.has_perm(chosen.permission):
            raise PermissionDenied
        return row, chosen

    def _run(self, request: HttpRequest, verb: Verb, row: Any, form: VerbForm) -> HttpResponse | None:
        assert isinstance(request.user, User)
        query = list_query(request)
        next_url = self._next_url(request, row) if verb.decides else ""
        try:
            since = _number(request.POST.get(SEEN, "")) if SEEN in request.POST else None
            if not self.perform(verb, row, request.user, form.cleaned_data, since):
                return self._changed_meanwhile(request, verb, row, form, since or 0)
        except self.illegal as error:
            messages.error(request, f"Nothing was changed: somebody else was faster. {error}")
            return redirect(self.page_url(row, query))
        except self.refusals as error:
            form.add_error(None, str(error))
            return None
        if next_url:
            message = '{}: {} This is the next in the queue. <a class="desk-link" href="{}">Back to {}</a>'
            messages.success(request, format_html(message, str(row), verb.done, self.page_url(row, query), str(row)))
            return redirect(next_url)
        messages.success(request, f"{row}: {verb.done}")
        return redirect(self.page_url(row, query))

    def perform(self, verb: Verb, row: Any, user: User, data: dict[str, Any], since: int | None) -> bool:
        """Runs the verb on the locked row. Returns False, and does nothing, if the row changed after event `since`."""
        with transaction.atomic():
            type(row).objects.select_for_update(of=("self",)).filter(pk=row.pk).first()
            if since is not None and newest_event(row) > since:
                return False
            verb.run(row, user, data, timezone.now())
        return True

    def seen(self, row: Any) -> int:
        """The value of `since` that stands for the row in its present state."""
        return newest_event(row)

    def _changed_meanwhile(
        self, request: HttpRequest, verb: Verb, row: Any, form: VerbForm, since: int
    ) -> HttpResponse:
        """The response when the row changed after the page was opened: nothing is overwritten, the input is kept."""
        fresh = self.get_object(request, str(row.pk))
        changes = self.what_changed(fresh, since)
        if not verb.is_open_to(request.user, fresh):
            what = " ".join(changes)
            messages.error(request, f"Nothing was changed: {fresh} is {fresh.get_state_display()} meanwhile. {what}")
            return redirect(self.page_url(fresh, list_query(request)))
        return self._verb_page(request, verb, fresh, form, status=409, changed=changes)

    def _verb_page(
        self,
        request: HttpRequest,
        verb: Verb,
        row: Any,
        form: VerbForm,
        status: int = 200,
        changed: Sequence[str] = (),
    ) -> HttpResponse:
        assert isinstance(request.user, User)
        query = list_query(request)
        context = {
            **self.admin_site.each_context(request),
            **self.page_context(request, row),
            "title": f"{verb.label}: {row}",
            "opts": self.opts,
            "verb": verb,
            "form": form,
            "back": self.page_url(row, query),
            "list_query": query,
            "changed": changed,
            "seen": newest_event(row),
            "others_here": others_viewing(page=self._page_name(row), person=request.user, now=timezone.now()),
            "preview": self._preview(verb, row, request.user, form),
            "preview_url": reverse(self._url_name("preview"), args=[row.pk, verb.name]),
            "replies": self._replies(row) if form.replies_to else [],
        }
        return render(request, "desk/verb.html", context, status=status)

    # Preview

    @csrf_protect_m
    def preview_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """The preview alone, for the page's script while the user types."""
        row, chosen = self._row_and_verb(request, object_id, verb)
        if request.method != "POST" or not chosen.is_open_to(request.user, row):
            raise PermissionDenied
        assert isinstance(request.user, User)
        form = chosen.form(request.POST, request.FILES, row=row, user=request.user)
        form.is_valid()
        return render(request, "desk/preview.html", {"preview": self._preview(chosen, row, request.user, form)})

    def _preview(self, verb: Verb, row: Any, user: User, form: VerbForm) -> Preview | None:
        """The preview, or None if the form is not valid or takes a file."""
        if form.is_multipart():
            return None
        if not form.is_bound:
            initial = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
            form = verb.form({name: value for name, value in initial.items() if value is not None}, row=row, user=user)
        return self._dry_run(verb, row, user, form.cleaned_data) if form.is_valid() else None

    def _dry_run(self, verb: Verb, row: Any, user: User, data: dict[str, Any]) -> Preview:
        """Runs the verb in a transaction that is rolled back, and returns what it did."""
        now, preview = timezone.now(), Preview()
        before = self.facts(row)
        with transaction.atomic():
            try:
                with transaction.atomic():
                    verb.run(row, user, data, now)
            except (*self.refusals, *self.illegal) as error:
                preview.refusal = str(error)
            else:
                after = self.facts(type(row).objects.get(pk=row.pk))
                changes = [(label, before.get(label, ""), value) for label, value in after.items()]
                preview.changes = [change for change in changes if change[1] != change[2]]
                letters = OutgoingMessage.objects.filter(created_at=now)
                preview.letters = [(letter, markdown_to_html(letter.shown_text)) for letter in letters]
            transaction.set_rollback(True)
        return preview

    # Saved replies

    def _replies(self, row: Any) -> list[tuple[CannedReply, str]]:
        language, values = self.variables(row)
        replies = CannedReply.objects.filter(used_for__in=("any", self.replies_for))
        return [(reply, reply.text_for(language_for(language).partition("-")[0], values)) for reply in replies]

    def _with_reply(self, request: HttpRequest, verb: Verb, row: Any) -> VerbForm:
        """The form with the chosen reply added below the text; for browsers without JavaScript."""
        data = request.POST.copy()
        chosen = {str(reply.pk): text for reply, text in self._replies(row)}.get(data.get(REPLY, ""), "")
        name = verb.form.replies_to
        data[name] = "\n\n".join(filter(None, (data.get(name, "").strip(), chosen)))
        assert isinstance(request.user, User)
        return verb.form(data, row=row, user=request.user)

    # The next row of the queue

    def _next_url(self, request: HttpRequest, row: Any) -> str:
        """The page of the next waiting row of the list, or of the first one; empty if no row waits."""
        assert isinstance(request.user, User)
        query = list_query(request)
        try:
            rows = self.rows_of(request, query)
        except IncorrectLookupParameters:  # an address that was typed
            rows = self.rows_of(request, "")
        rows = self.waiting(rows, request.user).exclude(pk=row.pk)
        keys = keys_of(self.model, self.get_ordering(request))
        for after in (cursor_of(row, keys), ""):
            if next_rows := page(rows, keys, size=1, after=after).rows:
                return self.page_url(next_rows[0], query)
        return ""


def list_query(request: HttpRequest) -> str:
    """The filters of the list from which the user came, passed on from page to page."""
    return savable(QueryDict(request.POST.get(LIST, "") or request.GET.get("_changelist_filters", "")))


def filters(query: str) -> str:
    """The list's filters as a query string, under the parameter that Django's admin uses for them."""
    params = QueryDict(mutable=True)
    params["_changelist_filters"] = query
    return params.urlencode()


def newest_event(row: Any) -> int:
    """The key of the newest event in the row's history; 0 if it has no history."""
    events = getattr(row, "events", None)
    return (events.aggregate(newest=Max("pgh_id"))["newest"] or 0) if events is not None else 0


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0

"""Staff and their roles."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from accounts.desk.proof import requires_recent_proof
from accounts.models import User
from accounts.services import people
from messaging.forms import KeepableModelForm

# Nobody edits the tables of django-allauth by hand: sign-in has verbs of its own, and secrets are not shown
admin.site.unregister([Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken, UserSession])
admin.site.unregister(Group)
LANGUAGES = [(code.partition("-")[0], name) for code, name in settings.LANGUAGES]


class PersonForm(KeepableModelForm):
    language = forms.ChoiceField(
        choices=LANGUAGES,
        required=False,
        widget=UnfoldAdminSelectWidget(),
        help_text="Of mails about their access. The staff pages are in English",
    )

    groups = forms.ModelMultipleChoiceField(
        label="Roles",
        queryset=Group.objects.order_by("name"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )

    def clean_language(self) -> str:
        return self.cleaned_data["language"] or self.instance.language


@admin.register(User)
class StaffAdmin(ModelAdmin):
    """Staff: invited here by an administrator, who assigns a group. Customers are created when they sign in."""

    form = PersonForm
    list_display = ["email", "name", "is_staff", "is_active"]
    list_filter = ["is_staff", "is_active", "groups"]
    search_fields = ["email", "name"]
    ordering = ["email"]
    fieldsets = [
        (None, {"fields": ["email", "name", "language"]}),
        ("Access", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "fields": ["email", "name", "language", "is_superuser", "groups"],
                "description": "They get a mail with a link to choose their password.",
            },
        )
    ]
    change_form_outer_before_template = "desk/person.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only superusers can make others superusers, or change an address, to which links for passwords go."""
        if request.user.is_superuser:  # type: ignore[union-attr]
            return []
        return ["is_superuser", "email"] if obj else ["is_superuser"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody can change their own access, and only a superuser can change a superuser."""
        allowed = bool(super().has_change_permission(request, obj))
        if obj is None or request.user.is_superuser:  # type: ignore[union-attr]
            return allowed
        return allowed and obj.pk != request.user.pk and not obj.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the history refers to them; clear «active» instead

    @requires_recent_proof
    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().add_view(request, *args, **kwargs)
        return response

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        person = self.get_object(request, object_id)
        may_change = person is not None and self.has_change_permission(request, person)
        view = super().change_view
        response: HttpResponse = (requires_recent_proof(view) if may_change else view)(
            request, object_id, *args, **kwargs
        )
        return response

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)
        data, now = form.cleaned_data, timezone.now()
        roles = list(data["groups"])
        if not change:
            person = people.invite(
                email=obj.email,
                name=obj.name,
                language=obj.language,
                is_superuser=obj.is_superuser,
                roles=roles,
                by=request.user,
                now=now,
            )
            obj.pk = person.pk
            messages.success(request, f"{person} gets a mail with a link to choose a password.")
            return
        people.change_person(
            person=obj,
            name=obj.name,
            email=obj.email,
            language=obj.language,
            is_active=obj.is_active,
            is_staff=obj.is_staff,
            is_superuser=obj.is_superuser,
            roles=roles,
            by=request.user,
            now=now,
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The services have saved the roles."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/reset/", view(self.reset_view), name="accounts_user_reset"),
            path("<path:object_id>/password-link/", view(self.link_view), name="accounts_user_password_link"),
            path("<path:object_id>/end-sessions/", view(self.sessions_view), name="accounts_user_end_sessions"),
            *super().get_urls(),
        ]

    @csrf_protect_m
    @requires_recent_proof
    def reset_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resets a colleague's second factors. One's own are managed under «Signing in»."""
        person = self._colleague(request, object_id)
        if request.method == "POST":
            assert isinstance(request.user, User)
            people.reset_factors(of=person, by=request.user, now=timezone.now())
            messages.success(request, f"{person} sets up a second factor at the next sign-in.")
            return redirect("admin:accounts_user_change", person.pk)
        return self._page(request, person, "desk/reset.html", f"Reset the second factor: {person}")

    @csrf_protect_m
    @requires_recent_proof
    def sessions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Signs a colleague out everywhere."""
        person = self._colleague(request, object_id)
        if request.method == "POST":
            assert isinstance(request.user, User)
            people.end_sessions_of(person=person, by=request.user, now=timezone.now())
            messages.success(request, f"{person} is signed out everywhere.")
            return redirect("admin:accounts_user_change", person.pk)
        return self._page(request, person, "desk/end_sessions.html", f"Sign out everywhere: {person}")

    @csrf_protect_m
    @requires_recent_proof
    def link_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Sends a colleague a link to choose a new password."""
        person = self._colleague(request, object_id)
        if not person.is_active:
            raise PermissionDenied
        if request.method == "POST":
            assert isinstance(request.user, User)
            people.send_password_link(of=person, by=request.user, now=timezone.now())
            messages.success(request, f"{person} gets a mail with a link to choose a password.")
            return redirect("admin:accounts_user_change", person.pk)
        return self._page(request, person, "desk/password_link.html", f"Send a link to choose a password: {person}")

    def _colleague(self, request: HttpRequest, object_id: str) -> User:
        """Raises PermissionDenied for oneself, and for whom one may not change."""
        person = self.get_object(request, object_id)
        if person is None or not person.is_staff or not self.has_change_permission(request, person):
            raise PermissionDenied
        if person.pk == request.user.pk:
            raise PermissionDenied
        return person

    def _page(self, request: HttpRequest, person: User, template: str, title: str) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "person": person}
        return render(request, template, context)


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, ModelAdmin):
    """Read-only: the permissions of roles are defined in accounts/roles.py."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

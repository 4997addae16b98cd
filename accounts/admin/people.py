"""Staff and their roles."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.desk.proof import ask_for_proof, is_proven_recently
from accounts.models import User
from accounts.services import reset_factors
from messaging.forms import KeepableTextMixin

# Nobody edits the tables of django-allauth by hand: sign-in has verbs of its own, and secrets are not shown
admin.site.unregister([Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken])
admin.site.unregister(Group)


class ChangeForm(KeepableTextMixin, UserChangeForm):
    pass


class AddForm(KeepableTextMixin, UserCreationForm):
    pass


@admin.register(User)
class StaffAdmin(DjangoUserAdmin, ModelAdmin):
    """Staff: created here by an administrator, who assigns a group. Customers are created when they sign in."""

    form, add_form, change_password_form = ChangeForm, AddForm, AdminPasswordChangeForm
    list_display = ["email", "name", "is_staff", "is_active"]
    list_filter = ["is_staff", "is_active", "groups"]
    search_fields = ["email", "name"]
    ordering = ["email"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        ("Access", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["email", "name", "usable_password", "password1", "password2", "is_staff", "groups"]})
    ]
    filter_horizontal = ["groups"]
    change_form_outer_before_template = "desk/person.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only superusers can make others superusers."""
        is_superuser = request.user.is_superuser  # type: ignore[union-attr]
        return [] if is_superuser else ["is_superuser"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody can change their own access, and only a superuser can change a superuser."""
        allowed = bool(super().has_change_permission(request, obj))
        if obj is None or request.user.is_superuser:  # type: ignore[union-attr]
            return allowed
        return allowed and obj.pk != request.user.pk and not obj.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the history refers to them; clear «active» instead

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.reset_view)
        return [path("<path:object_id>/reset/", page, name="accounts_user_reset"), *super().get_urls()]

    @csrf_protect_m
    def reset_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resets a colleague's second factors. One's own are managed under «Signing in»."""
        person = self.get_object(request, object_id)
        if person is None or not person.is_staff or not self.has_change_permission(request, person):
            raise PermissionDenied
        assert isinstance(request.user, User)
        if person.pk == request.user.pk:
            raise PermissionDenied
        if not is_proven_recently(request, timezone.now()):
            return ask_for_proof(request)
        if request.method == "POST":
            reset_factors(of=person, by=request.user, now=timezone.now())
            messages.success(request, f"{person} sets up a second factor at the next sign-in.")
            return redirect("admin:accounts_user_change", person.pk)
        context = {**self.admin_site.each_context(request), "title": f"Reset the second factor: {person}"}
        return render(request, "desk/reset.html", {**context, "opts": self.opts, "person": person})


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, ModelAdmin):
    """Read-only: the permissions of roles are defined in accounts/roles.py."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

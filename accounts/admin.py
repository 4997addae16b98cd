from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.desk import VerbAdmin
from accounts.models import Account, User

admin.site.unregister(Group)


@admin.register(Account)
class AccountAdmin(VerbAdmin):
    change_form_template = "desk/account.html"
    list_display = ["account_number", "name", "username", "email", "country", "status"]
    list_filter = ["status", "country"]
    search_fields = ["account_number", "username", "email", "name"]


@admin.register(User)
class StaffAdmin(DjangoUserAdmin, ModelAdmin):
    """Staff: created here by an administrator, who puts them into a group. Customers make themselves on sign-in."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ["email", "name", "is_staff", "is_active"]
    list_filter = ["is_staff", "is_active", "groups"]
    search_fields = ["email", "name"]
    ordering = ["email"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        ("May", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["email", "name", "usable_password", "password1", "password2", "is_staff", "groups"]})
    ]
    filter_horizontal = ["groups"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        return found.prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only a superuser makes superusers."""
        superuser = request.user.is_superuser  # type: ignore[union-attr]
        return [] if superuser else ["is_superuser"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes what he may do himself, and no administrator a superuser."""
        allowed = bool(super().has_change_permission(request, obj))
        if obj is None or request.user.is_superuser:  # type: ignore[union-attr]
            return allowed
        return allowed and obj.pk != request.user.pk and not obj.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the history names them; take «active» away instead


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, ModelAdmin):
    """Shown only: what a role may is kept in accounts/roles.py."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

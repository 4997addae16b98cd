"""The site of the staff interface: who may enter, and its pages besides those of the models."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from accounts.desk.proof import is_proven, requires_recent_proof
from config.desk.dashboard import as_csv
from config.sign_in.leaving import clear_browser
from config.sign_in.staff import confirm, second, second_by_passkey, sign_in
from config.sign_in.staff_factors import (
    end_sessions,
    recovery_codes,
    remove_factor,
    security,
    set_up,
    set_up_passkey,
)
from config.sign_in.staff_passwords import ChangePassword, ChoosePassword, forgotten


class PortalAdminSite(UnfoldAdminSite):
    """The site of the staff interface, open to active staff whose session has a second factor."""

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(super().has_permission(request)) and is_proven(request)

    def get_urls(self) -> list[URLPattern]:
        urls = [
            path("second/", second, name="second"),
            path("second/passkey/", second_by_passkey, name="second_passkey"),
            path("second/set-up/", set_up, name="set_up"),
            path("second/set-up/passkey/", set_up_passkey, name="set_up_passkey"),
            path("dashboard.csv", self.admin_view(as_csv), name="dashboard_csv"),
            path("confirm/", self.admin_view(confirm), name="confirm"),
            path("security/", self.admin_view(security), name="security"),
            path("security/<int:key>/remove/", self.admin_view(remove_factor), name="remove_factor"),
            path("security/codes/", self.admin_view(recovery_codes), name="recovery_codes"),
            path("security/sessions/", self.admin_view(end_sessions), name="end_sessions"),
            path("password/", forgotten, name="password_forgotten"),
            path("password/<uidb64>/<token>/", ChoosePassword.as_view(), name="choose_password"),
        ]
        return [*urls, *super().get_urls()]

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return clear_browser(super().logout(request, extra_context))

    @requires_recent_proof
    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        view = ChangePassword.as_view(extra_context={**self.each_context(request), **(extra_context or {})})
        response: HttpResponse = view(request)  # type: ignore[assignment]  # its base class promises less
        return response

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return sign_in(request)

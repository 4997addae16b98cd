"""The site of the staff interface: who may enter, and its pages besides those of the models."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from accounts.desk.proof import is_proven
from config.desk.dashboard import as_csv
from config.sign_in.leaving import clear_browser
from config.sign_in.staff import confirm, second, second_by_passkey, sign_in
from config.sign_in.staff_factors import recovery_codes, remove_factor, security, set_up, set_up_passkey


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
        ]
        return [*urls, *super().get_urls()]

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return clear_browser(super().logout(request, extra_context))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return sign_in(request)

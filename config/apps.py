from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "config"
    label = "portal"


class PortalAdminConfig(AdminConfig):
    """The staff interface, with a second factor (config/staff.py)."""

    default_site = "config.staff.PortalAdminSite"

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "config"
    label = "portal"


class PortalAdminConfig(AdminConfig):
    """The staff interface, with a second factor (config/sign_in/staff.py)."""

    default_site = "config.desk.site.PortalAdminSite"

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "config"
    label = "portal"


class PortalAdminConfig(AdminConfig):
    """Django's admin with the site of the staff interface, which requires a second factor."""

    default_site = "config.desk.site.PortalAdminSite"

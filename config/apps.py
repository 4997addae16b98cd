from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "config"
    label = "portal"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from config.sign_in.sessions import record_sign_in

        user_logged_in.connect(record_sign_in, dispatch_uid="portal.record_sign_in")


class PortalAdminConfig(AdminConfig):
    """Django's admin with the site of the staff interface, which requires a second factor."""

    default_site = "config.desk.site.PortalAdminSite"

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "config"
    label = "portal"

    def ready(self) -> None:
        from django.apps import apps
        from django.contrib.auth.signals import user_logged_in
        from django.core.checks import register
        from django.db.models.signals import post_migrate

        from config.deployment.roles import check_user, grant_after_migrations
        from config.sign_in.sessions import record_sign_in

        user_logged_in.connect(record_sign_in, dispatch_uid="portal.record_sign_in")
        # Sent for apps with models alone; the last receiver, when the procedure of erasing is there
        post_migrate.connect(grant_after_migrations, sender=apps.get_app_config("cancellations"))
        register(check_user, "security", deploy=True)


class PortalAdminConfig(AdminConfig):
    """Django's admin with the site of the staff interface, which requires a second factor."""

    default_site = "config.desk.site.PortalAdminSite"

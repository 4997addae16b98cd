from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CancellationsConfig(AppConfig):
    name = "cancellations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from cancellations.models.erasing import install_after_migrations

        post_migrate.connect(install_after_migrations, sender=self)

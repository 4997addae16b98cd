from django.apps import AppConfig


class CancellationsConfig(AppConfig):
    name = "cancellations"
    default_auto_field = "django.db.models.BigAutoField"

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from messaging import addresses, providers  # noqa: F401 - registers the lookup of addresses

        providers.connect()

from celery import shared_task
from django.utils import timezone

from messaging import services


@shared_task(name="messaging.deliver")
def deliver() -> None:
    services.deliver_due(now=timezone.now())

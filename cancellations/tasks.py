from celery import shared_task
from django.utils import timezone

from cancellations.services.enforcement import enforce


@shared_task(name="cancellations.enforce")
def enforce_due() -> None:
    enforce(now=timezone.now())

from celery import shared_task
from django.utils import timezone

from billing.services.sending import send_due
from messaging.due import SLICE_SECONDS


@shared_task(name="billing.send")
def send_refunds() -> None:
    send_due(now=timezone.now(), seconds=SLICE_SECONDS)

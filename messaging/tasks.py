from celery import shared_task
from django.utils import timezone

from messaging.due import SLICE_SECONDS
from messaging.services import inbox, outbox, webhooks


@shared_task(name="messaging.deliver")
def deliver() -> None:
    outbox.deliver_due(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="messaging.fetch")
def fetch() -> None:
    inbox.fetch_all(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="messaging.call")
def call() -> None:
    webhooks.call_due(now=timezone.now(), seconds=SLICE_SECONDS)

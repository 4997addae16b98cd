from celery import shared_task
from django.utils import timezone

from cancellations.services.announcing import announce_due
from cancellations.services.bulk import work_due
from cancellations.services.conversations import notice_failed
from cancellations.services.enforcement import enforce
from cancellations.services.erasure import retain
from cancellations.services.mail import read_due
from cancellations.services.reminders import remind


@shared_task(name="cancellations.enforce")
def enforce_due() -> None:
    enforce(now=timezone.now())


@shared_task(name="cancellations.bulk")
def work_in_bulk() -> None:
    work_due(now=timezone.now())


@shared_task(name="cancellations.remind")
def remind_staff() -> None:
    remind(now=timezone.now())


@shared_task(name="cancellations.announce")
def announce_policy() -> None:
    announce_due(now=timezone.now())


@shared_task(name="cancellations.retain")
def erase_what_is_kept_long_enough() -> None:
    retain(now=timezone.now())


@shared_task(name="mail.read")
def read_mail() -> None:
    read_due(now=timezone.now())


@shared_task(name="mail.failed")
def see_what_did_not_arrive() -> None:
    notice_failed(now=timezone.now())

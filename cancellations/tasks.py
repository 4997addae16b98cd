from celery import shared_task
from django.utils import timezone

from cancellations.services.announcing import announce_due
from cancellations.services.bulk import process_due
from cancellations.services.conversations import open_tasks_for_failed_messages
from cancellations.services.enforcement import enforce
from cancellations.services.erasure import apply_retention
from cancellations.services.mail import read_due
from cancellations.services.proof_mails import send_waiting
from cancellations.services.reminders import notify_staff
from cancellations.services.renewals import remind_of_renewals
from cancellations.services.scanning import scan_due
from messaging.due import SLICE_SECONDS


@shared_task(name="cancellations.enforce")
def enforce_due() -> None:
    enforce(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="cancellations.prove")
def send_waiting_proof_mails() -> None:
    send_waiting(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="cancellations.scan")
def scan_files() -> None:
    scan_due(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="cancellations.bulk")
def process_bulk_jobs() -> None:
    process_due(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="cancellations.remind")
def send_staff_notifications() -> None:
    notify_staff(now=timezone.now())


@shared_task(name="cancellations.announce")
def announce_policy() -> None:
    announce_due(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="cancellations.renewals")
def send_renewal_reminders() -> None:
    remind_of_renewals(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="cancellations.retain")
def erase_by_retention() -> None:
    apply_retention(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="mail.read")
def read_mail() -> None:
    read_due(now=timezone.now(), seconds=SLICE_SECONDS)


@shared_task(name="mail.failed")
def open_tasks_for_failed() -> None:
    open_tasks_for_failed_messages(now=timezone.now(), seconds=SLICE_SECONDS)

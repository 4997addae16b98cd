import logging

from celery import shared_task
from django.utils import timezone

from accounts.audit import SealingRefused, seal_audit
from accounts.desk.presence import delete_old_presences
from accounts.services.sessions import clear_expired_sessions

log = logging.getLogger(__name__)


@shared_task(name="accounts.seal_audit")
def seal() -> None:
    try:
        seal_audit(now=timezone.now())
    except SealingRefused as error:
        log.error("The audit is not sealed. %s", error)


@shared_task(name="accounts.tidy")
def tidy() -> None:
    now = timezone.now()
    delete_old_presences(now=now)
    clear_expired_sessions(now=now)

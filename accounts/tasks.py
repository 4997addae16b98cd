from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from accounts.audit import seal_audit
from accounts.desk.presence import delete_old_presences


@shared_task(name="accounts.seal_audit")
def seal() -> None:
    seal_audit(now=timezone.now())


@shared_task(name="accounts.tidy")
def tidy() -> None:
    delete_old_presences(now=timezone.now())
    SessionStore.clear_expired()

"""Sessions of customers and staff: where each is open, and ending them.

A session holds a digest of the person's `session_version`. Raising the version ends every session of the person at
once, also one that nobody knows of; the database raises it itself when access or address change.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from allauth.usersessions.models import UserSession
from django.contrib.auth import update_session_auth_hash
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.http import HttpRequest
from ua_parser import parse

from accounts.models import User

RECORDED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class OpenSession:
    """A session as its owner sees it. `key` is the primary key of its row, not the session's secret."""

    key: int
    browser: str  # such as «Firefox»; empty if it does not say
    system: str  # such as «Linux»; empty if it does not say
    address: str
    since: datetime
    last_used_at: datetime
    is_current: bool


def record_session(request: HttpRequest) -> None:
    """Records browser, network address and time of the visitor's session, at most once in RECORDED_EVERY."""
    key = request.session.session_key
    if not key or not request.user.is_authenticated:
        return
    if cache.add(f"session:{sha256(key.encode()).hexdigest()}", True, timeout=RECORDED_EVERY.total_seconds()):
        UserSession.objects.create_from_request(request)


def sessions_of(user: User, *, current: str | None) -> list[OpenSession]:
    """The person's living sessions, the one last used first. `current` is the key of the visitor's own session."""
    rows = sorted(UserSession.objects.purge_and_list(user), key=lambda row: row.last_seen_at, reverse=True)
    return [_open_session(row, is_current=row.session_key == current) for row in rows]


def _open_session(row: UserSession, *, is_current: bool) -> OpenSession:
    client = parse(row.user_agent[:500])
    return OpenSession(
        key=row.pk,
        browser=client.user_agent.family if client.user_agent else "",
        system=client.os.family if client.os else "",
        address=row.ip,
        since=row.created_at,
        last_used_at=row.last_seen_at,
        is_current=is_current,
    )


def end_session(*, of: User, key: int) -> bool:
    """Ends one session of the person; False if there is no such session of theirs."""
    row = UserSession.objects.filter(user=of, pk=key).first()
    if row is None:
        return False
    row.end()
    return True


@transaction.atomic
def end_sessions(*, of: User) -> None:
    """Ends all sessions of the person. `keep_session` lets the one that asks go on."""
    User.objects.filter(pk=of.pk).update(session_version=F("session_version") + 1)
    of.refresh_from_db(fields=["session_version"])
    rows = UserSession.objects.filter(user=of)
    Session.objects.filter(session_key__in=list(rows.values_list("session_key", flat=True))).delete()
    rows.delete()


def keep_session(request: HttpRequest) -> None:
    """Lets the visitor's session go on under a new key, after `end_sessions` or a new password."""
    assert isinstance(request.user, User)
    request.user.refresh_from_db(fields=["session_version", "password"])
    update_session_auth_hash(request, request.user)
    request.session.save()
    UserSession.objects.create_from_request(request)


def end_other_sessions(request: HttpRequest) -> None:
    """Ends all sessions of the visitor but this one."""
    assert isinstance(request.user, User)
    end_sessions(of=request.user)
    keep_session(request)


def renew_session_key(request: HttpRequest) -> None:
    """Gives the visitor's session a new key, so that whoever had the old one does not profit from what was proven."""
    key = request.session.session_key
    request.session.cycle_key()
    UserSession.objects.filter(session_key=key).update(session_key=request.session.session_key)


def clear_expired_sessions(*, now: datetime) -> None:
    """Deletes sessions that are over, and what was recorded about them."""
    Session.objects.filter(expire_date__lt=now).delete()
    living = Session.objects.filter(session_key=OuterRef("session_key"))
    UserSession.objects.filter(~Exists(living)).delete()

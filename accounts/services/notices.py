"""Mails that tell a person what was changed about their signing in, so that nobody else changes it unnoticed."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from accounts.queries import staff_with
from messaging.services.outbox import queue_message
from messaging.wording import instant_words, use_language

# What a mail can say, in templates/messages/<language>/security_notice.md
CHANGES = frozenset(
    {
        "app_added", "app_replaced", "app_removed", "passkey_added", "passkey_removed", "codes_renewed",
        "factors_reset", "sessions_ended", "password_changed", "access_changed", "address_changed", "deactivated",
        "person_invited", "person_access", "webhook_added", "webhook_changed", "webhook_secret",
    }
)  # fmt: skip


def notify_person(*, of: User, change: str, now: datetime, by: User | None, detail: str = "", email: str = "") -> None:
    """Queues a mail to the person about a change of their own access; `by` is None for the operator of the server.

    `detail` names what was changed, such as a passkey or the roles. `email` is another address of theirs than today's.
    """
    assert change in CHANGES
    with use_language(of.language):
        queue_message(
            kind="security_notice",
            recipient=email or of.email,
            context={
                "change": change,
                "detail": detail,
                "is_own": by is not None and by.pk == of.pk,
                "changed_by": str(by) if by else "",
                "changed_at": instant_words(now, settings.COMPANY_TIME_ZONE),
                "is_about_person": True,
            },
            now=now,
        )


def notify_staff(
    permission: str, *, change: str, detail: str, now: datetime, by: User | None, about: User | None = None
) -> None:
    """Queues a mail to everybody who has the permission (a codename), apart from the person whom it is about.

    `by` is None for the operator of the server. `detail` names what was changed.
    """
    assert change in CHANGES
    for person in staff_with(permission):
        if person == about:
            continue
        with use_language(person.language):
            queue_message(
                kind="security_notice",
                recipient=person.email,
                context={
                    "change": change,
                    "detail": detail,
                    "is_own": by is not None and by.pk == person.pk,
                    "changed_by": str(by) if by else "",
                    "changed_at": instant_words(now, settings.COMPANY_TIME_ZONE),
                    "is_about_person": False,
                },
                now=now,
            )


def warn_of_wrong_codes(*, of: User, now: datetime) -> None:
    """Queues a mail to the person: somebody entered their password and then several wrong codes."""
    with use_language(of.language):
        queue_message(
            kind="wrong_codes",
            recipient=of.email,
            context={
                "tried_at": instant_words(now, settings.COMPANY_TIME_ZONE),
                "link_url": settings.SITE_URL + reverse("admin:password_forgotten"),
            },
            now=now,
        )

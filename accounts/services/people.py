"""The access of staff: creating people, their roles, links to choose a password, and resetting second factors.

No administrator ever knows or sets a colleague's password: the colleague chooses it behind a link in a mail. Each
change is told to the person by mail and ends their sessions.
"""

from collections.abc import Collection
from datetime import datetime

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.audit import record_action
from accounts.models import User
from accounts.permissions import permitted
from accounts.services.notices import notify_person, notify_staff
from accounts.services.sessions import end_sessions
from messaging.addresses import fold_address
from messaging.services.outbox import queue_message
from messaging.wording import use_language


class PasswordLinks(PasswordResetTokenGenerator):
    """Tokens that work once, for PASSWORD_RESET_TIMEOUT, and only until the person's access changes."""

    def _make_hash_value(self, user: User, timestamp: int) -> str:  # type: ignore[override]
        return f"{super()._make_hash_value(user, timestamp)}{user.is_active}{user.is_staff}{user.session_version}"


password_links = PasswordLinks()


@permitted("accounts.add_user")
@transaction.atomic
def invite(
    *,
    email: str,
    name: str,
    language: str,
    roles: Collection[Group],
    by: User,
    now: datetime,
    is_superuser: bool = False,
) -> User:
    """Creates a member of staff, who chooses a password behind the link in a mail. Raises PermissionDenied."""
    if is_superuser and not by.is_superuser:
        raise PermissionDenied("Only a superuser makes others superusers.")
    person = User.objects.create_user(email, name=name, language=language, is_staff=True, is_superuser=is_superuser)
    person.groups.set(roles)
    record_action(verb="person_invited", by=by, now=now, about=person.email, why=_role_names(roles))
    _send_password_link(person, now, is_invitation=True)
    _tell_auditors("person_invited", person, roles, now, by)
    return person


@permitted("accounts.change_user")
@transaction.atomic
def change_person(
    *,
    person: User,
    name: str,
    email: str,
    language: str,
    is_active: bool,
    is_staff: bool,
    is_superuser: bool,
    roles: Collection[Group],
    by: User,
    now: datetime,
) -> User:
    """Changes a person's name, address and access, and tells them. A change of access ends all their sessions.

    A changed address is told to the old and the new one. Raises PermissionDenied: nobody changes their own access,
    and only a superuser changes a superuser, makes one, or changes an address.
    """
    person = User.objects.select_for_update().get(pk=person.pk)
    is_ordinary = not (person.is_superuser or is_superuser) and person.email == fold_address(email)
    if not by.is_superuser and (person.pk == by.pk or not is_ordinary):
        raise PermissionDenied("Ask a superuser: this takes more than you may change.")
    old_email, was_active, was_staff = person.email, person.is_active, person.is_staff
    old_access = (was_staff, person.is_superuser, {role.pk for role in person.groups.all()})
    person.name, person.email, person.language = name, email, language
    person.is_active, person.is_staff, person.is_superuser = is_active, is_staff, is_superuser
    person.save()
    person.groups.set(roles)
    has_new_access = old_access != (is_staff, is_superuser, {role.pk for role in roles})
    if has_new_access or person.email != old_email or is_active != was_active:
        end_sessions(of=person)
    if not (was_staff or is_staff):
        return person
    if person.email != old_email:
        for address in (old_email, person.email):
            notify_person(of=person, change="address_changed", now=now, by=by, detail=person.email, email=address)
    if was_active and not is_active:
        notify_person(of=person, change="deactivated", now=now, by=by)
    elif has_new_access or is_active != was_active:
        notify_person(of=person, change="access_changed", now=now, by=by, detail=_access_in_words(person, roles))
        _tell_auditors("person_access", person, roles, now, by)
    return person


@permitted("accounts.change_user")
@transaction.atomic
def send_password_link(*, of: User, by: User | None, now: datetime) -> None:
    """Sends a member of staff a link to choose a new password; `by` is None if they asked for it themselves.

    The old password works until then.
    """
    record_action(verb="password_link_sent", by=by, now=now, about=of.email, actor="staff" if by else "")
    _send_password_link(of, now, is_invitation=not of.has_usable_password())


@transaction.atomic
def choose_password(*, of: User, password: str, now: datetime) -> None:
    """Sets the person's own new password, tells them by mail, and ends all their sessions."""
    of.set_password(password)
    of.save(update_fields=["password"])
    end_sessions(of=of)
    record_action(verb="password_changed", by=of, now=now, about=of.email)
    notify_person(of=of, change="password_changed", now=now, by=of)


@permitted("accounts.change_user")
@transaction.atomic
def reset_factors(*, of: User, by: User | None, now: datetime) -> int:
    """Removes all second factors of a member of staff, who then sets up a new one at the next sign-in.

    Returns how many were removed. Ends all sessions of the person, and tells them by mail.
    """
    removed: int = Authenticator.objects.filter(user=of).delete()[0]
    end_sessions(of=of)
    record_action(verb="second_factor_reset", by=by, now=now, about=of.email, actor="staff" if by else "system")
    notify_person(of=of, change="factors_reset", now=now, by=by)
    return removed


@permitted("accounts.change_user")
@transaction.atomic
def end_sessions_of(*, person: User, by: User, now: datetime) -> None:
    """Signs a person out in all browsers, and tells them by mail."""
    end_sessions(of=person)
    record_action(verb="sessions_ended", by=by, now=now, about=person.email)
    notify_person(of=person, change="sessions_ended", now=now, by=by)


def _send_password_link(person: User, now: datetime, *, is_invitation: bool) -> None:
    key = urlsafe_base64_encode(force_bytes(person.pk))
    path = reverse("admin:choose_password", args=[key, password_links.make_token(person)])
    with use_language(person.language):
        queue_message(
            kind="password_link",
            recipient=person.email,
            context={
                "is_invitation": is_invitation,
                "link_url": settings.SITE_URL + path,
                "link_hours": str(settings.PASSWORD_RESET_TIMEOUT // 3600),
            },
            now=now,
            holds_secret=True,
        )


def _tell_auditors(change: str, person: User, roles: Collection[Group], now: datetime, by: User) -> None:
    """Tells everybody who reads the audit log, so that nobody gives themselves a second name with other roles."""
    detail = f"{person.email} ({_access_in_words(person, roles) or '–'})"
    notify_staff("view_auditentry", change=change, detail=detail, now=now, by=by, about=person)


def _access_in_words(person: User, roles: Collection[Group]) -> str:
    if not person.is_staff:
        return ""
    return ", ".join(filter(None, [_role_names(roles), "superuser" if person.is_superuser else ""]))


def _role_names(roles: Collection[Group]) -> str:
    return ", ".join(sorted(role.name for role in roles))

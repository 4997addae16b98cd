"""Signing in: which customers may, revoking and restoring that right, and resetting second factors of staff."""

from datetime import datetime

from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts.audit import record_action
from accounts.models import Account, User
from accounts.permissions import permitted
from accounts.queries import open_to_sign_in
from messaging.addresses import fold_address


def customer_who_may_sign_in(*, email: str) -> User | None:
    """The user who may sign in with this address, created on first use; None if there is no account for it.

    Staff sign in at the staff interface, not by a code.
    """
    email = fold_address(email)
    user = User.objects.filter(email=email).first()
    if user is not None and (user.is_staff or not user.is_active):
        return None
    account = open_to_sign_in(email).first()
    if user is not None:
        # A user without any account may still sign in; one whose accounts are all revoked may not.
        return user if account is not None or not Account.objects.filter(email__same_address=email).exists() else None
    if account is None:
        return None
    user, _ = User.objects.get_or_create(email=email, defaults={"name": account.name, "password": "!"})
    return user


def revoke_sign_in(*, account: Account, now: datetime) -> None:
    """Revokes the right to sign in to the account. Open sessions stop showing it, too."""
    account.sign_in_revoked_at = now
    account.save(update_fields=["sign_in_revoked_at"])


def restore_sign_in(*, account: Account) -> None:
    """Restores the right to sign in to the account."""
    account.sign_in_revoked_at = None
    account.save(update_fields=["sign_in_revoked_at"])


@permitted("accounts.change_user")
@transaction.atomic
def reset_factors(*, of: User, by: User | None, now: datetime) -> int:
    """Removes all second factors of a member of staff, who then sets up a new one at the next sign-in.

    Returns how many were removed. Open sessions continue; clear «active» to end them, too.
    """
    removed: int = Authenticator.objects.filter(user=of).delete()[0]
    record_action(verb="second_factor_reset", by=by, now=now, about=of.email, actor="staff" if by else "system")
    return removed

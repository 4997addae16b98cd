"""Which customers may sign in, and revoking and restoring that right."""

from datetime import datetime

from accounts.models import Account, User
from accounts.queries import open_to_sign_in
from accounts.services.sessions import end_sessions
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
    """Revokes the right to sign in to the account, and ends the sessions of its holder."""
    account.sign_in_revoked_at = now
    account.save(update_fields=["sign_in_revoked_at"])
    for holder in User.objects.filter(email=fold_address(account.email), is_staff=False):
        end_sessions(of=holder)


def restore_sign_in(*, account: Account) -> None:
    """Restores the right to sign in to the account. No earlier session lives again."""
    account.sign_in_revoked_at = None
    account.save(update_fields=["sign_in_revoked_at"])

"""Who may sign in: as a customer, taking that right away with an account, and second factors of staff."""

from datetime import datetime

from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts.audit import record_action
from accounts.models import Account, User
from accounts.permissions import permitted
from accounts.queries import open_to_sign_in


def customer_who_may_sign_in(*, email: str) -> User | None:
    """The person to whom a sign-in code may be sent: known by an account, made on first use.

    Staff do not sign in by code: their way in is the staff interface.
    """
    email = email.strip().lower()
    user = User.objects.filter(email=email).first()
    if user is not None and (user.is_staff or not user.is_active):
        return None
    account = open_to_sign_in(email).first()
    if user is not None:
        # Without any account left there is nothing to see; one whose last account was revoked does not get in.
        return user if account is not None or not Account.objects.filter(email__iexact=email).exists() else None
    if account is None:
        return None
    user, _ = User.objects.get_or_create(email=email, defaults={"name": account.name, "password": "!"})
    return user


def revoke_sign_in(*, account: Account, now: datetime) -> None:
    """Nobody may sign in to the account any more. What is open in a browser shows it no longer, either."""
    account.sign_in_revoked_at = now
    account.save(update_fields=["sign_in_revoked_at"])


def restore_sign_in(*, account: Account) -> None:
    """Gives the right to sign in to the account back."""
    account.sign_in_revoked_at = None
    account.save(update_fields=["sign_in_revoked_at"])


@permitted("accounts.change_user")
@transaction.atomic
def reset_factors(*, of: User, by: User | None, now: datetime) -> int:
    """Takes all second factors of somebody of staff away, who sets one up anew after the password.

    Sessions that are open stay so until they end; take «active» away to end them, too.
    """
    removed: int = Authenticator.objects.filter(user=of).delete()[0]
    record_action(verb="second_factor_reset", by=by, now=now, about=of.email, actor="staff" if by else "system")
    return removed

from django.db.models import Q, QuerySet

from accounts.models import Account, User


def accounts_of(user: User) -> QuerySet[Account]:
    """The accounts that the signed-in user holds.

    A customer signs in by a code sent to their e-mail address, which proves it; the accounts with that address
    are theirs. Staff sign in with a password, which proves no address: they hold no accounts.
    """
    if user.is_staff:
        return Account.objects.none()
    return open_to_sign_in(user.email).order_by("account_number")


def open_to_sign_in(email: str) -> QuerySet[Account]:
    """The accounts with this e-mail address whose right to sign in is not revoked."""
    return Account.objects.filter(email__same_address=email, sign_in_revoked_at__isnull=True)


def find_account(*, account_number: str, username: str) -> Account | None:
    """The account with this number and, unless it is empty, this username; ignores case and outer spaces.

    A number in another spelling (`number_key`) counts if it is that of one account only.
    """
    accounts = Account.objects.all()
    if username.strip():
        accounts = accounts.filter(username__iexact=username.strip())
    exact = accounts.filter(account_number__iexact=account_number.strip()).first()
    return exact or _only(accounts.filter(account_number__same_number=account_number))


def _only(accounts: QuerySet[Account]) -> Account | None:
    found = list(accounts[:2])
    return found[0] if len(found) == 1 else None


def staff_with(*permissions: str) -> QuerySet[User]:
    """The active staff whose role has one of the permissions (codenames), by address."""
    has_permission = Q(groups__permissions__codename__in=permissions)
    return User.objects.filter(has_permission, is_staff=True, is_active=True).distinct().order_by("email")

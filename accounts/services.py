from accounts.models import Account, User


def customer_who_may_sign_in(*, email: str) -> User | None:
    """The person to whom a sign-in code may be sent: known by an account, made on first use.

    Staff do not sign in by code: their way in is the staff interface.
    """
    email = email.strip().lower()
    user = User.objects.filter(email=email).first()
    if user is not None:
        return user if user.is_active and not user.is_staff else None
    account = Account.objects.filter(email__iexact=email).first()
    if account is None:
        return None
    user, _ = User.objects.get_or_create(email=email, defaults={"name": account.name, "password": "!"})
    return user

"""Recovery codes of staff: each signs in once. Only their hashes are stored (OWASP ASVS 5.0, V6.5.2).

The row is django-allauth's, so that its counts and the erasure of people hold; its own codes would be encrypted only.
"""

import secrets

from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from accounts.models import User
from billing.rules.references import ALPHABET

HOW_MANY = 10
LENGTH = 12  # 58 bits; the first character says which code it is, so that one hash is compared and not ten
KIND = Authenticator.Type.RECOVERY_CODES


def make_codes(user: User) -> list[str]:
    """Replaces the person's codes by new ones and returns them; they cannot be read again."""
    codes = [first + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1)) for first in ALPHABET[:HOW_MANY]]
    with transaction.atomic():
        Authenticator.objects.filter(user=user, type=KIND).delete()
        Authenticator.objects.create(
            user=user, type=KIND, data={"hashes": {code[0]: make_password(code) for code in codes}}
        )
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def use_code(factor: Authenticator, typed: str) -> bool:
    """Whether `typed` is one of the codes; it then counts no more. The row is locked by the caller."""
    code = typed.upper()
    stored = factor.data["hashes"].get(code[:1])
    if len(code) != LENGTH or stored is None or not check_password(code, stored):
        return False
    del factor.data["hashes"][code[0]]
    factor.save(update_fields=["data"])
    return True


def codes_left(user: User) -> int:
    factor = Authenticator.objects.filter(user=user, type=KIND).first()
    return len(factor.data["hashes"]) if factor else 0

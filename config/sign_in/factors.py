"""Second factors of staff: an authenticator app (TOTP, RFC 6238), a passkey (W3C Web Authentication), recovery codes.

django-allauth keeps and checks them.
"""

from datetime import datetime, timedelta
from functools import cached_property

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import validate_totp_code
from allauth.mfa.utils import decrypt
from cryptography.fernet import InvalidToken, MultiFernet
from django.db import transaction
from django.utils import timezone

from accounts.audit import record_action
from accounts.models import Deed, User
from messaging.sealing import box

MOST_FAILURES, WITHIN = 5, timedelta(minutes=15)


Kinds = Authenticator.Type


class Sealed(DefaultMFAAdapter):
    """Secrets of second factors are kept encrypted: a copy of the database alone signs nobody in."""

    @cached_property
    def _box(self) -> MultiFernet:
        return box("second factors")

    def encrypt(self, text: str) -> str:
        return self._box.encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return self._box.decrypt(encrypted_text.encode()).decode()


# Factors


def has_factor(user: User) -> bool:
    return Authenticator.objects.filter(user=user, type__in=(Kinds.TOTP, Kinds.WEBAUTHN)).exists()


def code_is_right(user: User, code: str) -> str:
    """How the code proves the person: «authenticator app» or «recovery code»; empty where it does not.

    A code counts once, whichever process is asked.
    """
    typed = "".join(code.split()).replace("-", "")
    with transaction.atomic():
        for found in Authenticator.objects.select_for_update().filter(user=user).order_by("pk"):
            try:
                if found.type == Kinds.TOTP and validate_totp_code(decrypt(found.data["secret"]), typed):
                    used, now = found.data.get("used", []), timezone.now()
                    if typed in used:
                        return ""
                    found.data["used"], found.last_used_at = [typed, *used][:5], now
                    found.save(update_fields=["data", "last_used_at"])
                    return "authenticator app"
                if found.type == Kinds.RECOVERY_CODES and RecoveryCodes(found).validate_code(typed):
                    return "recovery code"
            except InvalidToken:  # sealed with a key that is gone: as if it were not there
                continue
    return ""


def too_many_failures(email: str, now: datetime) -> bool:
    failed = Deed.objects.filter(verb="sign_in_failed", about=email.lower()[:254], at__gt=now - WITHIN)
    return failed[:MOST_FAILURES].count() == MOST_FAILURES


def note_failure(email: str, why: str) -> None:
    known = User.objects.filter(email=email.lower(), is_staff=True).first()
    record_action(verb="sign_in_failed", by=known, now=timezone.now(), about=email.lower(), why=why, actor="")


LOCKED = "Too many attempts. Wait a quarter of an hour, then try again."

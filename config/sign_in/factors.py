"""Second factors of staff: an authenticator app (TOTP, RFC 6238), a passkey (W3C Web Authentication), recovery codes.

django-allauth stores and verifies them.
"""

from functools import cached_property

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import validate_totp_code
from allauth.mfa.utils import decrypt
from cryptography.fernet import InvalidToken, MultiFernet
from django.db import transaction
from django.utils import timezone

from accounts.audit import record_action
from accounts.models import User
from accounts.services.notices import notify_person
from accounts.services.sessions import end_sessions
from config.sign_in.recovery_codes import use_code
from messaging.sealing import SealedRows, box

Kinds = Authenticator.Type
USE = "second factors"
WHY = {
    "app_added": "authenticator app", "app_replaced": "authenticator app", "app_removed": "totp",
    "passkey_added": "passkey", "passkey_removed": "webauthn", "codes_renewed": "",
}  # fmt: skip


class EncryptedFactors(DefaultMFAAdapter):
    """Stores the secrets of second factors encrypted, so that a copy of the database is not enough to sign in."""

    @cached_property
    def _box(self) -> MultiFernet:
        return box(USE)

    def encrypt(self, text: str) -> str:
        return self._box.encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return self._box.decrypt(encrypted_text.encode()).decode()


def _sealed_secrets(factor: Authenticator) -> list[str]:
    """The encrypted secret of an authenticator app; recovery codes are hashed, and a passkey has no secret here."""
    return [factor.data["secret"]] if "secret" in factor.data else []


def _replace_sealed_secrets(factor: Authenticator, sealed: list[str]) -> None:
    if sealed:
        (factor.data["secret"],) = sealed


SEALED_FACTORS = SealedRows(
    name="second factors",
    use=USE,
    model=Authenticator,
    fields=("data",),
    secrets_in=_sealed_secrets,
    replace=_replace_sealed_secrets,
)

# Factors


def has_factor(user: User) -> bool:
    return Authenticator.objects.filter(user=user, type__in=(Kinds.TOTP, Kinds.WEBAUTHN)).exists()


def verify_code(user: User, code: str) -> str:
    """Verifies a code and returns its kind, «authenticator app» or «recovery code»; empty if it is wrong.

    A code can be used once, also across processes.
    """
    plain_code = "".join(code.split()).replace("-", "")
    with transaction.atomic():
        for factor in Authenticator.objects.select_for_update().filter(user=user).order_by("pk"):
            try:
                if factor.type == Kinds.TOTP and validate_totp_code(decrypt(factor.data["secret"]), plain_code):
                    used, now = factor.data.get("used", []), timezone.now()
                    if plain_code in used:
                        return ""
                    factor.data["used"], factor.last_used_at = [plain_code, *used][:5], now
                    factor.save(update_fields=["data", "last_used_at"])
                    return "authenticator app"
                if factor.type == Kinds.RECOVERY_CODES and use_code(factor, plain_code):
                    return "recovery code"
            except InvalidToken:  # encrypted with a key that no longer exists: skip it
                continue
    return ""


def record_change(*, of: User, verb: str, change: str, detail: str = "") -> None:
    """Records a change of the person's own factors, tells them by mail, and ends all their sessions.

    `keep_session` lets the session that made the change go on.
    """
    now = timezone.now()
    record_action(verb=verb, by=of, now=now, about=of.email, why=WHY[change])
    end_sessions(of=of)
    notify_person(of=of, change=change, now=now, by=of, detail=detail)

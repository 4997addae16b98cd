"""Changing SECRET_KEY and AUDIT_KEY: which earlier keys are still needed, and re-sealing what is stored.

docs/deployment.md, "Change a key", has the steps.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.conf import settings

from accounts.audit import audit_keys, keys_of_entries, record_action
from accounts.models import StaffAction
from config.sign_in.factors import SEALED_FACTORS
from messaging.sealing import UNREADABLE, key_name, keys_used, reseal, secret_keys
from messaging.services.webhooks import SEALED_SECRETS

SEALED = (SEALED_SECRETS, SEALED_FACTORS)
RESEALED = "reseal_secrets"
MOST_SIGNED = timedelta(days=1)  # the longest life of a signed form or cookie, apart from the links in mails


@dataclass(frozen=True)
class EarlierKey:
    """A key of a fallback setting, and what it is still needed for; nothing if it can be removed."""

    setting: str
    name: str
    needed_for: tuple[str, ...]


def reseal_all(*, now: datetime) -> dict[str, Counter[str]]:
    """Encrypts all stored secrets with SECRET_KEY; returns the counts by outcome for each kind of secret.

    Records the run in the audit log, so that it is known since when the key has been in use.
    """
    outcomes = {sealed.name: reseal(sealed) for sealed in SEALED}
    if not any(counts[UNREADABLE] for counts in outcomes.values()):
        record_action(verb=RESEALED, by=None, now=now, about=key_name(settings.SECRET_KEY), actor="system")
    return outcomes


def unreadable_secrets() -> Iterator[str]:
    """A sentence for each kind of secret that no key of the settings decrypts."""
    for sealed in SEALED:
        if count := keys_used(sealed)[""]:
            yield (
                f"{count} of the {sealed.name} cannot be decrypted: put the key that encrypted them into "
                "SECRET_KEY_FALLBACKS."
            )


def unverifiable_entries() -> Iterator[str]:
    """A sentence for each key that sealed audit entries and is not in the settings."""
    keys = audit_keys()
    for name, (first, last) in keys_of_entries().items():
        if name not in keys:
            yield (
                f"Audit entries {first} to {last} cannot be verified: put the key {name}, which sealed them, into "
                "AUDIT_KEY_FALLBACKS."
            )


def earlier_keys(*, now: datetime) -> Iterator[EarlierKey]:
    """The keys of SECRET_KEY_FALLBACKS and AUDIT_KEY_FALLBACKS with what they are needed for, the newest first."""
    used = {sealed.name: keys_used(sealed) for sealed in SEALED}
    for newer, key in pairwise(secret_keys()):
        name = key_name(key)
        rows = [f"{counts[name]} {kind} (manage.py reseal_secrets)" for kind, counts in used.items() if counts[name]]
        yield EarlierKey("SECRET_KEY_FALLBACKS", name, (*rows, *_links_signed_before(newer, now)))
    yield from _earlier_audit_keys()


def _links_signed_before(newer: str, now: datetime) -> Iterator[str]:
    """What was signed until the newer key came into use, which is known since its first run of reseal_secrets."""
    days = max(timedelta(days=settings.PROOF_LINK_DAYS), MOST_SIGNED)
    first = StaffAction.objects.filter(verb=RESEALED, about=key_name(newer)).order_by("at").first()
    if first is None:
        yield f"links in mails, until {days.days} days after manage.py reseal_secrets"
    elif now < first.at + days:
        yield f"links in mails, until {first.at + days:%d %b %Y, %H:%M} UTC"


def _earlier_audit_keys() -> Iterator[EarlierKey]:
    ranges = keys_of_entries()
    for name in list(audit_keys())[1:]:
        needed = (f"audit entries {ranges[name][0]} to {ranges[name][1]}",) if name in ranges else ()
        yield EarlierKey("AUDIT_KEY_FALLBACKS", name, needed)

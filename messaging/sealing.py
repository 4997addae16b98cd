"""Encryption of secrets in the database. The key is not stored there, so a copy of the database reveals none.

SECRET_KEY encrypts; SECRET_KEY_FALLBACKS, the earlier keys, only decrypt. `reseal` brings what is stored to SECRET_KEY,
so that an earlier key can be removed. Each app lists its sealed rows as SealedRows.
"""

from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils.encoding import force_bytes

__all__ = ["InvalidToken", "SealedRows", "box", "key_name", "keys_used", "reseal", "secret_keys"]

BATCH = 200
CURRENT, RESEALED, UNREADABLE = "current", "re-sealed", "unreadable"


def secret_keys() -> tuple[str, ...]:
    """SECRET_KEY and its fallbacks, the newest first."""
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def key_name(key: str) -> str:
    """A short name for a key that does not reveal it, for messages and logs."""
    return sha256(b"the name of a key" + force_bytes(key)).hexdigest()[:8]


def box(use: str) -> MultiFernet:
    """Returns the cipher for this use. Encrypts with SECRET_KEY; decrypts with it and with its fallbacks."""
    return MultiFernet([_cipher(use, key) for key in secret_keys()])


def _cipher(use: str, key: str) -> Fernet:
    return Fernet(urlsafe_b64encode(sha256(use.encode() + force_bytes(key)).digest()))


@dataclass(frozen=True)
class SealedRows:
    """The rows of a model that hold secrets encrypted for one use.

    `secrets_in` returns the encrypted texts of a row; `replace` puts other texts, in the same order, in their place
    without saving the row; `fields` are the fields that hold them.
    """

    name: str
    use: str
    model: type[Model]
    fields: tuple[str, ...]
    secrets_in: Callable[[Any], list[str]]
    replace: Callable[[Any, list[str]], None]

    def rows(self) -> QuerySet[Any]:
        return self.model._default_manager.order_by("pk")


def keys_used(sealed: SealedRows) -> Counter[str]:
    """How many rows need each key, by the name of the key; under "" those that no key of the settings decrypts."""
    counts: Counter[str] = Counter()
    for row in sealed.rows().iterator(chunk_size=BATCH):
        counts.update({_key_of(sealed.use, secret) for secret in sealed.secrets_in(row)})
    return counts


def reseal(sealed: SealedRows, *, batch: int = BATCH) -> Counter[str]:
    """Encrypts the secrets with SECRET_KEY, in batches, and counts the rows by outcome.

    Each batch is a transaction of its own, and a row that is already current is left alone: after an interruption,
    call it again. A row that no key decrypts is counted as unreadable and left as it is.
    """
    outcomes: Counter[str] = Counter()
    keys = iter(list(sealed.rows().values_list("pk", flat=True)))
    while chosen := list(islice(keys, batch)):
        with transaction.atomic():
            rows = list(sealed.rows().filter(pk__in=chosen).select_for_update())
            results = {row: _reseal_row(sealed, row) for row in rows}
            changed = [row for row, outcome in results.items() if outcome == RESEALED]
            sealed.model._default_manager.bulk_update(changed, sealed.fields)
        outcomes.update(results.values())
    return outcomes


def _reseal_row(sealed: SealedRows, row: Any) -> str:
    secrets, current = sealed.secrets_in(row), key_name(settings.SECRET_KEY)
    names = {_key_of(sealed.use, secret) for secret in secrets}
    if "" in names:
        return UNREADABLE
    if names <= {current}:
        return CURRENT
    cipher = box(sealed.use)
    sealed.replace(row, [cipher.rotate(secret.encode()).decode() for secret in secrets])
    return RESEALED


def _key_of(use: str, secret: str) -> str:
    """The name of the key that encrypted the secret; empty if it is none of the settings."""
    return next(_matching_keys(use, secret.encode(), secret_keys()), "")


def _matching_keys(use: str, secret: bytes, keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        try:
            _cipher(use, key).decrypt(secret)
        except InvalidToken:
            continue
        yield key_name(key)

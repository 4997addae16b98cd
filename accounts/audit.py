"""The audit log: recording actions that change no row, sealing the audit entries, and verifying the whole."""

import hmac
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any

import pghistory.models
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min, Model
from pghistory import runtime

from accounts.models import AuditEntry, AuditHead, HistoryContext, StaffAction, User

FIRST = "0" * 64
BATCH = 2000
LOCK = "SELECT pg_advisory_xact_lock(hashtext('accounts.audit'))"
SEALED = (
    "number", "at", "table_name", "row_key", "operation", "digest",
    "verb", "actor", "by_id", "about", "address", "page",
)  # fmt: skip
MAY_REWRITE = frozenset({"erase", "context"})  # verbs that may change history rows: erasure of personal data


def record_action(
    *, verb: str, by: User | None, now: datetime, about: str = "", why: str = "", actor: str = "staff"
) -> StaffAction:
    """Records an action that changes no row, with the network address. It gets an audit entry like any change."""
    tracker = getattr(runtime._tracker, "value", None)
    address = (tracker.metadata.get("address") or "") if tracker else ""
    return StaffAction.objects.create(
        at=now, by=by, verb=verb, about=about[:254], why=why, actor=actor, address=address
    )


class SealingRefused(Exception):
    """AUDIT_KEY may not seal the next entry. The message says what to set."""


def seal_audit(*, now: datetime) -> int:
    """Seals the new audit entries in order, and returns how many. A lock makes concurrent calls take turns.

    Raises SealingRefused if a newer key than AUDIT_KEY has already sealed entries.
    """
    total = 0
    while count := _seal_batch(now):
        total += count
    return total


def _seal_batch(now: datetime) -> int:
    name, key = next(iter(audit_keys().items()))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
        entries = list(AuditEntry.objects.filter(number__isnull=True).order_by("id")[:BATCH])
        if not entries:
            return 0
        last = AuditEntry.objects.filter(number__isnull=False).order_by("-number").first()
        number, seal = (last.number or 0, last.seal) if last else (0, FIRST)
        if last and last.key != name:
            _check_is_newer(name, last.key)
        for entry in entries:
            number += 1
            entry.number, entry.key = number, name
            seal = entry.seal = _seal(key, seal, [getattr(entry, field) for field in SEALED])
        AuditEntry.objects.bulk_update(entries, ["number", "key", "seal"], batch_size=500)
        AuditHead.objects.update_or_create(
            pk=1, defaults={"number": number, "seal": _seal(key, seal, ["head", number]), "at": now}
        )
    return len(entries)


def _check_is_newer(name: str, last: str) -> None:
    """Keys only go forward: otherwise whoever has an old key could seal the newest entries again with it."""
    if last not in audit_keys():
        raise SealingRefused(f"The key {last} sealed the last audit entry. Put it into AUDIT_KEY_FALLBACKS.")
    if AuditEntry.objects.filter(key=name).exists():
        raise SealingRefused(
            f"AUDIT_KEY ({name}) was replaced before, by {last}, and is not used again. Set AUDIT_KEY to a new key, "
            "and put both into AUDIT_KEY_FALLBACKS, the newer one first."
        )


def _seal(key: bytes, previous: str, values: Sequence[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    text = json.dumps([previous, *plain], ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, text.encode(), sha256).hexdigest()


def audit_keys() -> dict[str, bytes]:
    """The keys by name, the newest first. AUDIT_KEY, the first, seals; the others only verify."""
    keys = {}
    for text in (settings.AUDIT_KEY, *settings.AUDIT_KEY_FALLBACKS):
        key = sha256(b"cancellations.audit" + text.encode()).digest()
        keys[sha256(key).hexdigest()[:8]] = key
    return keys


def keys_of_entries() -> dict[str, tuple[int, int]]:
    """The first and the last number of the entries that each key sealed, by the name of the key."""
    ranges = AuditEntry.objects.filter(number__isnull=False).values("key").order_by()
    return {row["key"]: (row["first"], row["last"]) for row in ranges.annotate(first=Min("number"), last=Max("number"))}


def head() -> str:
    """The number and the seal of the last entry, to be kept outside the database; empty before the first entry."""
    last = AuditEntry.objects.filter(number__isnull=False).order_by("-number").first()
    return f"{last.number}:{last.seal}" if last else ""


@contextmanager
def consistent_snapshot() -> Iterator[None]:
    """All reads inside see the database as of one moment, even while workers write and seal."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def faults(*, expected: str = "") -> Iterator[str]:
    """What was changed, removed or added outside the application, one sentence each; nothing if all is well.

    `expected` is a head that was kept earlier: the chain must still contain it.
    """
    yield from _faults_of_chain(expected)
    for model in (HistoryContext, StaffAction, *history_models()):
        yield from _faults_of_history(model)
    for model in history_models():
        yield from _faults_of_rows(model)


def _faults_of_chain(expected: str) -> Iterator[str]:
    keys, seal, number, last = audit_keys(), FIRST, 0, 0
    newest, name = len(keys), ""
    expected_number, _, expected_seal = expected.partition(":")
    while batch := list(
        AuditEntry.objects.filter(number__gt=last).order_by("number").values(*SEALED, "key", "seal")[:BATCH]
    ):
        for entry in batch:
            last = entry["number"]
            if last != number + 1:
                yield f"Audit entries {number + 1} to {last - 1} are missing."
            number = last
            if entry["key"] not in keys:
                yield f"Audit entry {number} was sealed with the key {entry['key']}, which is not in the settings."
            elif _seal(keys[entry["key"]], seal, [entry[field] for field in SEALED]) != entry["seal"]:
                yield f"Audit entry {number} was changed, or an entry before it: {_describe(entry)}."
            elif entry["operation"] != "I" and entry["verb"] not in MAY_REWRITE:
                change = "removed" if entry["operation"] == "D" else "changed"
                yield f"A history row was {change} after it was written, says entry {number}: {_describe(entry)}."
            if name != (name := entry["key"]) and name in keys:
                if (position := list(keys).index(name)) > newest:
                    yield f"Audit entry {number} was sealed with the key {name}, which was replaced before."
                newest = min(newest, position)
            seal = entry["seal"]
            if str(number) == expected_number and seal != expected_seal:
                yield f"The chain does not contain the head that you kept, {expected_number}."
    if expected_number and number < int(expected_number):
        yield f"The chain ends at {number}, before the head that you kept, {expected_number}."
    yield from _faults_of_head(number, seal, keys.get(name))


def _faults_of_head(number: int, seal: str, key: bytes | None) -> Iterator[str]:
    stored = AuditHead.objects.filter(pk=1).first()
    if stored is None:
        if number:
            yield "The head of the audit log is missing."
    elif stored.number > number:
        yield f"Audit entries {number + 1} to {stored.number}, the last ones, are missing."
    elif stored.number < number or (key and stored.seal != _seal(key, seal, ["head", number])):
        yield "The head of the audit log was changed."


def _describe(entry: dict[str, Any]) -> str:
    row = f"{entry['table_name']} {entry['row_key']} ({entry['about'] or 'no reference'})"
    return f"{row}, {dict(AuditEntry.OPERATIONS)[entry['operation']]} {entry['at']:%d %b %Y, %H:%M}"


def history_models() -> list[Any]:
    """The history models of all apps."""
    events = [model for model in apps.get_models() if issubclass(model, pghistory.models.Event)]
    tracking = [model for model in events if not model._meta.proxy and hasattr(model, "pgh_tracked_model")]
    return sorted(tracking, key=lambda model: model._meta.db_table)


def _faults_of_history(model: type[Model]) -> Iterator[str]:
    """History rows that differ from their newest audit entry, are missing, or have no audit entry."""
    table, pk = model._meta.db_table, model._meta.pk.column  # type: ignore[union-attr]
    is_context = model is HistoryContext
    row = "jsonb_build_object('id', stored.id, 'metadata', stored.metadata)" if is_context else "audit_row(stored)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH entry AS (
                SELECT DISTINCT ON (row_key) row_key, id, number, operation, digest, shape_id, about
                FROM accounts_auditentry WHERE table_name = %s ORDER BY row_key, id DESC)
            SELECT coalesce(entry.row_key, stored.{pk}::text), entry.number, entry.about, entry.row_key IS NULL,
                stored.{pk} IS NULL, entry.operation
            FROM entry FULL JOIN {table} stored ON stored.{pk}::text = entry.row_key
            LEFT JOIN accounts_auditshape shape ON shape.id = entry.shape_id
            WHERE entry.row_key IS NULL OR (stored.{pk} IS NULL) <> (entry.operation = 'D')
                OR (stored.{pk} IS NOT NULL
                    AND (shape.id IS NULL OR audit_digest({row}, shape.columns) <> entry.digest))
            """,  # noqa: S608 - names of tables and columns of ours
            [table],
        )
        for key, number, about, has_no_entry, is_missing, operation in cursor.fetchall():
            what = f"{table} {key}" + (f" ({about})" if about else "")
            entry = f"entry {number}" if number else "an entry not yet sealed"
            if has_no_entry:
                yield f"{what} was added without the portal: there is no audit entry for it."
            elif is_missing:
                yield f"{what} was removed, though {entry} records it."
            elif operation == "D":
                yield f"{what} exists again, though {entry} says that it was removed."
            else:
                yield f"{what} was changed since {entry}."


def _faults_of_rows(model: Any) -> Iterator[str]:
    """Tracked rows that differ from their newest history row, or are missing."""
    tracked = model.pgh_tracked_model
    updates = [tracker for tracker in model.pgh_trackers if isinstance(tracker, pghistory.UpdateEvent)]
    if not updates or not hasattr(model, "pgh_obj") or not _tracks_every_change(updates[0]):
        return
    columns = [field.column for field in model._meta.fields if not field.name.startswith("pgh_")]
    columns = [name for name in columns if name != tracked._meta.pk.column]
    differing = ", ".join(
        f"CASE WHEN stored.{name} IS DISTINCT FROM newest.{name} THEN '{name}' END" for name in columns
    )
    table, pk = tracked._meta.db_table, tracked._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH newest AS (
                SELECT DISTINCT ON (pgh_obj_id) * FROM {model._meta.db_table} ORDER BY pgh_obj_id, pgh_id DESC)
            SELECT newest.pgh_obj_id::text, stored.{pk} IS NULL, array_remove(ARRAY[{differing}], NULL)
            FROM newest LEFT JOIN {table} stored ON stored.{pk} = newest.pgh_obj_id
            WHERE (stored.{pk} IS NULL AND newest.pgh_label <> 'delete')
                OR (stored.{pk} IS NOT NULL AND num_nonnulls({differing}) > 0)
            """  # noqa: S608 - names of tables and columns of ours
        )
        for key, is_missing, names in cursor.fetchall():
            if is_missing:
                yield f"{table} {key} is missing, though its history has no removal."
            else:
                yield f"{table} {key} differs from its history: {', '.join(names)}."


def _tracks_every_change(tracker: Any) -> bool:
    """Whether the tracker records every change, so that the newest history row equals the row."""
    return type(tracker.condition).__name__ == "AnyChange"


def subject_of(table: str) -> str:
    """The verbose name of what a history table records, such as «refund»; the table's name if it is unknown."""
    model = _model_of(table)
    if model is None:
        return table
    tracked = getattr(model, "pgh_tracked_model", model)
    return str(tracked._meta.verbose_name)


def _model_of(table: str) -> Any:
    models = (HistoryContext, StaffAction, *history_models())
    return next((model for model in models if model._meta.db_table == table), None)


def values_of(column: str) -> list[str]:
    """The distinct values of a column of the audit log, by a loose index scan instead of reading all rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE distinct_value AS (
                (SELECT {column} AS value FROM accounts_auditentry ORDER BY {column} LIMIT 1)
                UNION ALL
                SELECT (SELECT {column} FROM accounts_auditentry
                    WHERE {column} > distinct_value.value ORDER BY {column} LIMIT 1)
                FROM distinct_value WHERE distinct_value.value IS NOT NULL)
            SELECT value FROM distinct_value WHERE value IS NOT NULL
            """  # noqa: S608 - a column of ours
        )
        return [value for (value,) in cursor.fetchall()]


def reasons_of(table: str, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The reason recorded with each of these history rows, by key; empty where none was given."""
    model = _model_of(table)
    if model is StaffAction:
        yield from ((str(key), why) for key, why in StaffAction.objects.filter(pk__in=keys).values_list("pk", "why"))
    elif model is not None and model is not HistoryContext:
        contexts = model.objects.filter(pk__in=keys).values_list("pk", "pgh_context__metadata")
        yield from ((str(key), (metadata or {}).get("why") or "") for key, metadata in contexts)


def fields_of(entry: AuditEntry) -> list[tuple[str, str, str, bool]]:
    """The fields of the entry's history row: name, value before, value after, and whether it changed."""
    model = _model_of(entry.table_name)
    event = model.objects.filter(pk=entry.row_key).first() if model is not None else None
    if event is None:
        return []
    before = None
    if getattr(event, "pgh_obj_id", None) is not None:
        before = model.objects.filter(pgh_obj_id=event.pgh_obj_id, pgh_id__lt=event.pk).order_by("-pgh_id").first()
    fields = []
    for field in model._meta.fields:
        if not field.name.startswith("pgh_") and field.name != "id":
            was, now = (_field_text(row, field) for row in (before, event))
            fields.append((str(field.verbose_name), was, now, before is not None and was != now))
    return fields


def _field_text(row: Any, field: Any) -> str:
    value = getattr(row, field.attname) if row is not None else None
    return "" if value is None else str(value)

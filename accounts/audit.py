"""The audit: what staff did beside changing rows, sealing the notes of the database, and checking all of it."""

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
from django.db.models import Model
from pghistory import runtime

from accounts.models import AuditEntry, AuditHead, Deed, ToldContext, User

FIRST = "0" * 64
BATCH = 2000
LOCK = "SELECT pg_advisory_xact_lock(hashtext('accounts.audit'))"
SEALED = (
    "number", "at", "table_name", "row_key", "operation", "digest",
    "verb", "actor", "by_id", "about", "address", "page",
)  # fmt: skip
MAY_REWRITE = frozenset({"erase", "context"})  # personal data is erased from the history, too (services of erasure)


def record_action(
    *, verb: str, by: User | None, now: datetime, about: str = "", why: str = "", actor: str = "staff"
) -> Deed:
    """Keeps what somebody did that changes no row, with where from. It is noted in the audit like any change."""
    tracker = getattr(runtime._tracker, "value", None)
    address = (tracker.metadata.get("address") or "") if tracker else ""
    return Deed.objects.create(at=now, by=by, verb=verb, about=about[:254], why=why, actor=actor, address=address)


def seal_audit(*, now: datetime) -> int:
    """Seals what was noted since, in order, and returns how many entries. One at a time, whoever asks."""
    done = 0
    while sealed := _seal_batch(now):
        done += sealed
    return done


def _seal_batch(now: datetime) -> int:
    name, key = next(iter(_keys().items()))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
        noted = list(AuditEntry.objects.filter(number__isnull=True).order_by("id")[:BATCH])
        if not noted:
            return 0
        last = AuditEntry.objects.filter(number__isnull=False).order_by("-number").first()
        number, seal = (last.number or 0, last.seal) if last else (0, FIRST)
        for entry in noted:
            number += 1
            entry.number, entry.key = number, name
            seal = entry.seal = _seal(key, seal, [getattr(entry, each) for each in SEALED])
        AuditEntry.objects.bulk_update(noted, ["number", "key", "seal"], batch_size=500)
        AuditHead.objects.update_or_create(
            pk=1, defaults={"number": number, "seal": _seal(key, seal, ["head", number]), "at": now}
        )
    return len(noted)


def _seal(key: bytes, before: str, told: Sequence[Any]) -> str:
    plain = [one.isoformat() if isinstance(one, datetime) else one for one in told]
    text = json.dumps([before, *plain], ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, text.encode(), sha256).hexdigest()


def _keys() -> dict[str, bytes]:
    """The keys by their names, the one that seals first."""
    found = {}
    for text in (settings.AUDIT_KEY, *settings.AUDIT_KEY_FALLBACKS):
        key = sha256(b"cancellations.audit" + text.encode()).digest()
        found[sha256(key).hexdigest()[:8]] = key
    return found


def head() -> str:
    """The number and the seal of the last entry, to be kept somewhere else; empty before the first."""
    last = AuditEntry.objects.filter(number__isnull=False).order_by("-number").first()
    return f"{last.number}:{last.seal}" if last else ""


@contextmanager
def one_moment() -> Iterator[None]:
    """All that is read inside is as it was at one moment, whatever workers write and seal meanwhile."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def faults(*, expected: str = "") -> Iterator[str]:
    """What was changed, removed or added behind the application's back, a sentence each; nothing where all is well.

    `expected` is a head that was kept earlier: the chain must still go through it.
    """
    yield from _faults_of_chain(expected)
    for model in (ToldContext, Deed, *history_models()):
        yield from _faults_of_lines(model)
    for model in history_models():
        yield from _faults_of_rows(model)


def _faults_of_chain(expected: str) -> Iterator[str]:
    keys, seal, number, after = _keys(), FIRST, 0, 0
    expected_number, _, expected_seal = expected.partition(":")
    while batch := list(
        AuditEntry.objects.filter(number__gt=after).order_by("number").values(*SEALED, "key", "seal")[:BATCH]
    ):
        for entry in batch:
            after = entry["number"]
            if after != number + 1:
                yield f"Audit entries {number + 1} to {after - 1} are missing."
            number = after
            if entry["key"] not in keys:
                yield f"Audit entry {number} was sealed with the key {entry['key']}, which is not in the settings."
            elif _seal(keys[entry["key"]], seal, [entry[each] for each in SEALED]) != entry["seal"]:
                yield f"Audit entry {number} was changed, or what stood before it: {_words(entry)}."
            elif entry["operation"] != "I" and entry["verb"] not in MAY_REWRITE:
                done = "removed" if entry["operation"] == "D" else "changed"
                yield f"A line of the history was {done} after it was written, says entry {number}: {_words(entry)}."
            seal = entry["seal"]
            if str(number) == expected_number and seal != expected_seal:
                yield f"The chain does not go through the head that you kept, {expected_number}."
    if expected_number and number < int(expected_number):
        yield f"The chain ends at {number}, before the head that you kept, {expected_number}."
    yield from _faults_of_head(number, seal, keys)


def _faults_of_head(number: int, seal: str, keys: dict[str, bytes]) -> Iterator[str]:
    kept = AuditHead.objects.filter(pk=1).first()
    if kept is None:
        if number:
            yield "The head of the audit is gone."
    elif kept.number > number:
        yield f"Audit entries {number + 1} to {kept.number}, the last ones, are missing."
    elif kept.number < number or kept.seal not in {_seal(key, seal, ["head", number]) for key in keys.values()}:
        yield "The head of the audit was changed."


def _words(entry: dict[str, Any]) -> str:
    line = f"{entry['table_name']} {entry['row_key']} ({entry['about'] or 'no reference'})"
    return f"{line}, {dict(AuditEntry.OPERATIONS)[entry['operation']]} {entry['at']:%d %b %Y, %H:%M}"


def history_models() -> list[Any]:
    """The models of the lines of the history, of all apps."""
    found = [one for one in apps.get_models() if issubclass(one, pghistory.models.Event) and not one._meta.proxy]
    return sorted((one for one in found if hasattr(one, "pgh_tracked_model")), key=lambda one: one._meta.db_table)


def _faults_of_lines(model: type[Model]) -> Iterator[str]:
    """Each line is as it was noted, and none is missing or was added without a note."""
    table, pk = model._meta.db_table, model._meta.pk.column  # type: ignore[union-attr]
    kept = "jsonb_build_object('id', kept.id, 'metadata', kept.metadata)" if model is ToldContext else "audit_row(kept)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH noted AS (
                SELECT DISTINCT ON (row_key) row_key, id, number, operation, digest, shape_id, about
                FROM accounts_auditentry WHERE table_name = %s ORDER BY row_key, id DESC)
            SELECT coalesce(noted.row_key, kept.{pk}::text), noted.number, noted.about, noted.row_key IS NULL,
                kept.{pk} IS NULL, noted.operation
            FROM noted FULL JOIN {table} kept ON kept.{pk}::text = noted.row_key
            LEFT JOIN accounts_auditshape shape ON shape.id = noted.shape_id
            WHERE noted.row_key IS NULL OR (kept.{pk} IS NULL) <> (noted.operation = 'D')
                OR (kept.{pk} IS NOT NULL AND (shape.id IS NULL OR audit_digest({kept}, shape.columns) <> noted.digest))
            """,  # noqa: S608 - names of tables and columns of ours
            [table],
        )
        for key, number, about, unnoted, gone, operation in cursor.fetchall():
            what = f"{table} {key}" + (f" ({about})" if about else "")
            entry = f"entry {number}" if number else "an entry not yet sealed"
            if unnoted:
                yield f"{what} was added without the portal: no audit entry knows it."
            elif gone:
                yield f"{what} was removed, though {entry} knows it."
            elif operation == "D":
                yield f"{what} is there again, though {entry} says that it was removed."
            else:
                yield f"{what} was changed since {entry}."


def _faults_of_rows(model: Any) -> Iterator[str]:
    """Each row that the portal decides on is as the newest line of its history says."""
    tracked = model.pgh_tracked_model
    updates = [one for one in model.pgh_trackers if isinstance(one, pghistory.UpdateEvent)]
    if not updates or not hasattr(model, "pgh_obj") or not _is_plain(updates[0]):
        return
    columns = [one.column for one in model._meta.fields if not one.name.startswith("pgh_")]
    columns = [one for one in columns if one != tracked._meta.pk.column]
    differing = ", ".join(f"CASE WHEN kept.{one} IS DISTINCT FROM newest.{one} THEN '{one}' END" for one in columns)
    table, pk = tracked._meta.db_table, tracked._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH newest AS (
                SELECT DISTINCT ON (pgh_obj_id) * FROM {model._meta.db_table} ORDER BY pgh_obj_id, pgh_id DESC)
            SELECT newest.pgh_obj_id::text, kept.{pk} IS NULL, array_remove(ARRAY[{differing}], NULL)
            FROM newest LEFT JOIN {table} kept ON kept.{pk} = newest.pgh_obj_id
            WHERE (kept.{pk} IS NULL AND newest.pgh_label <> 'delete')
                OR (kept.{pk} IS NOT NULL AND num_nonnulls({differing}) > 0)
            """  # noqa: S608 - names of tables and columns of ours
        )
        for key, gone, names in cursor.fetchall():
            if gone:
                yield f"{table} {key} is gone, though its history goes on."
            else:
                yield f"{table} {key} is not as its history says: {', '.join(names)}."


def _is_plain(tracker: Any) -> bool:
    """Whether it records each change of what it tracks, so that the newest line is the row."""
    return type(tracker.condition).__name__ == "AnyChange"


def thing(table: str) -> str:
    """What a table of the history is about, in words."""
    model = _model_of(table)
    if model is None:
        return table
    told = getattr(model, "pgh_tracked_model", model)
    return str(told._meta.verbose_name)


def _model_of(table: str) -> Any:
    known = (ToldContext, Deed, *history_models())
    return next((one for one in known if one._meta.db_table == table), None)


def values_of(column: str) -> list[str]:
    """The values of a column of the audit, by skipping along its index instead of reading all rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE found AS (
                (SELECT {column} AS value FROM accounts_auditentry ORDER BY {column} LIMIT 1)
                UNION ALL
                SELECT (SELECT {column} FROM accounts_auditentry WHERE {column} > found.value ORDER BY {column} LIMIT 1)
                FROM found WHERE found.value IS NOT NULL)
            SELECT value FROM found WHERE value IS NOT NULL
            """  # noqa: S608 - a column of ours
        )
        return [value for (value,) in cursor.fetchall()]


def reasons_of(table: str, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Why the lines of a table were written, where somebody said so."""
    model = _model_of(table)
    if model is Deed:
        yield from ((str(key), why) for key, why in Deed.objects.filter(pk__in=keys).values_list("pk", "why"))
    elif model is not None and model is not ToldContext:
        told = model.objects.filter(pk__in=keys).values_list("pk", "pgh_context__metadata")
        yield from ((str(key), (metadata or {}).get("why") or "") for key, metadata in told)


def lines_of(entry: AuditEntry) -> list[tuple[str, str, str, bool]]:
    """What the line of the history says, field by field: name, value before, value then, and whether it changed."""
    model = _model_of(entry.table_name)
    line = model.objects.filter(pk=entry.row_key).first() if model is not None else None
    if line is None:
        return []
    before = None
    if getattr(line, "pgh_obj_id", None) is not None:
        before = model.objects.filter(pgh_obj_id=line.pgh_obj_id, pgh_id__lt=line.pk).order_by("-pgh_id").first()
    told = []
    for field in model._meta.fields:
        if not field.name.startswith("pgh_") and field.name != "id":
            was, now = (_shown(one, field) for one in (before, line))
            told.append((str(field.verbose_name), was, now, before is not None and was != now))
    return told


def _shown(line: Any, field: Any) -> str:
    value = getattr(line, field.attname) if line is not None else None
    return "" if value is None else str(value)

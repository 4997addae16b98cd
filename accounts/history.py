"""The history of rows (django-pghistory): who changed what and why, with an audit entry for each history row.

A database trigger writes an audit entry (models.AuditEntry) for each history row, and for each change of one, in
the same transaction. accounts/audit.py seals the entries in a chain.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pghistory
import pgtrigger
from django.db import connection
from pghistory import runtime

NOTE = """
    IF TG_OP = 'DELETE' THEN
        PERFORM audit_note(TG_TABLE_NAME::text, 'D', audit_row(OLD));
        RETURN OLD;
    END IF;
    PERFORM audit_note(TG_TABLE_NAME::text, left(TG_OP, 1), audit_row(NEW));
    RETURN NEW;
"""
# Each statement writes its context again. Only the content counts, not the time, so that the digest stays the same.
NOTE_CONTEXT = """
    PERFORM audit_note(TG_TABLE_NAME::text, left(TG_OP, 1), CASE WHEN TG_OP = 'DELETE'
        THEN jsonb_build_object('id', OLD.id, 'metadata', OLD.metadata)
        ELSE jsonb_build_object('id', NEW.id, 'metadata', NEW.metadata) END);
    RETURN NULL;
"""
_ANY = pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete


def audited(func: str = NOTE) -> pgtrigger.Trigger:
    """The trigger that writes an audit entry for each change of a row of the table."""
    return pgtrigger.Trigger(name="audited", when=pgtrigger.After, operation=_ANY, func=func)


def tracked(*trackers: Any, **options: Any) -> Callable[[Any], Any]:
    """`pghistory.track`, with an audit entry for each history row."""
    track: Callable[[Any], Any] = pghistory.track(*trackers, meta={"triggers": [audited()]}, **options)
    return track


@contextmanager
def recorded(verb: str, *, actor: str, by: int | None = None, why: str = "") -> Iterator[None]:
    """Records the changes made inside under this verb; `actor` is customer, staff or system, `by` a user's key.

    Verbs nest: changes inside an inner verb are recorded under the inner verb. pghistory's own contexts share one
    row until the outermost ends, so that the last verb would apply to all changes.
    """
    outermost = not hasattr(runtime._tracker, "value")
    with pghistory.context():
        outer = runtime._tracker.value
        metadata = {**outer.metadata, "verb": verb, "actor": actor, "by": by, "why": why}
        runtime._tracker.value = runtime.Context(id=uuid4(), metadata=metadata)
        try:
            yield
        finally:
            runtime._tracker.value = outer
    if outermost:
        _forget()


def _forget() -> None:
    """Clears the verb for later changes in the same transaction: the database would keep it otherwise."""
    if connection.in_atomic_block and not connection.needs_rollback:
        with connection.cursor() as cursor:
            for name in ("pghistory.context_id", "pghistory.context_metadata"):
                cursor.execute("SELECT set_config(%s, '', true)", [name])

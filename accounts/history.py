"""Who did what and why, beside each change that the database records (django-pghistory), and the audit's own record.

Each line of the history, and each change of one, is noted in the audit (models.AuditEntry) by a trigger of the
database, in the same transaction; `services.audit` seals the notes in a chain.
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
# A context is told again by each statement of its own; only what it says counts, not when it was said.
NOTE_CONTEXT = """
    PERFORM audit_note(TG_TABLE_NAME::text, left(TG_OP, 1), CASE WHEN TG_OP = 'DELETE'
        THEN jsonb_build_object('id', OLD.id, 'metadata', OLD.metadata)
        ELSE jsonb_build_object('id', NEW.id, 'metadata', NEW.metadata) END);
    RETURN NULL;
"""
_ANY = pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete


def audited(func: str = NOTE) -> pgtrigger.Trigger:
    """The trigger that notes each row of a table in the audit."""
    return pgtrigger.Trigger(name="audited", when=pgtrigger.After, operation=_ANY, func=func)


def tracked(*trackers: Any, **options: Any) -> Callable[[Any], Any]:
    """`pghistory.track`, with the lines of the history noted in the audit."""
    track: Callable[[Any], Any] = pghistory.track(*trackers, meta={"triggers": [audited()]}, **options)
    return track


@contextmanager
def recorded(verb: str, *, actor: str, by: int | None = None, why: str = "") -> Iterator[None]:
    """The changes made inside are told by this verb; `actor` is customer, staff or system, `by` a user's key.

    Verbs nest: what an inner one changes is told by the inner one. pghistory's own contexts cannot do that, they
    share one row until the outermost ends, so that the last verb would speak for all.
    """
    outermost = not hasattr(runtime._tracker, "value")
    with pghistory.context():
        outer = runtime._tracker.value
        told = {**outer.metadata, "verb": verb, "actor": actor, "by": by, "why": why}
        runtime._tracker.value = runtime.Context(id=uuid4(), metadata=told)
        try:
            yield
        finally:
            runtime._tracker.value = outer
    if outermost:
        _forget()


def _forget() -> None:
    """What comes after in the same transaction is not told by this verb: the database remembers it otherwise."""
    if connection.in_atomic_block and not connection.needs_rollback:
        with connection.cursor() as cursor:
            for name in ("pghistory.context_id", "pghistory.context_metadata"):
                cursor.execute("SELECT set_config(%s, '', true)", [name])

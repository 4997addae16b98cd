"""Who did what and why, beside each change that the database records (django-pghistory)."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pghistory
from pghistory import runtime


@contextmanager
def recorded(verb: str, *, actor: str, by: int | None = None, why: str = "") -> Iterator[None]:
    """The changes made inside are told by this verb; `actor` is customer, staff or system, `by` a user's key.

    Verbs nest: what an inner one changes is told by the inner one. pghistory's own contexts cannot do that, they
    share one row until the outermost ends, so that the last verb would speak for all.
    """
    with pghistory.context():
        outer = runtime._tracker.value
        told = {**outer.metadata, "verb": verb, "actor": actor, "by": by, "why": why}
        runtime._tracker.value = runtime.Context(id=uuid4(), metadata=told)
        try:
            yield
        finally:
            runtime._tracker.value = outer

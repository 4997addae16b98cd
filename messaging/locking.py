"""Locks on what has no row of its own, such as an address, held until the transaction ends; and refusals by name."""

from django.db import IntegrityError, connection

from messaging.addresses import fold_address


def is_violation(error: IntegrityError, constraint: str) -> bool:
    """Whether the database refused the row because of this constraint."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) == constraint


def lock_name(name: str) -> None:
    """Waits until no other transaction holds the lock with this name, and takes it until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def lock_correspondence(address: str) -> None:
    """Lets mails of one sender, and tasks about mail to them, be filed one after the other: each sees the others."""
    lock_name(f"correspondence {fold_address(address)}")

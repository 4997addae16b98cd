"""The database role of web, worker and beat. It owns nothing, so it can switch no guard of the database off.

The tables belong to the role that migrates. It grants to the other one what the portal needs to run
(docs/deployment.md, "Two database roles").
"""

from collections.abc import Sequence
from typing import Any

import environ
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from psycopg2 import sql

from cancellations.models.erasing import history_tables

NOT_A_ROLE = (
    "APP_DATABASE_URL has to name a user other than DATABASE_URL's, like postgres://portal_app:password@host/name."
)
OWNS_TABLES = (
    "The database user {user} {problem}, so whoever gets hold of it can switch the guards of the database off. "
    "Let web, worker and beat connect as the user of APP_DATABASE_URL (docs/deployment.md, “Two database roles”)."
)


class RoleError(Exception):
    """The role cannot be set up; the message says what to do."""


def grant_after_migrations(*, using: str, **options: Any) -> None:
    """Receiver of post_migrate: sets up the user of APP_DATABASE_URL, where that is set."""
    if settings.APP_DATABASE_URL:
        user = environ.Env.db_url_config(settings.APP_DATABASE_URL)
        set_up(user["USER"], password=user["PASSWORD"], using=using)


def set_up(role: str, *, password: str = "", using: str = DEFAULT_DB_ALIAS) -> None:
    """Makes the role where it is missing, sets its password, and grants what the portal needs to run.

    Raises RoleError if the role is the connected user, or is missing and the connected user may not make roles.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT current_user::text, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        owner, makes_roles = cursor.fetchone()
        if not role or role == owner:
            raise RoleError(NOT_A_ROLE)
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            if not makes_roles:
                raise RoleError(
                    f"{owner} may not make roles. As an administrator of the server: CREATE ROLE {role} LOGIN"
                )
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        if password and makes_roles:
            cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))
        _grant(cursor, role)


def _grant(cursor: CursorWrapper, role: str) -> None:
    cursor.execute("SELECT current_database()")
    names = {
        "role": sql.Identifier(role),
        "database": sql.Identifier(cursor.fetchone()[0]),
        "history": sql.SQL(", ").join(map(sql.Identifier, history_tables())),
    }
    for statement in (
        # A temporary table would stand before the real one in the functions of the guards.
        "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "REVOKE UPDATE, DELETE ON {history} FROM {role}",
        "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "GRANT EXECUTE ON PROCEDURE erase_rows TO {role}",
    ):
        cursor.execute(sql.SQL(statement).format(**names))


def check_user(*, databases: Sequence[str] | None = None, **options: Any) -> list[CheckMessage]:
    """Part of `manage.py check --deploy --database default`: the connected user owns no table and is no superuser."""
    return [
        Error(OWNS_TABLES.format(user=user, problem=problem), id="portal.E001")
        for alias in databases or ()
        for user, problem in _powers(alias)
    ]


def _powers(using: str) -> list[tuple[str, str]]:
    with connections[using].cursor() as cursor:
        cursor.execute(
            """
            SELECT rolname, CASE
                WHEN rolsuper THEN 'is a superuser'
                WHEN EXISTS (
                    SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                    AND pg_has_role(current_user, relowner, 'MEMBER')
                ) THEN 'owns tables'
                WHEN has_schema_privilege('public', 'CREATE') THEN 'may create tables'
                WHEN has_database_privilege(current_database(), 'TEMPORARY') THEN 'may create temporary tables'
            END FROM pg_roles WHERE rolname = current_user
            """
        )
        return [(user, problem) for user, problem in cursor.fetchall() if problem]

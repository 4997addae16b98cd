"""The suite's databases: each process that runs tests has one of its own, copied from a migrated template.

The template is made once for each state of the migrations and stays on the server for the next run.
"""

import ast
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import kombu.exceptions
import pgtrigger
from celery import current_app
from django.core.management import call_command
from django.db import connection, connections
from django.db.backends.utils import CursorWrapper

from config.deployment import roles

ROOT = Path(__file__).resolve().parent.parent
ROLE = "portal_tests_app"  # as in a deployment, it owns no table
APPS = ("accounts", "billing", "cancellations", "messaging")

# Rows that the migrations leave are kept beside the tables. `kept.restore` brings a database back to just these
# rows: a test that commits changes nothing for the tests after it, in whatever order they run.
KEEP = """
CREATE SCHEMA kept;
CREATE FUNCTION kept.filled() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    name text;
    found boolean;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO found;
        IF found THEN RETURN NEXT name; END IF;
    END LOOP;
END $$;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT * FROM kept.filled() LOOP
        EXECUTE format('CREATE TABLE kept.%1$I AS TABLE public.%1$I', name);
    END LOOP;
END $$;
CREATE FUNCTION kept.differs(name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    found boolean;
BEGIN
    IF to_regclass(format('kept.%I', name)) IS NULL THEN RETURN true; END IF;
    EXECUTE format('SELECT EXISTS (TABLE public.%1$I EXCEPT TABLE kept.%1$I)', name) INTO found;
    RETURN found;
END $$;
CREATE FUNCTION kept.restore() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    name text;
    changed text;
BEGIN
    SELECT string_agg(format('public.%I', one), ', ') INTO changed FROM kept.filled() one WHERE kept.differs(one);
    IF changed IS NOT NULL THEN EXECUTE 'TRUNCATE ' || changed || ' CASCADE'; END IF;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'kept' LOOP
        EXECUTE format('ALTER TABLE public.%I DISABLE TRIGGER USER', name);
        EXECUTE format('INSERT INTO public.%1$I TABLE kept.%1$I EXCEPT TABLE public.%1$I', name);
        EXECUTE format('ALTER TABLE public.%I ENABLE TRIGGER USER', name);
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA kept TO PUBLIC;
"""


@contextmanager
def own() -> Iterator[None]:
    """Points the portal at a migrated database, and at a part of the broker, that no other process uses."""
    plain = connection.settings_dict["NAME"]
    connection.close()
    with connection._nodb_cursor() as server:
        with _alone(server):
            template = _template(server, f"test_{plain}_template_")
            name = _free(server, f"test_{plain}_")
            _drop(server, name)
            server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            _use(name)
            roles.set_up(ROLE)
        _use(name, ROLE)
        current_app.conf.broker_transport_options = {
            **current_app.conf.broker_transport_options,
            "global_keyprefix": f"{name}:",
        }
        try:
            yield
        finally:
            with suppress(kombu.exceptions.OperationalError):
                current_app.control.purge()
            connections.close_all()
            _use(plain)
            _drop(server, name)


@contextmanager
def as_owner() -> Iterator[CursorWrapper]:
    """For what the portal itself may not do, such as a change behind its back."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        yield cursor
        cursor.execute("SELECT set_config('role', %s, false)", [ROLE])


@contextmanager
def behind_the_back() -> Iterator[CursorWrapper]:
    """As somebody who has the database wholly in their hands: no trigger fires."""
    with as_owner() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")


@contextmanager
def without_guards(*names: str) -> Iterator[None]:
    """For rows that no path of the portal makes; all guards, or those that are named."""
    with as_owner(), pgtrigger.ignore(*names):
        yield


def restore() -> None:
    """Leaves just the rows that the migrations made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT kept.restore()")


def _template(server: CursorWrapper, prefix: str) -> str:
    name, new = prefix + _state(), f"{prefix}new"  # renamed once it is whole
    server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
    there = [one for (one,) in server.fetchall()]
    if name in there:
        return name
    for old in there:
        _drop(server, old)
    server.execute(f'CREATE DATABASE "{new}"')
    _use(new)
    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute(KEEP)
    connection.close()
    server.execute(f'ALTER DATABASE "{new}" RENAME TO "{name}"')
    return name


def _state() -> str:
    """Names what a migrated database depends on: the migrations, what they import, the packages."""
    found = {ROOT / "requirements-dev.txt", Path(__file__)}
    new = {path for app in APPS for path in (ROOT / app / "migrations").glob("*.py")}
    while new := new - found:
        found |= new
        new = {other for path in new for other in _imported(path)}
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _imported(path: Path) -> Iterator[Path]:
    """The portal's own modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        for name in names:
            if name.split(".")[0] in APPS:
                base = ROOT.joinpath(*name.split("."))
                yield from (one for one in (base.with_suffix(".py"), base / "__init__.py") if one.is_file())


def _free(server: CursorWrapper, prefix: str) -> str:
    """The first name that no other process holds; this one holds it for as long as it is connected."""
    for number in range(1, 1000):
        name = f"{prefix}{number}"
        server.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name])
        if server.fetchone()[0]:
            return name
    raise RuntimeError("All names for databases are taken.")


@contextmanager
def _alone(server: CursorWrapper) -> Iterator[None]:
    """One process at a time makes a template or copies it."""
    server.execute("SELECT pg_advisory_lock(hashtext('the template of the tests'))")
    try:
        yield
    finally:
        server.execute("SELECT pg_advisory_unlock(hashtext('the template of the tests'))")


def _drop(server: CursorWrapper, name: str) -> None:
    server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _use(name: str, role: str = "") -> None:
    connection.close()
    connection.settings_dict["NAME"] = name
    connection.settings_dict["OPTIONS"] = {"options": f"-c role={role}"} if role else {}

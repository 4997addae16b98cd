"""The role of web, worker and beat owns nothing: by SQL of its own it switches no guard off. The suite runs as it."""

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, InternalError, ProgrammingError, connection, transaction

from cancellations.models import CancellationRequest
from config.deployment import roles
from tests import cast
from tests.databases import ROLE, as_owner

pytestmark = pytest.mark.django_db
HISTORY = "cancellations_cancellationrequestevent"


def run(statement):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE billing_refund DISABLE TRIGGER ALL",
        "ALTER TABLE billing_refund DROP CONSTRAINT billing_refund_pkey",
        "DROP TABLE billing_refund",
        "TRUNCATE billing_refund",
        "TRUNCATE " + HISTORY,
        f"UPDATE {HISTORY} SET state = 'declined'",
        f"DELETE FROM {HISTORY}",
        "DELETE FROM django_migrations",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('billing', '9999_x', now())",
        "CREATE TABLE public.billing_refunds (id bigint)",
        "CREATE TEMPORARY TABLE billing_payment (id bigint)",
        "CREATE SCHEMA other",
        "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean"
        " LANGUAGE sql AS 'SELECT true'",
        "DROP PROCEDURE erase_rows",
        "CREATE TRIGGER other BEFORE UPDATE ON billing_refund EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SET session_replication_role = replica",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)  # fmt: skip
def test_it_may_not(statement):
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner|must be superuser"):
        run(statement)


def test_it_owns_nothing_and_is_member_of_nothing():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles "
                       "WHERE rolname = current_user")  # fmt: skip
        assert cursor.fetchone() == (ROLE, False, False, False, False)
        cursor.execute("SELECT count(*) FROM pg_class WHERE pg_has_role(current_user, relowner, 'MEMBER')")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pgtrigger.ignore", "SELECT array_agg(tgname)::text FROM pg_trigger"),
        ("search_path", "SELECT 'pg_temp, public'"),
        ("search_path", "SELECT 'pg_catalog'"),
        ("search_path", "SELECT ''"),
    ],
)
def test_no_setting_of_its_session_passes_a_guard(name, value):
    request = cast.in_review()
    run(f"SELECT set_config('{name}', ({value}), true)")
    with pytest.raises(DatabaseError):
        run(f"UPDATE public.cancellations_cancellationrequest SET state = 'effective' WHERE id = {request.pk}")
    run("SET LOCAL search_path = public")
    assert CancellationRequest.objects.get().state == "in_review"


def test_the_history_stays_for_the_owner_too():
    request = cast.in_review()
    with as_owner():
        for statement in (f"UPDATE {HISTORY} SET state = 'scheduled'", f"DELETE FROM {HISTORY}"):
            with pytest.raises(InternalError):
                run(statement)
    assert request.events.exists()


class TestSettingUp:
    def test_a_migration_makes_the_role_and_grants_it_what_it_needs(self, settings):
        settings.APP_DATABASE_URL = "postgres://portal_made_here:secret%2Fword@db/portal"
        with as_owner():
            call_command("migrate", verbosity=0)
            run("SET ROLE portal_made_here")
            cast.in_review()
            assert roles.check_user(databases=["default"]) == []
            run("SET ROLE NONE")

    @pytest.mark.parametrize("url", ["postgres://postgres:x@db/portal", "postgres://db/portal"])
    def test_the_owner_itself_is_refused(self, settings, url):
        settings.APP_DATABASE_URL = url
        with as_owner(), pytest.raises(roles.RoleError, match="a user other than DATABASE_URL's"):
            call_command("migrate", verbosity=0)

    def test_who_may_not_make_it_hears_what_to_do(self):
        with as_owner():
            run("CREATE ROLE portal_owner_here")
            run("SET ROLE portal_owner_here")
            with pytest.raises(roles.RoleError, match="CREATE ROLE portal_app LOGIN"):
                roles.set_up("portal_app")
            run("SET ROLE NONE")


class TestTheCheck:
    def test_nothing_is_wrong_with_the_lesser_role(self):
        assert roles.check_user(databases=["default"]) == []
        assert roles.check_user(databases=None) == []

    def test_a_superuser_is_an_error(self):
        with as_owner(), pytest.raises(CommandError, match="postgres is a superuser"):
            call_command("check", "--deploy", "--tag", "security", "--database", "default")

    def test_an_owner_is_an_error(self):
        with as_owner():
            run("CREATE ROLE portal_owner_here")
            run("ALTER TABLE django_session OWNER TO portal_owner_here")
            run("SET ROLE portal_owner_here")
            (error,) = roles.check_user(databases=["default"])
            run("SET ROLE NONE")
        assert "portal_owner_here owns tables" in error.msg

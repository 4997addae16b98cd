"""Benchmark of the desk's pages with a million requests, compared with ten thousand.

Run with `make bench-desk` (takes some minutes). Both are measured in the same run, on the same database, through
Django's whole request handling. Prints ratios, because seconds depend on the machine.
"""

import os
import re
import statistics
import sys
import time
from html import unescape
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("PORTAL_DATA_DIR", str(Path(__file__).resolve().parent.parent / ".data" / "bench-desk"))
os.environ.setdefault("PORTAL_THROWAWAY", "1")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")

from config.local import embedded

FEW, MANY, TURNS = 10_000, int(os.environ.get("REQUESTS", "1_000_000")), 15
OPEN_ONE_IN, ACCOUNTS_ONE_IN = 20, 2
PAGES = {
    "queue, first page": "",
    "queue, second page": "next",
    "in review": "?state__exact=in_review",
    "assigned to nobody": "?assigned=nobody",
    "search by account number": "?q=B-000000776",
    "search by name": "?q=Bench+776",
    "late only": "?time=late",
}


def main() -> None:
    with embedded.servers():
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        settings.ALLOWED_HOSTS = ["*"]
        call_command("flush", verbosity=0, interactive=False) if _has_tables() else None
        call_command("migrate", verbosity=0)
        client = _manager()
        few = _measure(client, FEW)
        many = _measure(client, MANY)
        print(f"{'page':28} {'at ' + format(FEW, ','):>12} {'at ' + format(MANY, ','):>14}   ratio")
        for name in few:
            print(f"{name:28} {few[name] * 1000:9.0f} ms {many[name] * 1000:11.0f} ms {many[name] / few[name]:7.1f}")


def _has_tables() -> bool:
    from django.db import connection

    return "accounts_user" in connection.introspection.table_names()


def _manager() -> Any:
    from django.apps import apps
    from django.contrib.auth.models import Group
    from django.test import Client

    from accounts.desk.proof import PROVEN_AT
    from accounts.models import User
    from accounts.roles import grant_roles

    grant_roles(apps)
    person = User.objects.create_user("bench@desk.example", "x" * 20, is_staff=True)
    person.groups.add(Group.objects.get(name="manager"))
    client = Client()
    client.force_login(person)
    session = client.session
    session[PROVEN_AT] = session["staff_seen_at"] = time.time()
    session.save()
    return client


def _measure(client: Any, requests: int) -> dict[str, float]:
    """The seconds of each page, as the median of TURNS."""
    _fill(requests)
    queue = "/admin/cancellations/cancellationrequest/"
    seconds = {}
    for name, query in PAGES.items():
        address = queue + query
        if query == "next":
            match = re.search(r'href="([^"]+)" rel="next"', client.get(queue).content.decode())
            assert match
            address = queue + unescape(match[1])
        seconds[name] = _median(client, address)
    seconds["dashboard"] = _median(client, "/admin/")
    seconds["audit, first page"] = _median(client, "/admin/accounts/auditentry/")
    return seconds


def _median(client: Any, address: str) -> float:
    durations = []
    assert client.get(address).status_code == 200, address
    for _ in range(TURNS):
        started = time.perf_counter()
        client.get(address)
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def _fill(requests: int) -> None:
    """Fills the database up to this number of requests over three years: one in twenty open, half as many accounts."""
    from django.db import connection
    from django.utils import timezone

    from accounts.models import Account, AuditEntry
    from cancellations.models import CancellationRequest, PolicyVersion

    now = timezone.now()
    if not PolicyVersion.objects.exists():
        version = PolicyVersion.objects.create(number=1, text="x")
        PolicyVersion.objects.filter(pk=version.pk).update(
            state="published", effective_from=now, published_at=now, change_summary="x"
        )
    existing = CancellationRequest.objects.count()
    sql_numbers = f"generate_series({existing + 1}, {requests}) AS n"
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # without triggers: only reading is measured
        accounts = {
            "account_number": "'B-' || lpad(n::text, 9, '0')",
            "username": "'bench' || n",
            "name": "'Bench ' || n",
            "email": "'bench' || n || '@customer.example'",
            **{"country": "'AT'", "time_zone": "'Europe/Vienna'", "language": "'en'", "currency": "'EUR'"},
            **{"customer_since": "'2020-01-01'", "status": "'active'"},
        }
        _insert(cursor, Account._meta.db_table, accounts, f"{sql_numbers} WHERE n % {ACCOUNTS_ONE_IN} = 0")
        first = Account.objects.order_by("pk").values_list("pk", flat=True)[0]
        is_open = f"(n % {OPEN_ONE_IN} = 0)"
        received = "now() - (n % 1095) * interval '1 day' - (n % 86400) * interval '1 second'"
        columns: dict[str, str] = {
            str(field.column): _filler(field)
            for field in CancellationRequest._meta.concrete_fields
            if not field.generated
        }
        columns |= {
            "reference": "'CR-' || upper(substr(md5(n::text), 1, 4)) || '-' || upper(substr(md5(n::text), 5, 6)) || n",
            "submission_key": "gen_random_uuid()",
            "state": f"CASE WHEN {is_open} THEN 'in_review' WHEN n % 3 = 0 THEN 'declined' ELSE 'withdrawn' END",
            "decline_ground": "'duplicate'",
            "state_changed_at": received,
            "received_at": received,
            "channel": "'signed_in'",
            "account_number_given": "'B-' || lpad(n::text, 9, '0')",
            "username_given": "'bench' || n",
            "email_given": "'bench' || n || '@customer.example'",
            "account_id": f"{first} + (n % {max(requests // ACCOUNTS_ONE_IN - 1, 1)})",
            "policy_version_id": str(PolicyVersion.objects.get().pk),
            "verified_at": "now()",
            "on_time": "(n % 4 <> 0)",
            "effective_on": "current_date + (n % 300)::int",
            "effective_at": "date_trunc('day', now()) + (n % 300) * interval '1 day'",
            "next_billing_on": "current_date + (n % 300)::int",
            "time_zone": "'Europe/Vienna'",
            "reason": "(ARRAY['unused', 'too_expensive', 'other'])[1 + n % 3]",
            **{"kind": "'ordinary'", "kind_declared": "'ordinary'", "jurisdiction": "'default'", "language": "'en'"},
            **{"part": "1", "explanation": "'[]'"},
        }
        reference_length = 20
        columns["reference"] = f"left({columns['reference']}, {reference_length})"
        columns.pop("id")
        _insert(cursor, CancellationRequest._meta.db_table, columns, sql_numbers)
        entries = {
            **{
                "at": "now()",
                "table_name": "'cancellations_cancellationrequestevent'",
                "row_key": "n",
                "operation": "'I'",
            },
            **{"shape_id": "1", "digest": "''", "verb": "'submit'", "actor": "'customer'", "about": "'CR-' || n"},
            **{"address": "''", "page": "''", "key": "''", "seal": "''"},
        }
        _insert(cursor, AuditEntry._meta.db_table, entries, sql_numbers)
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")


def _insert(cursor: Any, table: str, columns: dict[str, str], rows: str) -> None:
    names, values = ", ".join(columns), ", ".join(columns.values())
    cursor.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {rows}")  # noqa: S608 - names of ours


def _filler(field: Any) -> str:
    if field.null:
        return "NULL"
    return {"BooleanField": "false", "CharField": "''", "TextField": "''", "EmailField": "''"}.get(
        field.get_internal_type(), "''"
    )


if __name__ == "__main__":
    main()

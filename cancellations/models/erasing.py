"""The only way past the guards of the database: erasing personal data, by a procedure that belongs to their owner.

In a deployment the portal's role owns no table (docs/deployment.md, "Two database roles"). It cannot switch a trigger
off, and a setting by which django-pgtrigger ignores triggers counts for the owner alone. The procedure `erase_rows`
runs as the owner. It writes only erased values, and only into the columns of ERASABLE.

`install` puts both into the database, after each migration, because each trigger that a migration makes brings
django-pgtrigger's own function again. After a change of ERASABLE or GUARDS, add a migration that calls `install`.
"""

import json
from collections.abc import Mapping
from typing import Any

import pgtrigger
from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import QuerySet
from pghistory.models import Event

ERASED = "(erased)"
# Fields that erasure overwrites, in the rows and in their history
ERASABLE: dict[str, tuple[str, ...]] = {
    "accounts.Account": ("name", "email", "username"),
    "billing.Refund": (
        "customer_reason", "proposal_ground", "decision_ground", "computed_ground", "failure", "payee_name",
        "payee_account", "notify",
    ),
    "billing.TransferBatch": ("file",),
    "cancellations.Attachment": ("name", "content", "size", "scan_state", "scan_due_at", "scan_result"),
    "cancellations.CancellationRequest": (
        "name_given", "username_given", "words", "cause", "refund_reason", "survey_words", "kind_ground", "end_unread",
        "decision_words", "notice_waived_ground", "enforcement_error", "account_number_given", "email_given",
    ),
    "cancellations.Conversation": ("name", "subject", "closing_words", "email"),
    "cancellations.Hold": ("ground", "lifted_ground"),
    "cancellations.Note": ("words",),
    "cancellations.Receipt": ("content", "pdf", "erased_at"),
    "cancellations.Termination": ("description", "evidence", "refund_ground", "settled_ground"),
    "messaging.IncomingMessage": (
        "raw", "sender", "sender_name", "subject", "text", "files", "remarks", "message_id", "in_reply_to",
        "references", "html", "digest", "last_error", "outcome",
    ),
    "messaging.OutgoingMessage": ("recipient", "subject", "text", "html", "last_error"),
}  # fmt: skip
# Triggers that keep rows from changing; the procedure passes them
GUARDS = (
    "cancellations.CancellationRequest:request_declaration_stays",
    "cancellations.CancellationRequestEvent:append_only",
    "cancellations.Termination:termination_case_stays",
    "cancellations.TerminationEvent:append_only",
    "cancellations.Attachment:attachment_stays",
    "cancellations.Receipt:receipt_content_stays",
    "cancellations.Receipt:receipt_pdf_stays",
    "accounts.AccountEvent:append_only",
    "billing.RefundEvent:append_only",
    "billing.TransferBatch:batch_is_as_ordered",
    "billing.TransferBatch:batch_stays_cancelled",
    "cancellations.HoldEvent:append_only",
    "cancellations.Note:note_stays",
    "cancellations.ConversationEvent:append_only",
    "messaging.IncomingMessage:mail_as_it_came_stays",
)

SHOULD_IGNORE = """
BEGIN
    IF trigger_name::text <> ALL (coalesce(nullif(current_setting('pgtrigger.ignore', true), ''), '{}')::text[]) THEN
        RETURN false;
    END IF;
    RETURN current_user = (
        SELECT pg_get_userbyid(proowner) FROM pg_proc
        WHERE oid = 'public._pgtrigger_should_ignore(name)'::regprocedure
    );
END
"""
ERASE_ROWS = """
DECLARE
    erasable CONSTANT jsonb := 'ERASABLE';
    key_column text;
    key_type text;
    assignments text;
    field record;
BEGIN
    FOR field IN SELECT key AS name, value, value #>> '{}' AS content FROM jsonb_each(new_values) LOOP
        IF NOT coalesce(erasable -> table_name ? field.name, false) THEN
            RAISE EXCEPTION 'Erasing does not change % of %', quote_ident(field.name), quote_ident(table_name)
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        IF field.name <> 'erased_at' AND field.value NOT IN ('null', '""', '0', '[]', '"(erased)"')
            AND field.content !~ '^erased(-[0-9]+)?(@erased\\.invalid)?$' THEN
            RAISE EXCEPTION 'Erasing writes no such value into % of %', quote_ident(field.name), quote_ident(table_name)
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    END LOOP;
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) INTO STRICT key_column, key_type
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = format('public.%I', table_name)::regclass AND i.indisprimary;
    SELECT string_agg(format('%1$I = (jsonb_populate_record(NULL::public.%2$I, $2)).%1$I', key, table_name), ', ')
        INTO STRICT assignments FROM jsonb_object_keys(new_values) key;
    EXECUTE format('UPDATE public.%I SET %s WHERE %I = ANY ($1::%s[])', table_name, assignments, key_column, key_type)
        USING keys, new_values;
    GET DIAGNOSTICS row_count = ROW_COUNT;
END
"""


def erase_rows_body() -> str:
    """The text of the procedure, with the columns of the tables and of their history."""
    columns: dict[str, list[str]] = {}
    for label, fields in ERASABLE.items():
        model = apps.get_model(label)
        columns[model._meta.db_table] = [model._meta.get_field(name).column for name in fields]
        if tracked := getattr(model, "events", None):
            history = tracked.rel.related_model._meta
            in_history = {field.name: field.column for field in history.fields}
            columns[history.db_table] = [in_history[name] for name in fields if name in in_history]
    erasable = json.dumps(columns, sort_keys=True)
    return ERASE_ROWS.replace("ERASABLE", erasable)


def install_after_migrations(*, using: str, **options: Any) -> None:
    """Receiver of post_migrate."""
    install(using)


def install(using: str = DEFAULT_DB_ALIAS) -> None:
    """Creates or replaces the function and the procedure, as the owner of the tables."""
    guards = ",".join(sorted(trigger.get_pgid(model) for model, trigger in pgtrigger.registered(*GUARDS)))
    statements = [
        "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean "
        f"LANGUAGE plpgsql AS $${SHOULD_IGNORE}$$",
        "CREATE OR REPLACE PROCEDURE public.erase_rows("
        "INOUT row_count bigint, table_name text, keys text[], new_values jsonb) LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path = pg_catalog, public, pg_temp SET pgtrigger.ignore = '{{{guards}}}' "
        f"AS $${erase_rows_body()}$$",
        "REVOKE ALL ON PROCEDURE public.erase_rows FROM PUBLIC",
    ]
    with connections[using].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def is_installed() -> bool:
    """Whether the database has the function and the procedure of this release."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT prosrc, prosecdef FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
            "AND proname IN ('_pgtrigger_should_ignore', 'erase_rows') ORDER BY proname"
        )
        return bool(cursor.fetchall() == [(SHOULD_IGNORE, False), (erase_rows_body(), True)])


def overwrite(rows: QuerySet[Any], values: Mapping[str, Any]) -> int:
    """Sets fields of guarded rows to erased values and returns how many rows there were.

    Raises django.db.ProgrammingError for a field that is not in ERASABLE and for a value that is not an erased one.
    """
    meta = rows.model._meta
    keys = [str(key) for key in rows.values_list("pk", flat=True)]
    if not keys:
        return 0
    new_values = {meta.get_field(name).column: "" if value == b"" else value for name, value in values.items()}
    with connection.cursor() as cursor:  # CALL, not SELECT: the history notes the verb for statements that change
        parameters = [meta.db_table, keys, json.dumps(new_values, cls=DjangoJSONEncoder)]
        cursor.execute("CALL erase_rows(NULL, %s, %s, %s)", parameters)
        return int(cursor.fetchone()[0])


def history_tables() -> list[str]:
    """The tables of history rows, which are only ever added to, except by `erase_rows`."""
    return sorted(model._meta.db_table for model in apps.get_models() if issubclass(model, Event))

"""Importing a CRM export: accounts, subscriptions, payments. Repeatable; a bad row never stops the rest.

The import never undoes the portal's own changes: a subscription that the portal ended keeps its end.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.db import DatabaseError, DataError, IntegrityError, OperationalError, models, transaction

from accounts.history import recorded
from accounts.models import Account
from billing.crm_import.files import FileRefused, Line, check_file, read_file
from billing.crm_import.rows import (
    ACCOUNT_COLUMNS,
    OPTIONAL_ACCOUNT_COLUMNS,
    OPTIONAL_PAYMENT_COLUMNS,
    OPTIONAL_SUBSCRIPTION_COLUMNS,
    PAYMENT_COLUMNS,
    SUBSCRIPTION_COLUMNS,
    Reader,
    RowRejected,
    account_values,
    payment_values,
    reject_before_start,
    subscription_values,
    text,
)
from billing.models import EndedBy, Payment, Subscription

BATCH = 1000


@dataclass
class Report:
    """Counts by outcome for one file: created, updated, unchanged, rejected."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Kind:
    """One file of the export: its columns, its reader, its model, and what its rows refer to."""

    file: str
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    read: Reader
    model: type[models.Model]
    key: str
    unique: tuple[str, ...]
    parent: "Parent | None" = None
    keep: Callable[[Any, dict[str, Any]], None] | None = None


@dataclass(frozen=True)
class Parent:
    """What a row belongs to: the column that names it, its model and key, and the values to take over from it."""

    column: str
    model: type[models.Model]
    key: str
    takes: Callable[[Any], dict[str, Any]]
    max_length: int = 40


class Rejects:
    """The rejects file: one line for each rejected row, with the reason and the original cells."""

    def __init__(self, handle: TextIO) -> None:
        self._writer = csv.writer(handle)
        self._writer.writerow(["file", "line", "reason", "row"])
        self._pending: list[tuple[int, str, list[str]]] = []

    def add(self, number: int, reason: str, cells: Iterable[str]) -> None:
        self._pending.append((number, reason, [cell if len(cell) <= 300 else cell[:300] + "…" for cell in cells]))

    def write(self, file: str) -> None:
        """Writes the rows added since the last call, in the order of their lines."""
        for number, reason, cells in sorted(self._pending):
            # The row as JSON, so that no cell can start a formula in a spreadsheet.
            self._writer.writerow([file, number, reason, json.dumps(cells, ensure_ascii=False)])
        self._pending.clear()


def import_export(folder: Path, rejects: TextIO, progress: Callable[[int], object]) -> list[Report]:
    """Imports the three files of a checked folder in order; calls `progress` with the number of lines read."""
    rejects_file = Rejects(rejects)
    with recorded("import", actor="system"):
        return [_import(folder, kind, rejects_file, progress) for kind in KINDS]


def check_export(folder: Path) -> int:
    """Checks the folder's three files and counts their rows, for a progress bar. Raises FileRefused."""
    if missing := [kind.file for kind in KINDS if not (folder / kind.file).exists()]:
        raise FileRefused(f"{folder} lacks {', '.join(missing)}. An export has {', '.join(k.file for k in KINDS)}.")
    return sum(check_file(folder / kind.file, kind.columns, kind.optional) for kind in KINDS)


def _import(folder: Path, kind: Kind, rejects: Rejects, progress: Callable[[int], object]) -> Report:
    report, seen = Report(kind.file), dict[tuple[str, str], int]()
    source = read_file(folder / kind.file)
    while lines := list(islice(source, BATCH)):
        valid = []
        for line in lines:
            try:
                if line.malformed:
                    raise RowRejected(line.malformed)
                line.values = kind.read(line.row)
                if kind.parent:
                    line.parent_key = text(line.row, kind.parent.column, kind.parent.max_length)
                _reject_repeated(kind, line, seen)
                valid.append(line)
            except RowRejected as error:
                _reject(rejects, report, line, str(error))
        _save(kind, valid, rejects, report)
        rejects.write(kind.file)
        progress(len(lines))
    return report


def _reject_repeated(kind: Kind, line: Line, seen: dict[tuple[str, str], int]) -> None:
    """Rejects a key or a unique value that an earlier line of the same file has."""
    pairs = [(name, line.values[name]) for name in (kind.key, *kind.unique)]
    for name, value in pairs:
        if (name, value) in seen:
            column = kind.columns[0] if name == kind.key else name
            raise RowRejected(f"{column} {value} is already in line {seen[name, value]}; keep one of the two rows")
    seen.update(dict.fromkeys(pairs, line.number))


def _save(kind: Kind, lines: list[Line], rejects: Rejects, report: Report) -> None:
    """Writes a batch at once; if the database refuses it, row by row, so that only the bad rows are rejected."""
    lines = _with_parents(kind, lines, rejects, report)
    try:
        with transaction.atomic():
            report.counts.update(_write(kind, lines))
    except (DataError, IntegrityError, OperationalError, RowRejected):  # of the third kind: a deadlock with a worker
        for line in lines:
            try:
                with transaction.atomic():
                    report.counts.update(_write(kind, [line]))
            except RowRejected as error:
                _reject(rejects, report, line, str(error))
            except (DataError, IntegrityError) as error:
                _reject(rejects, report, line, _reason(error))


def _with_parents(kind: Kind, lines: list[Line], rejects: Rejects, report: Report) -> list[Line]:
    parent, accepted = kind.parent, []
    if parent is None:
        return lines
    rows = parent.model._default_manager.filter(**{f"{parent.key}__in": {line.parent_key for line in lines}})
    parents = {getattr(row, parent.key): row for row in rows}
    for line in lines:
        if row := parents.get(line.parent_key):
            line.values |= parent.takes(row)
            accepted.append(line)
        else:
            reason = f"{parent.column} {line.parent_key!r} is not known; was its own row rejected?"
            _reject(rejects, report, line, reason)
    return accepted


def _write(kind: Kind, lines: list[Line]) -> Counter[str]:
    manager = kind.model._default_manager
    rows = manager.filter(**{f"{kind.key}__in": [line.values[kind.key] for line in lines]})
    locked = rows.select_for_update().order_by("pk")  # in the order in which the services lock them
    existing = {getattr(row, kind.key): row for row in locked}
    created, changed, counts = [], [], Counter[str]()
    for line in lines:
        row = existing.get(line.values[kind.key])
        if kind.keep is not None:
            kind.keep(row, line.values)
        if row is None:
            created.append(kind.model(**line.values))
        elif any(getattr(row, name) != value for name, value in line.values.items()):
            for name, value in line.values.items():
                setattr(row, name, value)
            changed.append(row)
        else:
            counts["unchanged"] += 1
    manager.bulk_create(created)
    if changed:
        names = [field.name for field in kind.model._meta.concrete_fields if not field.primary_key]
        manager.bulk_update(changed, names, batch_size=200)
    return counts + Counter(created=len(created), updated=len(changed))


def _reject(rejects: Rejects, report: Report, line: Line, reason: str) -> None:
    report.counts["rejected"] += 1
    rejects.add(line.number, reason, line.row.values())


def _reason(error: DatabaseError) -> str:
    detail = getattr(getattr(error.__cause__, "diag", None), "message_detail", None) or str(error).splitlines()[0]
    if duplicate := re.fullmatch(r"Key \((\w+)\)=\((.*)\) already exists\.", detail):
        return f"{duplicate[1]} {duplicate[2]} is already used by another row; correct one of the two"
    return f"the database refuses it: {detail}"


def _keep_account(row: Account | None, values: dict[str, Any]) -> None:
    if row is not None and row.erased_at is not None:
        values |= {"username": row.username, "name": row.name, "email": row.email}


def _keep_subscription(row: Subscription | None, values: dict[str, Any]) -> None:
    if row is not None and row.account_id != values["account_id"]:
        raise RowRejected("the subscription belongs to another account; it cannot be moved")
    if row is not None and _keeps_our_end(row, values):
        values |= {"ended_on": row.ended_on, "ended_by": row.ended_by}
    else:
        reject_before_start("ended_on", values["ended_on"], values["started_on"])
        values["ended_by"] = EndedBy.CRM if values["ended_on"] else EndedBy.NOT_ENDED


def _keeps_our_end(row: Subscription, values: dict[str, Any]) -> bool:
    """Whether the portal's end stays.

    A later start after it is a new contract under the same number. The start of a contract that was cancelled before
    it began may move; that contract stays cancelled.
    """
    if row.ended_by != EndedBy.PORTAL or row.ended_on is None:
        return False
    is_new_contract = row.started_on <= row.ended_on <= values["started_on"] and values["started_on"] > row.started_on
    return not is_new_contract


def _keep_payment(row: Payment | None, values: dict[str, Any]) -> None:
    if row is not None and row.subscription_id != values["subscription_id"]:
        raise RowRejected("the payment belongs to another subscription; it cannot be moved")


KINDS = (
    Kind(
        "accounts.csv",
        ACCOUNT_COLUMNS,
        OPTIONAL_ACCOUNT_COLUMNS,
        account_values,
        Account,
        "account_number",
        unique=("username",),
        keep=_keep_account,
    ),
    Kind(
        "subscriptions.csv",
        SUBSCRIPTION_COLUMNS,
        OPTIONAL_SUBSCRIPTION_COLUMNS,
        subscription_values,
        Subscription,
        "reference",
        unique=(),
        parent=Parent("account_number", Account, "account_number", lambda account: {"account_id": account.pk}),
        keep=_keep_subscription,
    ),
    Kind(
        "payments.csv",
        PAYMENT_COLUMNS,
        OPTIONAL_PAYMENT_COLUMNS,
        payment_values,
        Payment,
        "reference",
        unique=(),
        parent=Parent(
            "subscription_ref",
            Subscription,
            "reference",
            lambda subscription: {"subscription_id": subscription.pk, "account_id": subscription.account_id},
        ),
        keep=_keep_payment,
    ),
)

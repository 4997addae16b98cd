"""Importing a CRM export: accounts, subscriptions, payments. Repeatable; a bad row never stops the rest.

The import never undoes the portal's own changes: a subscription that the portal ended keeps its end.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.db import IntegrityError, models, transaction

from accounts.history import recorded
from accounts.models import Account
from billing.crm_import.rows import (
    ACCOUNT_COLUMNS,
    PAYMENT_COLUMNS,
    SUBSCRIPTION_COLUMNS,
    Reader,
    RowRejected,
    account_values,
    payment_values,
    subscription_values,
)
from billing.models import EndedBy, Payment, Subscription

BATCH = 1000


class FileRefused(Exception):
    """A file of the export is missing, unreadable or lacks columns. Nothing was imported."""


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


@dataclass
class Line:
    number: int
    row: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    malformed: str = ""


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
    """Counts the lines of the folder's three files, without their headers, for a progress bar.

    Raises FileRefused unless each file exists, is UTF-8 throughout and has its columns.
    """
    return sum(_check(folder, kind) for kind in KINDS)


def _check(folder: Path, kind: Kind) -> int:
    path = folder / kind.file
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            header = next(csv.reader(handle), None)
            lines = sum(1 for _ in handle)
    except FileNotFoundError:
        raise FileRefused(f"{path} is missing. An export has {', '.join(kind.file for kind in KINDS)}.") from None
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path} is not UTF-8 (byte {error.start}). Export it again as UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise FileRefused(f"{path} cannot be read: {error}.") from None
    if not header:
        raise FileRefused(f"{path} is empty. Its first line needs the column names.")
    if missing := [name for name in kind.columns if name not in header]:
        raise FileRefused(f"{path} lacks the columns {', '.join(missing)}. The columns are separated by commas.")
    return lines


def _import(folder: Path, kind: Kind, rejects: Rejects, progress: Callable[[int], object]) -> Report:
    report, seen = Report(kind.file), dict[tuple[str, str], int]()
    source = _lines(folder / kind.file)
    while lines := list(islice(source, BATCH)):
        valid = []
        for line in lines:
            try:
                if line.malformed:
                    raise RowRejected(line.malformed)
                line.values = kind.read(line.row)
                _reject_repeated(kind, line, seen)
                valid.append(line)
            except RowRejected as error:
                _reject(rejects, report, line, str(error))
        _save(kind, valid, rejects, report)
        rejects.write(kind.file)
        progress(len(lines))
    return report


def _lines(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle)
        header = next(reader)
        before = reader.line_num
        for cells in reader:
            number, before = before + 1, reader.line_num
            line = Line(number, dict(zip(header, cells, strict=False)))
            if len(cells) != len(header):
                line.malformed = (
                    f"the row has {len(cells)} cells, the header {len(header)}; look for a missing quote or comma"
                )
            if cells:
                yield line


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
    except (IntegrityError, RowRejected):
        for line in lines:
            try:
                with transaction.atomic():
                    report.counts.update(_write(kind, [line]))
            except RowRejected as error:
                _reject(rejects, report, line, str(error))
            except IntegrityError as error:
                _reject(rejects, report, line, _reason(error))


def _with_parents(kind: Kind, lines: list[Line], rejects: Rejects, report: Report) -> list[Line]:
    parent, accepted = kind.parent, []
    if parent is None:
        return lines
    keys = {line.row[parent.column].strip() for line in lines}
    rows = parent.model._default_manager.filter(**{f"{parent.key}__in": keys})
    parents = {getattr(row, parent.key): row for row in rows}
    for line in lines:
        key = line.row[parent.column]
        if key.strip() in parents:
            line.values |= parent.takes(parents[key.strip()])
            accepted.append(line)
        else:
            _reject(rejects, report, line, f"{parent.column} {key!r} is not known; was its own row rejected?")
    return accepted


def _write(kind: Kind, lines: list[Line]) -> Counter[str]:
    manager = kind.model._default_manager
    existing = {
        getattr(row, kind.key): row
        for row in manager.select_for_update().filter(**{f"{kind.key}__in": [line.values[kind.key] for line in lines]})
    }
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


def _reason(error: IntegrityError) -> str:
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
    if row is not None and row.ended_by == EndedBy.PORTAL:
        values |= {"ended_on": row.ended_on, "ended_by": row.ended_by}
    else:
        values["ended_by"] = EndedBy.CRM if values["ended_on"] else EndedBy.NOT_ENDED


def _keep_payment(row: Payment | None, values: dict[str, Any]) -> None:
    if row is not None and row.subscription_id != values["subscription_id"]:
        raise RowRejected("the payment belongs to another subscription; it cannot be moved")


KINDS = (
    Kind(
        "accounts.csv",
        ACCOUNT_COLUMNS,
        account_values,
        Account,
        "account_number",
        unique=("username",),
        keep=_keep_account,
    ),
    Kind(
        "subscriptions.csv",
        SUBSCRIPTION_COLUMNS,
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

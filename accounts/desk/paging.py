"""Keyset pagination: each page costs the same, however long the list is and wherever the page lies."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import OrderBy


@dataclass(frozen=True)
class Key:
    """A field that the list is ordered by. NULL comes last; only the first key may be nullable."""

    name: str
    descending: bool = False
    nullable: bool = False

    def order(self, backwards: bool) -> OrderBy:
        descending = self.descending != backwards
        nulls: dict[str, Any] = {("nulls_first" if backwards else "nulls_last"): True} if self.nullable else {}
        return OrderBy(F(self.name), descending=descending, **nulls)


@dataclass
class Page:
    rows: list[Any]
    next: str = ""  # the cursor of the page after this one; empty on the last
    previous: str = ""
    keys: Sequence[Key] = field(default_factory=tuple)


def keys_of(model: type[Model], ordering: Sequence[Any]) -> list[Key]:
    """The keys of a Django ordering, with the primary key appended so that the order is total."""
    keys: list[Key] = []
    for term in ordering:
        if isinstance(term, OrderBy):
            expression: Any = term.expression
            name, descending = expression.name, term.descending
        else:
            name, descending = term.lstrip("-"), term.startswith("-")
        name = model._meta.pk.name if name == "pk" else name  # type: ignore[union-attr]  # every model has one
        try:
            model_field = model._meta.get_field(name)
            name = getattr(model_field, "attname", name)
            # A generated field says through its output field whether it is nullable
            nullable = bool(getattr(getattr(model_field, "output_field", model_field), "null", False))
        except FieldDoesNotExist:
            nullable = False
        keys.append(Key(name, descending, nullable))
        if name == model._meta.pk.name:  # type: ignore[union-attr]
            return keys
    return [*keys, Key(model._meta.pk.name, descending=True)]  # type: ignore[union-attr]


def page(rows: QuerySet[Any], keys: Sequence[Key], *, size: int, after: str = "", before: str = "") -> Page:
    """The page after or before a cursor; the first page if the cursor is not valid."""
    backwards = bool(before)
    cursor = before or after
    values = _values(cursor, keys, rows.model) if cursor else None
    backwards = backwards and values is not None
    page_rows: list[Any] = []
    ordered = rows.order_by(*(key.order(backwards) for key in keys))
    for part in _parts(keys, values, backwards):
        if len(page_rows) <= size:
            page_rows += ordered.filter(part)[: size + 1 - len(page_rows)]
    has_more, page_rows = len(page_rows) > size, page_rows[:size]
    if backwards:
        page_rows.reverse()
    if not page_rows:
        return Page([], keys=keys)
    first, last = _cursor(page_rows[0], keys), _cursor(page_rows[-1], keys)
    if backwards:
        return Page(page_rows, next=last, previous=first if has_more else "", keys=keys)
    return Page(page_rows, next=last if has_more else "", previous=first if values is not None else "", keys=keys)


def is_cursor(cursor: str, keys: Sequence[Key], model: type[Model]) -> bool:
    """Whether the text is a cursor of a list with these keys."""
    return _values(cursor, keys, model) is not None


def cursor_of(row: Any, keys: Sequence[Key]) -> str:
    """The cursor of the row's position in the list."""
    return _cursor(row, keys)


def _parts(keys: Sequence[Key], values: list[Any] | None, backwards: bool) -> list[Q]:
    """The list as at most two ranges that an index can serve: rows with a value in the first key, and those without."""
    first = keys[0]
    if not first.nullable:
        return [_past(keys, values, backwards) if values else Q()]
    present, missing = Q(**{f"{first.name}__isnull": False}), Q(**{f"{first.name}__isnull": True})
    if values is None:
        return [present, missing]
    if values[0] is None:
        rest = missing & _past(keys[1:], values[1:], backwards)
        return [rest, present] if backwards else [rest]
    rest = present & _past(keys, values, backwards)
    return [rest] if backwards else [rest, missing]


def _past(keys: Sequence[Key], values: Sequence[Any], backwards: bool) -> Q:
    key, value = keys[0], values[0]
    less = key.descending != backwards
    strictly = Q(**{f"{key.name}__{'lt' if less else 'gt'}": value})
    if len(keys) == 1:
        return strictly
    return Q(**{f"{key.name}__{'lte' if less else 'gte'}": value}) & (strictly | _past(keys[1:], values[1:], backwards))


def _cursor(row: Any, keys: Sequence[Key]) -> str:
    return json.dumps([getattr(row, key.name) for key in keys], cls=_Exact, separators=(",", ":"))


class _Exact(DjangoJSONEncoder):
    """Keeps microseconds, which Django's encoder cuts off: the cursor would then miss its row."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime | date) else super().default(o)


def _values(cursor: str, keys: Sequence[Key], model: type[Model]) -> list[Any] | None:
    try:
        parsed = json.loads(cursor)
        if not isinstance(parsed, list) or len(parsed) != len(keys):
            return None
        fields: list[Any] = [model._meta.get_field(key.name) for key in keys]
        values = [
            value if value is None else model_field.to_python(value)
            for model_field, value in zip(fields, parsed, strict=True)
        ]
    except Exception:  # the cursor comes from the address and can be anything: show the first page
        return None
    return None if any(value is None for value in values[1:]) else values

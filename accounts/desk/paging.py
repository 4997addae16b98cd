"""Pages of a long list by key: each costs the same, however far down it lies and however long the list is."""

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
    """A field that the list is ordered by. What is empty comes last; only the first key may be empty."""

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
    """The keys of an ordering of Django; the primary key is appended, so that the order is total."""
    keys: list[Key] = []
    for term in ordering:
        if isinstance(term, OrderBy):
            field_named: Any = term.expression
            name, descending = field_named.name, term.descending
        else:
            name, descending = term.lstrip("-"), term.startswith("-")
        name = model._meta.pk.name if name == "pk" else name  # type: ignore[union-attr]  # every model has one
        try:
            found = model._meta.get_field(name)
            name = getattr(found, "attname", name)
            nullable = bool(getattr(getattr(found, "output_field", found), "null", False))  # a generated field's own
        except FieldDoesNotExist:
            nullable = False
        keys.append(Key(name, descending, nullable))
        if name == model._meta.pk.name:  # type: ignore[union-attr]
            return keys
    return [*keys, Key(model._meta.pk.name, descending=True)]  # type: ignore[union-attr]


def page(rows: QuerySet[Any], keys: Sequence[Key], *, size: int, after: str = "", before: str = "") -> Page:
    """The page after a cursor, or before one; a cursor that cannot be read gives the first page."""
    backwards = bool(before)
    cursor = before or after
    values = _values(cursor, keys, rows.model) if cursor else None
    backwards = backwards and values is not None
    found: list[Any] = []
    ordered = rows.order_by(*(key.order(backwards) for key in keys))
    for part in _parts(keys, values, backwards):
        if len(found) <= size:
            found += ordered.filter(part)[: size + 1 - len(found)]
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        return Page([], keys=keys)
    first, last = _cursor(found[0], keys), _cursor(found[-1], keys)
    if backwards:
        return Page(found, next=last, previous=first if more else "", keys=keys)
    return Page(found, next=last if more else "", previous=first if values is not None else "", keys=keys)


def cursor_of(row: Any, keys: Sequence[Key]) -> str:
    """Where the row stands in the list, to go on from there."""
    return _cursor(row, keys)


def _parts(keys: Sequence[Key], values: list[Any] | None, backwards: bool) -> list[Q]:
    """The list in at most two ranges, each of which an index answers: rows with a first key, and those without."""
    first = keys[0]
    if not first.nullable:
        return [_beyond(keys, values, backwards) if values else Q()]
    given, missing = Q(**{f"{first.name}__isnull": False}), Q(**{f"{first.name}__isnull": True})
    if values is None:
        return [given, missing]
    if values[0] is None:
        rest = missing & _beyond(keys[1:], values[1:], backwards)
        return [rest, given] if backwards else [rest]
    rest = given & _beyond(keys, values, backwards)
    return [rest] if backwards else [rest, missing]


def _beyond(keys: Sequence[Key], values: Sequence[Any], backwards: bool) -> Q:
    key, value = keys[0], values[0]
    less = key.descending != backwards
    strictly = Q(**{f"{key.name}__{'lt' if less else 'gt'}": value})
    if len(keys) == 1:
        return strictly
    return Q(**{f"{key.name}__{'lte' if less else 'gte'}": value}) & (
        strictly | _beyond(keys[1:], values[1:], backwards)
    )


def _cursor(row: Any, keys: Sequence[Key]) -> str:
    return json.dumps([getattr(row, key.name) for key in keys], cls=_Exact, separators=(",", ":"))


class _Exact(DjangoJSONEncoder):
    """Django's encoder cuts microseconds off, and a cursor would then miss its row."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime | date) else super().default(o)


def _values(cursor: str, keys: Sequence[Key], model: type[Model]) -> list[Any] | None:
    try:
        told = json.loads(cursor)
        if not isinstance(told, list) or len(told) != len(keys):
            return None
        fields: list[Any] = [model._meta.get_field(key.name) for key in keys]
        values = [one if one is None else each.to_python(one) for each, one in zip(fields, told, strict=True)]
    except Exception:  # whatever was typed into the address: then it is the first page
        return None
    return None if any(value is None for value in values[1:]) else values

"""Due work: rows are claimed in batches, processed in a transaction, and set aside one by one if they fail.

A run lasts some seconds. Several workers can run the same work: each skips the rows that another has locked. If a
worker is killed, its batch is due again.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from messaging.models import SetAside
from messaging.text import replace_unkeepable
from messaging.waking import wake

log = logging.getLogger(__name__)
UNLIMITED = math.inf
SLICE_SECONDS = 5.0  # of a task: then other kinds of work have their turn
Result = TypeVar("Result")


class Run:
    """A run that began at `now` and should end after `seconds`, so that other work has its turn."""

    def __init__(self, now: datetime, *, seconds: float = UNLIMITED) -> None:
        self._began, self._seconds, self._started = now, seconds, time.monotonic()

    @property
    def now(self) -> datetime:
        """The current time, counted from the beginning in whole seconds."""
        return self._began + timedelta(seconds=int(time.monotonic() - self._started))

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._started > self._seconds


@dataclass(frozen=True, kw_only=True)
class Work(Generic[Result]):
    """A kind of due rows, and what is done with them.

    `process` gets the keys of a locked batch, in the transaction that locks it. It completes the rows, or leases them
    if the work goes on after the commit. If it fails, the batch is halved until the row that fails is alone; that row
    is set aside with its error, and is not due until staff try it again.

    `task` is the Celery task that does this work. `order` are the fields that order the due rows, the last one unique:
    a run then never looks again at rows that it has passed. Without it, each batch begins with the first due rows.
    `set_aside` replaces the table of set-aside rows, for rows that keep their error themselves. Without `locks`,
    `process` locks the rows itself, because the order of locks begins with other rows.
    """

    name: str
    task: str
    label: str
    due: Callable[[datetime], QuerySet[Any]]
    process: Callable[[list[Any], datetime], Iterable[Result]]
    batch: int
    order: tuple[str, ...] = ()
    set_aside: Callable[[Any, str, datetime], Iterable[Result]] | None = None
    locks: bool = True
    registry: ClassVar[dict[str, "Work[Any]"]] = {}

    def __post_init__(self) -> None:
        self.registry[self.name] = self

    def results(self, run: Run) -> Iterator[Result]:
        """Processes the due rows until none is left or the run is over, and yields what `process` returns.

        If the run is over first, the task is woken again.
        """
        previous: list[tuple[Any, ...]] = []
        while rows := self._next(previous, run.now):
            has_result = False
            for result in self._process([key for key, *_ in rows], run):
                has_result = True
                yield result
            if run.is_over:
                wake(self.task)
                return
            if rows == previous and not has_result:  # they cannot be processed now, and nothing is behind them
                return
            previous = rows

    @contextmanager
    def setting_aside(self, key: Any, run: Run) -> Iterator[None]:
        """Sets the row aside if the body fails: for the steps after the commit, such as the call of a gateway."""
        try:
            yield
        except Exception as error:
            if not _is_temporary(error):
                list(self._set_aside(key, error, run.now))

    def _next(self, previous: list[tuple[Any, ...]], now: datetime) -> list[tuple[Any, ...]]:
        """Returns the keys of the next rows that nobody has locked, each with its position in the order."""
        rows = self._due(now)
        if previous and self.order:
            rows = rows.filter(_behind(self.order, previous[-1][1:]))
        with transaction.atomic():
            return list(_locked(rows).values_list("pk", *self.order)[: self.batch])

    def _process(self, keys: list[Any], run: Run) -> Iterator[Result]:
        try:
            with transaction.atomic():
                rows = self._due(run.now).filter(pk__in=keys)
                due = list((_locked(rows) if self.locks else rows).values_list("pk", flat=True))
                results = list(self.process(due, run.now)) if due else []
        except Exception as error:
            yield from self._process_again(keys, error, run)
        else:
            yield from results

    def _process_again(self, keys: list[Any], error: Exception, run: Run) -> Iterator[Result]:
        """Processes a batch that failed in halves, or sets its only row aside."""
        if len(keys) > 1:
            _is_temporary(error)
            for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                if not run.is_over:
                    yield from self._process(half, run)
        elif not _is_temporary(error):
            yield from self._set_aside(keys[0], error, run.now)

    def _due(self, now: datetime) -> QuerySet[Any]:
        set_aside = SetAside.objects.filter(work=self.name, key=Cast(OuterRef("pk"), TextField()))
        return self.due(now).exclude(Exists(set_aside))

    def _set_aside(self, key: Any, error: Exception, now: datetime) -> Iterable[Result]:
        log.error("%s: %s could not be processed and is set aside.", self.name, key, exc_info=error)
        words = replace_unkeepable(f"{type(error).__name__}: {error}").splitlines()[0][:2000]  # the rest holds values
        if self.set_aside is not None:
            try:
                with transaction.atomic():
                    return list(self.set_aside(key, words, now))
            except Exception as failure:
                if _is_temporary(failure):
                    return ()
                log.exception("%s: the error could not be kept with the row.", self.name)
        SetAside.objects.update_or_create(work=self.name, key=str(key), defaults={"error": words, "at": now})
        return ()


def _locked(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.select_for_update(skip_locked=True, of=("self",))


def _behind(order: Sequence[str], last: Sequence[Any]) -> Q:
    """Returns the condition that a row comes after the position `last`, in a form that an index answers."""
    condition = Q()
    for field, value in zip(reversed(order), reversed(last), strict=True):
        further = Q(**{f"{field}__gt": value})
        condition = further | (Q(**{field: value}) & condition) if condition else further
    return Q(**{f"{order[0]}__gte": last[0]}) & condition


def _is_temporary(error: Exception) -> bool:
    """Whether the database failed and not the row, which then stays due. Raises the error if the connection is lost."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if connection.connection is None or not connection.is_usable():
        raise error
    log.warning("A batch is processed again: %s", error)
    return True

"""Lists by key: each row once, in order, forwards and backwards, whatever is empty or equal."""

import json

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from accounts.desk.paging import keys_of, page
from cancellations.models import CancellationRequest
from cancellations.services.review import decline
from tests import cast
from tests.cast import NOW

pytestmark = pytest.mark.django_db
ORDER = [F("due_at").asc(nulls_last=True), "-received_at", "-id"]


@pytest.fixture
def rows():
    """Twelve requests: some due at one moment, some not due at all."""
    for anchor in (5, 5, 20, 20, 23, 27):
        cast.in_review(cast.subscription(billing_anchor=cast.date(2025, 1, anchor)))
    cast.unverified(cast.account())
    for _ in range(3):
        cast.proven_but_unmatched()
    for _ in range(2):
        done = cast.in_review()
        decline(request=done, by=cast.staff("support"), ground="duplicate", now=NOW)
    return CancellationRequest.objects.all()


def walk(rows, keys, size):
    found, cursor = [], ""
    while True:
        told = page(rows, keys, size=size, after=cursor)
        found, cursor = [*found, *told.rows], told.next
        if not cursor:
            return found, told


@pytest.mark.parametrize("size", [1, 2, 3, 5, 12, 50])
def test_each_row_once_and_in_the_order_of_the_list(rows, size):
    keys = keys_of(CancellationRequest, ORDER)
    whole = list(rows.order_by(*ORDER))
    assert len(whole) == 12
    found, last = walk(rows, keys, size)
    assert found == whole
    back, cursor = last.rows, last.previous
    while cursor:
        told = page(rows, keys, size=size, before=cursor)
        back, cursor = [*told.rows, *back], told.previous
    assert back == whole


@pytest.mark.parametrize("typed", ["x", "[]", "[1,2,3]", json.dumps(["2026-01-01", None, 3]), "null", "9" * 400])
def test_an_address_that_was_typed_wrongly_gives_the_first_page(rows, typed):
    keys = keys_of(CancellationRequest, ORDER)
    assert page(rows, keys, size=5, after=typed).rows == page(rows, keys, size=5).rows


def test_no_page_sorts_or_skips_rows(rows):
    """Each is a range of the index of the order: nothing is sorted, however the first key stands."""
    keys = keys_of(CancellationRequest, ORDER)
    told = page(rows, keys, size=9)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    for after in ("", told.next):
        with CaptureQueriesContext(connection) as asked:
            page(rows, keys, size=9, after=after)
        for query in asked:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + query["sql"])
                plan = " ".join(line for (line,) in cursor.fetchall())
            assert "request_queue" in plan
            assert "Sort" not in plan, plan

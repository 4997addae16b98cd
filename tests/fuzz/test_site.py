"""Hostile text in every form, query and address of every page, as a stranger, a customer and staff."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import strategies as st

from tests import cast
from tests.fuzz.hostile import BOUNDARY, FILES, TEXT, as_form, as_multipart, as_path, repeat
from tests.fuzz.rows import SITES, everything_allowed, row_for, rows
from tests.fuzz.site import Form, Visitor, check

# What makes a form go on to its service, where the page shows nothing
PLAUSIBLE = {
    "email": "zoe@customer.example", "account_number": "AT-1", "username": "zoe", "name": "Zoe", "ground": "duplicate",
    "words": "Because", "reason": "too_expensive", "kind": "ordinary", "step": "confirm", "url": "https://crm.example.com/",
    "basis": "unused", "change_summary": "New figures", "paid_on": "2026-02-13", "reference": "CR-AAAA-AAAA",
}  # fmt: skip
FIRST = ["/", "/cancel/", "/cancel/?country=DE", "/cancel/?country=FR", "/cancel/?kind=cooling_off"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def visitors(django_db_setup, django_db_blocker):
    """Who visits, with the pages and forms that they get to; in a transaction that is rolled back."""
    with django_db_blocker.unblock(), transaction.atomic():
        seeded, root = rows(), everything_allowed()
        desk = [
            site.verb_url(row_for(verb, root, seeded[name]), verb)
            for name, site in SITES.items()
            for verb in site.verbs
        ]
        request = seeded["requests"][0]
        cast.subscription(request.account)
        of_request = [f"/requests/{request.reference}/{page}" for page in ("", "received/", "files/", "question/")]
        customer = cast.Client()
        customer.force_login(cast.customer(request.account))
        everybody = [
            Visitor("a stranger", [*FIRST, "/admin/"]),
            Visitor("a customer", [*FIRST, "/subscriptions/", *of_request], customer.cookies.output(header="")),
            Visitor("staff", ["/admin/", *desk], cast.at_desk(root).cookies.output(header="")),
        ]
        for visitor in everybody:
            visitor.explore()
        yield everybody
        transaction.set_rollback(True)


def send(form: Form, fields: list[tuple[str, str]], files: list[tuple[str, str, bytes]]) -> None:
    client = form.visitor.client()
    if form.method == "GET":
        response = client.get(f"{form.action.partition('?')[0]}?{as_form(fields).decode()}")
    elif files:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        response = client.post(form.action, as_multipart(fields, files), content_type=kind)
    else:
        response = client.post(form.action, as_form(fields), content_type="application/x-www-form-urlencoded")
    check(response, f"{form}: {fields} {files}"[:2000])


def test_every_form_takes_hostile_text(visitors):
    forms = [form for visitor in visitors for form in visitor.forms]
    assert len(forms) > 120
    for form in forms:
        repeat(3, partial(fill_in, form))


def fill_in(form: Form, draw) -> None:
    names = [name for name, _ in form.fields]
    hostile = draw(st.sets(st.sampled_from(names), max_size=2)) if names else ()
    fields = [
        (name, draw(TEXT) if name in hostile else value or PLAUSIBLE.get(name, "")) for name, value in form.fields
    ]
    send(form, fields, [(name, draw(TEXT), draw(FILES)) for name in form.files])


def test_every_page_takes_a_hostile_query(visitors):
    for visitor in visitors:
        for page in visitor.pages:
            repeat(2, partial(ask, visitor, page.partition("?")[0]))


def ask(visitor: Visitor, page: str, draw) -> None:
    names = sorted(visitor.names[page] | {"q", "next", "after", "_changelist_filters"})
    query = [(name, draw(TEXT)) for name in draw(st.sets(st.sampled_from(names), min_size=1, max_size=3))]
    address = f"{page}?{as_form([*query, (draw(TEXT), draw(TEXT))]).decode()}"
    check(visitor.client().get(address), f"{address} as {visitor.name}")


def test_every_address_takes_hostile_text(visitors):
    addresses = sorted(set(routes(get_resolver())))
    assert len(addresses) > 150
    for route in addresses:
        repeat(3, partial(call, visitors, route))


def routes(resolver: URLResolver, start: str = "/") -> Iterator[str]:
    """The routes of all views, such as `/requests/<slug:reference>/`."""
    for pattern in resolver.url_patterns:
        route = start + str(pattern.pattern).removeprefix("^").removesuffix("$").removesuffix(r"\Z")
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern, route)


def call(visitors: list[Visitor], route: str, draw) -> None:
    visitor = draw(st.sampled_from(visitors))
    numbers = st.sampled_from(["0", "1", "2147483648", "9" * 19, "9" * 400])
    places = re.compile(r"<int:\w+>|<\w+:\w+>|\(\?P<\w+>[^)]*\)")
    address = places.sub(lambda place: draw(numbers if "<int" in place[0] else TEXT.map(as_path)), route)
    method = draw(st.sampled_from(["get", "post", "head", "options", "delete"]))
    cookies = {"portal_messages_8000": draw(TEXT).encode("unicode_escape").decode()}
    headers = {"accept-language": draw(TEXT).encode("unicode_escape").decode(), "referer": "\x00"}
    body = as_form([(name, draw(TEXT)) for name in ("q", "seen", "leave", "credential", "draft")])
    kind = draw(st.sampled_from(["application/x-www-form-urlencoded", "application/json", "multipart/form-data"]))
    options = {} if method in ("get", "head") else {"data": body, "content_type": kind}
    client = visitor.client()
    client.cookies.load(cookies)
    response = getattr(client, method)(address, headers=headers, **options)
    check(response, f"{method} {address} as {visitor.name}")

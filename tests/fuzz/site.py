"""The pages and forms that people get to by links, for a stranger, a customer and staff."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from django.http import HttpResponse
from django.test import Client
from django.urls import Resolver404, resolve
from lxml import html

CSRF = "csrfmiddlewaretoken"
MOST_PAGES = 2  # of the same view


@dataclass
class Form:
    """A form of a page, with what a browser would send."""

    visitor: "Visitor"
    page: str
    action: str
    method: str
    fields: list[tuple[str, str]]
    files: list[str]

    def __str__(self) -> str:
        return f"{self.method} {self.action} of {self.page} as {self.visitor.name}"


@dataclass
class Visitor:
    """Somebody with a browser. Each request starts with the same cookies."""

    name: str
    starts: list[str]
    cookies: str = ""
    pages: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    names: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # of the values in queries, by path

    def client(self) -> Client:
        client = Client(raise_request_exception=False)
        client.cookies = SimpleCookie(self.cookies)
        return client

    def explore(self) -> None:
        """Follows the links from page to page, and collects the forms."""
        waiting, seen, views, actions = list(self.starts), set(), Counter[str](), Counter[str]()
        while waiting:
            page = waiting.pop(0)
            if page in seen or (views[view_of(page)] >= MOST_PAGES and page not in self.starts):
                continue
            seen.add(page)
            views[view_of(page)] += 1
            self.pages.append(page)
            response = self.client().get(page)
            check(response, f"GET {page} as {self.name}")
            for form in forms_of(self, page, response):
                actions[kind := f"{form.method} {view_of(form.action)}"] += 1
                if actions[kind] <= MOST_PAGES:
                    self.forms.append(form)
            links = list(links_of(page, response))
            for link in links:
                self.names[urlsplit(link).path] |= {name for name, _ in parse_qsl(urlsplit(link).query, True)}
            waiting += links


def check(response: HttpResponse, what: str) -> None:
    """Fails on an error page of the server and on a text without its charset, and names what was sent."""
    if response.status_code >= 500 and response.status_code != 503:
        error = getattr(response, "exc_info", None)
        raise AssertionError(f"{response.status_code}: {what}") from (error[1] if error else None)
    kind, _, parameters = response.headers.get("Content-Type", "").partition(";")
    is_text = kind.startswith("text/") or kind.endswith(("/xml", "+xml"))
    assert not is_text or "charset=utf-8" in parameters, f"{kind} without its charset: {what}"


def view_of(address: str) -> str:
    """The name of the view, with the action of staff; empty for what is no page of ours."""
    try:
        match = resolve(urlsplit(address).path)
    except Resolver404:
        return ""
    return f"{match.view_name} {match.kwargs.get('verb', '')}"


def links_of(page: str, response: HttpResponse) -> Iterator[str]:
    if location := response.headers.get("Location"):
        yield from _ours(page, [location])
    elif (tree := _tree(response)) is not None:
        yield from _ours(page, tree.xpath("//a/@href"))


def forms_of(visitor: Visitor, page: str, response: HttpResponse) -> Iterator[Form]:
    tree = _tree(response)
    for form in tree.forms if tree is not None else ():
        action = next(_ours(page, [form.get("action") or page]), "")
        files = form.xpath(".//input[@type='file']/@name")
        fields = [(name, value) for name, value in form.form_values() if name not in (CSRF, *files)]
        fields += [(name, "") for name in {*form.inputs.keys()} - {name for name, _ in fields} - {CSRF, *files, None}]
        if action and "/log" not in action and (fields or files):
            yield Form(visitor, page, action, form.method.upper(), sorted(fields), files)


def _ours(page: str, addresses: list[Any]) -> Iterator[str]:
    for address in addresses:
        parts = urlsplit(urljoin(f"http://testserver{page}", address))
        if parts.netloc == "testserver" and not parts.path.startswith(("/static/", "/local/")):
            yield f"{parts.path}?{parts.query}" if parts.query else parts.path


def _tree(response: HttpResponse) -> Any:
    if not response.headers.get("Content-Type", "").startswith("text/html") or not getattr(response, "content", b""):
        return None
    return html.fromstring(response.content)

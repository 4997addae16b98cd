"""Each name that a template reads exists: a context, a tag or the template sets it, or an object of ours has it.

Django shows nothing for a name that does not exist, so a renamed value would take its sentence away unnoticed. Names
are compared as words: this finds what is gone from the code altogether.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.template.base import FilterExpression, Node, Template, Variable
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parent.parent
APPS = ("accounts", "billing", "cancellations", "config", "messaging")
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*.*") if path.suffix in (".html", ".txt", ".md"))
FROM_DJANGO = {
    # the context
    "False", "None", "True", "block", "csrf_token", "field", "form", "forloop", "messages", "perms", "request", "user",
    # forms
    "as_hidden", "choice_label", "data", "html_name", "id_for_label", "is_hidden", "non_field_errors", "selected",
    "visible_fields",
    # sign-in (django-allauth)
    "redirect_field",
    # the staff site, its lists and their pages (Django's admin, django-unfold)
    "action_form", "action_index", "actions_selection_counter", "choices", "cl", "counter0", "fields", "first_url",
    "has_active_filters", "has_add_permission", "has_change_permission", "has_filters", "is_staff", "next_url",
    "original", "pk", "previous_url", "query", "result_count", "result_list", "selection_note", "site_header",
    "site_title",
}  # fmt: skip


def names_in_code(source: str) -> tuple[set[str], set[str]]:
    """The names that a file may put into a context, and all its names."""
    values: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if text.isidentifier():
                values.add(text)
            case ast.keyword(arg=str(name)):
                values.add(name)
            case ast.FunctionDef(name=name) | ast.Attribute(attr=name) | ast.Name(id=name) | ast.arg(arg=name):
                others.add(name)
    return values, values | others


def names_set(source: str) -> set[str]:
    """The names that a template sets itself: in loops, by `with` and by `as`."""
    tags = "\n".join(re.findall(r"{%(.*?)%}", source, flags=re.DOTALL))
    loops = re.findall(r"^ for (.+?) in ", tags, flags=re.MULTILINE)
    return {
        *re.findall(r"\w+", " ".join(loops)),
        *re.findall(r"\b([a-z_]\w*)=", tags),
        *re.findall(r" as (\w+)", tags),
    }


def names_read(node: object) -> Iterator[tuple[str, ...]]:
    """The names that a template reads, each as the parts between its dots."""
    match node:
        case Variable():
            yield node.lookups or ()
        case FilterExpression():
            yield from names_read([node.var, node.filters])
        case list() | tuple() | set():
            for item in node:
                yield from names_read(item)
        case dict():
            yield from names_read(list(node.values()))
        case _ if isinstance(node, Node) or type(node).__module__ in (
            "django.template.smartif",
            "django.template.defaulttags",
        ):
            yield from names_read([value for name, value in vars(node).items() if name not in ("origin", "token")])


@pytest.fixture(scope="module")
def names() -> tuple[set[str], set[str]]:
    """The names that a template may read first, and after a dot."""
    paths = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]
    in_code = [names_in_code(path.read_text()) for path in paths]
    in_templates = set().union(*(names_set(path.read_text()) for path in TEMPLATES))
    first = set().union(*(values for values, _ in in_code)) | in_templates | FROM_DJANGO
    return first, first | set().union(*(every for _, every in in_code))


def unknown(template: Template, names: tuple[set[str], set[str]]) -> set[str]:
    first, later = names
    return {
        ".".join(parts)
        for parts in names_read(template.nodelist)
        if parts and (parts[0] not in first or not all(is_name_of_object(part, later) for part in parts[1:]))
    }


def is_name_of_object(name: str, names: set[str]) -> bool:
    derived = re.sub(r"^get_(\w+)_display$", r"\1", name).removesuffix("_id")
    return name.isdigit() or bool({name, derived} & names)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_each_name_that_a_template_reads_exists(path, names):
    template = get_template(str(path.relative_to(ROOT / "templates"))).template
    assert unknown(template, names) == set()


@pytest.mark.parametrize(
    "source",
    [
        "{{ nowhere_at_all.refund_reason }}",
        "{% if nowhere_at_all.refund_reason %}x{% endif %}",
        "{% if form and not nowhere_at_all %}x{% endif %}",
        "{% for row in nowhere_at_all %}x{% endfor %}",
        "{% with row=nowhere_at_all %}x{% endwith %}",
        "{{ form|default:nowhere_at_all }}",
        "{% include 'parts/fact.html' with row=nowhere_at_all %}",
        "{% block content %}{% if form %}{{ request.nowhere_at_all }}{% endif %}{% endblock %}",
        "{% load i18n %}{% blocktranslate with row=nowhere_at_all %}{{ row }}{% endblocktranslate %}",
        "{% load standing %}{% standing nowhere_at_all %}",
    ],
)
def test_a_name_that_exists_nowhere_is_found(source, names):
    assert [name for name in unknown(Template(source), names) if "nowhere_at_all" in name]

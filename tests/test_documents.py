"""The documents agree with the code: links lead somewhere, named files exist, settings and packages are listed."""

import re
import tomllib
from pathlib import Path

import pytest
from django.conf import settings

BASE = settings.BASE_DIR
DOCUMENTS = [*BASE.glob("*.md"), *BASE.glob(".github/*.md"), *(BASE / "docs").rglob("*.md")]
CODE = r"(?:accounts|billing|cancellations|config|messaging|templates|tests|docs)/[\w/.-]*\w/?"


def name(path: Path) -> str:
    return str(path.relative_to(BASE))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", re.sub(r"\[(.+?)\]\(.+?\)", r"\1", heading)).lower() for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_link_leads_to_a_file_and_a_heading(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_file_named_exists(document):
    if name(document) in ("CHANGELOG.md", "docs/changing.md"):  # files that are gone, and files to be made
        return
    named = re.findall(rf"`({CODE})`", document.read_text())
    assert [path for path in named if not any(BASE.glob(path.rstrip("/")))] == []


def test_each_variable_of_the_settings_is_documented():
    source = (BASE / "config" / "settings.py").read_text()
    variables = set(re.findall(r'\benv(?:\.\w+)?\(\s*"([A-Z_]+)"', source))
    page = (BASE / "docs" / "configuration.md").read_text()
    assert len(variables) > 40
    assert {variable for variable in variables if f"`{variable}`" not in page} == set()


def test_the_example_names_variables_that_exist():
    example = re.findall(r"^#? ?([A-Z_]+)=", (BASE / "docs" / "env.example").read_text(), flags=re.MULTILINE)
    page = (BASE / "docs" / "configuration.md").read_text()
    of_containers = ["POSTGRES_PASSWORD", "APP_POSTGRES_PASSWORD", "REDIS_PASSWORD"]
    assert [variable for variable in example if f"`{variable}`" not in page] == of_containers


def test_no_value_of_the_example_has_a_comment_behind_it():
    lines = (BASE / "docs" / "env.example").read_text().splitlines()
    assert [line for line in lines if re.match(r"#? ?[A-Z_]+=.*#", line)] == []


def test_the_architecture_lists_each_package_of_the_import_contracts():
    contracts = tomllib.loads((BASE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    page = (BASE / "docs" / "architecture.md").read_text()
    missing = []
    for contract in contracts:
        for app in contract.get("containers", []):
            section = page.partition(f"\n### {app}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
            packages = [part.strip() for layer in contract["layers"] for part in layer.split("|")]
            missing += [f"{app}.{package}" for package in packages if f"`{package}`" not in section]
    assert missing == []


def test_what_the_page_on_security_calls_met_names_code_and_tests_that_exist():
    """And no number of the standard is both met and open."""
    page = (BASE / "docs" / "security.md").read_text()
    met, _, rest = page.partition("## Met")[2].partition("## Open")
    for row in re.findall(r"^\| (V.+)$", met, flags=re.MULTILINE):
        paths = re.findall(r"`((?:\w+/)+[\w.]+)`", row)
        assert all((BASE / path).is_file() for path in paths), row
    numbers = [set(re.findall(r"^\| (V[\d.]+)", part, flags=re.MULTILINE)) for part in (met, rest)]
    assert len(numbers[0]) > 15
    assert not numbers[0] & numbers[1]

"""The one style sheet and the brand."""

import gzip
import re

import brotli
import pytest

from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _policy(db):
    cast.policy()


def _sheet(client) -> str:
    (address,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', client.get("/").content.decode())
    return address


def test_one_sheet_holds_bootstrap_and_the_theme_and_is_kept_for_ever(client):
    answer = client.get(_sheet(client), headers={"accept-encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.content) < 45_000
    css = gzip.decompress(answer.content).decode()
    assert "Bootstrap" in css
    assert ".when-line" in css
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.get(_sheet(client)).content.decode() == css
    smallest = client.get(_sheet(client), headers={"accept-encoding": "gzip, deflate, br"})
    assert smallest.headers["Content-Encoding"] == "br"
    assert len(smallest.content) < 30_000
    assert brotli.decompress(smallest.content).decode() == css


def test_an_old_address_still_gives_the_sheet_but_is_not_kept(client):
    assert client.get("/style-000000000000.css").headers["Cache-Control"] == "no-cache"


def test_the_brands_colour_changes_the_address(client, settings):
    before = _sheet(client)
    settings.BRAND_ACCENT = "#8a1538"
    assert _sheet(client) != before
    assert "--accent: #8a1538" in client.get(_sheet(client)).content.decode()


@pytest.mark.parametrize(("name", "kind"), [("logo.svg", "image/svg+xml"), ("LOGO.PNG", "image/png")])
def test_a_logo_stands_for_the_name(client, settings, tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    settings.BRAND_LOGO = str(tmp_path / name)
    page = client.get("/").content.decode()
    assert f'<img src="/logo" alt="{settings.BRAND_NAME}"' in page
    assert client.get("/logo").headers["Content-Type"] == kind


def test_without_a_logo_there_is_none(client):
    assert client.get("/logo").status_code == 404
    assert "<img" not in client.get("/").content.decode()

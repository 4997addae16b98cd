"""The access of staff in a browser: a person is invited, chooses a password, and looks after their own access."""

import re

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests import cast
from tests.browser.test_desk import accessible
from tests.browser.test_journey import sign_in_staff
from tests.desk.test_permissions import person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NORA, PASSWORD = "nora@atntcrm.example", "heron-violet-7-lantern"


@pytest.fixture(params=[(390, 844), (1280, 900)], ids=["phone", "desktop"])
def context(browser: Browser, live_server, request) -> BrowserContext:
    width, height = request.param
    context = browser.new_context(base_url=live_server.url, viewport={"width": width, "height": height})
    yield context
    for page in context.pages:
        page.goto("about:blank")
        page.wait_for_timeout(500)
    context.close()


@pytest.fixture
def look(context, shoot, request):
    """Checks the page for accessibility and scrolling sideways, and keeps a picture."""
    size = request.node.callspec.params["context"][0]

    def checked(page: Page, name: str) -> None:
        accessible(page)
        width, shown = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= shown, f"{name} scrolls sideways"
        shoot(page, f"access-{name}-{size}")

    return checked


def next_step(page: Page) -> None:
    page.click("button[data-submit]")


def test_a_new_colleague(context, look, mailbox):
    cast.policy()
    person("administrator")
    Group.objects.get(name="support")
    adam = context.new_page()
    sign_in_staff(adam, "administrator@desk.example")
    adam.goto("/admin/accounts/user/add/")
    look(adam, "invite")
    adam.fill("#id_email", NORA)
    adam.fill("#id_name", "Nora")
    adam.click("[name=_save]")
    expect(adam.locator("body")).to_contain_text("gets a mail with a link to choose a password")
    link = re.search(r"/admin/password/\S+/", mailbox(NORA)).group()
    nora = context.browser.new_context(base_url=adam.url.split("/admin")[0], viewport=adam.viewport_size).new_page()
    nora.goto(link)
    look(nora, "choose-password")
    for field in ("#id_new_password1", "#id_new_password2"):
        nora.fill(field, "atntcrm-portal")
    next_step(nora)
    expect(nora.locator("main")).to_contain_text("easy to guess")
    look(nora, "choose-password-refused")
    for field in ("#id_new_password1", "#id_new_password2"):
        nora.fill(field, PASSWORD)
    next_step(nora)
    expect(nora.locator("main")).to_contain_text("Your new password works from now on.")
    look(nora, "sign-in")
    nora.fill("[name=username]", NORA)
    nora.fill("[name=password]", PASSWORD)
    next_step(nora)
    expect(nora.locator("h1")).to_have_text("Set up your second step")
    nora.goto(link)
    expect(nora.locator("h1")).to_have_text("This link no longer works")
    look(nora, "dead-link")
    nora.goto("/admin/password/")
    look(nora, "forgotten")
    nora.fill("[name=email]", NORA)
    next_step(nora)
    expect(nora.locator("h1")).to_have_text("Look into your mail")
    look(nora, "forgotten-sent")
    nora.goto("/admin/login/")
    nora.fill("[name=username]", NORA)
    nora.fill("[name=password]", "wrong")
    for _ in range(6):
        next_step(nora)
        nora.fill("[name=password]", "wrong")
    expect(nora.locator("main")).to_contain_text("Too many wrong attempts. Try again at")
    look(nora, "too-many")
    nora.context.close()


def test_ones_own_access_and_that_of_a_colleague(context, look, settings):
    cast.policy()
    person("administrator")
    sam = cast.staff("support")
    page = context.new_page()
    sign_in_staff(page, "administrator@desk.example")
    cast.at_desk(sam).get("/admin/")
    page.goto("/admin/security/")
    look(page, "own")
    page.goto(f"/admin/accounts/user/{sam.pk}/change/")
    look(page, "person")
    page.goto(f"/admin/accounts/user/{sam.pk}/password-link/")
    look(page, "password-link")
    page.goto(f"/admin/accounts/user/{sam.pk}/reset/")
    look(page, "reset")
    page.goto(f"/admin/accounts/user/{sam.pk}/end-sessions/")
    look(page, "end-sessions")
    settings.STAFF_REAUTH_MINUTES = 0
    page.goto("/admin/security/codes/")
    expect(page.locator("h1")).to_have_text("Confirm that it is you")
    look(page, "confirm")
    page.goto("/admin/password_change/")
    expect(page.locator("h1")).to_have_text("Confirm that it is you")
    settings.STAFF_REAUTH_MINUTES = 10
    page.goto("/admin/password_change/")
    look(page, "password-change")

"""The staff interface under its content security policy: no violation, no error, and its scripts work."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from cancellations.models import PolicyVersion
from tests import cast
from tests.browser.test_journey import sign_in_staff

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`);
});
"""  # noqa: E501


class Watched:
    """A browser in which a person of staff is signed in, and everything that went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page, self.problems, self.seen = page, [], set()
        page.context.add_init_script(VIOLATIONS)
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("console", self._heard)

    def _heard(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{self.page.url}: {message.type} {message.text}")

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.collect()

    def collect(self) -> None:
        self.page.wait_for_load_state("networkidle")
        for violation in self.page.evaluate("window.violations ?? []"):
            self.problems.append(f"{self.page.url}: {violation}")
        self.page.evaluate("window.violations = []")

    def crawl(self, start: str, most: int) -> None:
        """Opens every page that is linked, one of each kind: rows of a list count as one."""
        waiting = [start]
        while waiting and len(self.seen) < most:
            address = waiting.pop(0)
            kind = re.sub(r"/[0-9a-f-]{36}/|/\d+/", "/N/", address.partition("?")[0])
            if kind in self.seen:
                continue
            self.seen.add(kind)
            self.open(address)
            links = self.page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
            ours = (re.sub(r"^https?://[^/]+", "", link).partition("#")[0] for link in links)
            waiting += [link for link in ours if link.startswith("/admin/") and not re.search(self.FILES, link)]

    FILES = r"/export/|\.csv|/file/|/download|/raw/|logout"


@pytest.fixture
def watched(browser: Browser, live_server):
    contexts = []

    def signed_in(email: str, **options) -> Watched:
        context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        browser_of_staff = Watched(page)
        sign_in_staff(page, email)
        browser_of_staff.collect()
        return browser_of_staff

    yield signed_in
    for context in contexts:
        for page in context.pages:
            page.goto("about:blank")
        context.close()


@pytest.fixture
def rows():
    cast.policy(text=cast.policy_text())
    for role in ("support", "finance", "manager"):
        cast.staff(role)
    holder = cast.account()
    cast.waits_for_an_answer(holder)
    cast.in_review()
    cast.scheduled()
    cast.unverified(holder)
    cast.refund_requested()
    cast.terminated(cast.subscription().account)
    cast.webhook_delivered()
    draft = PolicyVersion.objects.get()
    draft.pk, draft.number, draft.state = None, draft.number + 1, "draft"
    draft.published_at = draft.published_by = None
    draft.save()


@pytest.mark.slow
def test_every_page_keeps_to_the_policy(watched, rows):
    person = cast.staff("manager")
    person.is_superuser = True
    person.save()
    desk = watched(person.email)
    desk.crawl("/admin/", most=150)
    assert len(desk.seen) > 40
    assert desk.problems == []


def test_what_the_frame_needs_scripts_for_works(watched, rows):
    """The pages of django-unfold, whose attributes the CSP build of Alpine.js evaluates."""
    desk = watched(cast.staff("manager").email)
    page, html = desk.page, desk.page.locator("html")
    desk.open("/admin/cancellations/cancellationrequest/")
    page.click("#filters-open")
    expect(page.locator("#changelist-filter")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#changelist-filter")).to_be_hidden()

    side_bar, toggle = page.locator("#nav-sidebar"), page.locator("header, #main").get_by_text("dock_to_right").first
    expect(side_bar).to_be_visible()
    toggle.click()
    expect(side_bar).to_be_hidden()
    page.reload()
    expect(side_bar).to_be_hidden()
    toggle.click()
    expect(side_bar).to_be_visible()

    page.keyboard.press("Control+k")
    search = page.locator("#search-input-command")
    expect(search).to_be_visible()
    search.press_sequentially("refund")
    expect(page.locator("#command-results-list")).to_contain_text("Refunds")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/billing/refund/**")

    page.locator("[x-on\\:click='openUserLinks = !openUserLinks']").click()
    page.locator("[x-on\\:click=\"switchTheme('dark')\"]").click()
    expect(html).to_have_class(re.compile(r"\bdark\b"))
    page.reload()
    expect(html).to_have_class(re.compile(r"\bdark\b"))
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--color-primary-600')") != ""

    desk.open("/admin/messaging/outgoingmessage/templates/")
    assert page.frame_locator("iframe[title='The mail as HTML']").locator("body").inner_text()
    desk.collect()
    assert desk.problems == []


def test_a_script_in_a_page_does_not_run(watched, rows):
    """What the policy is for: neither an element nor an attribute nor a text that is evaluated."""
    desk = watched(cast.staff("support").email)
    desk.open("/admin/")
    for attack in (
        "const one = document.createElement('script'); one.textContent = 'window.ran = 1'; document.body.append(one)",
        "document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=window.ran=1>')",
        "document.body.insertAdjacentHTML('beforeend', '<p x-data x-init=\"window.ran = 1\"></p>')",
        "setTimeout('window.ran = 1', 0)",
    ):
        desk.page.evaluate(f"() => {{ {attack} }}")
    desk.page.wait_for_timeout(300)
    assert desk.page.evaluate("window.ran") is None
    assert len(desk.page.evaluate("window.violations")) >= 2

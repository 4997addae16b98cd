"""The desk as its people use it: by keyboard alone, two at one case, with a key as the second step."""

import re

import pytest
from allauth.mfa.models import Authenticator
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from moneyed import Money
from playwright.sync_api import Browser, Page, expect

from cancellations.models import CancellationRequest
from messaging.models import CannedReply
from tests import cast
from tests.browser.test_journey import authenticator_code, sign_in_staff

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
QUEUE = "/admin/cancellations/cancellationrequest/"
LONG = "Rechtsanwaltsgehilfinnenausbildungsgesellschaft Oberammergau mbH"


def accessible(page: Page) -> None:
    """No violation of WCAG 2.2 A and AA in what is ours: the frame around it is the staff interface's own."""
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    for part in (".desk", ".desk-page", ".desk-signin", ".desk-verbs", ".desk-saved", ".desk-pages"):
        if page.locator(part).count():
            found = Axe().run(page, context=part, options=options)
            assert found.violations_count == 0, found.generate_report()


@pytest.fixture
def desk_page(browser: Browser, live_server):
    made = []

    def signed_in(email: str) -> Page:
        context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
        made.append(context)
        page = context.new_page()
        sign_in_staff(page, email)
        return page

    yield signed_in
    for context in made:
        for page in context.pages:
            page.goto("about:blank")  # what it still had to say is said before the tables are emptied
            page.wait_for_timeout(500)
        context.close()


@pytest.fixture
def cases():
    cast.policy(text=cast.policy_text())
    for role in ("support", "finance", "manager"):
        cast.staff(role)
    text = "Thank you, {name}. {plan} ends on {end_date}."
    CannedReply.objects.create(name="Thanks", used_for="request", text_en=text)
    now, rows = timezone.now(), []
    for day in range(1, 8):
        told = {"username": f"user{day}", "email": f"u{day}@customer.example"}
        of = cast.subscription(cast.account(LONG if day == 3 else "Alice", **told))
        rows.append(cast.in_review(of, at=now - cast.timedelta(hours=day), words=f"Case {day}"))
    rows.append(cast.in_review(at=now, kind="for_cause", cause="Our data was lost."))
    rows.append(cast.proven_but_unmatched(at=now))
    rows.append(cast.unverified(cast.account(), at=now))
    return rows


def state(row):
    return CancellationRequest.objects.get(pk=row.pk).state


@pytest.mark.slow
def test_mixed_cases_by_keyboard_alone(desk_page, cases):
    page = desk_page("sam@atntcrm.example")
    press = page.keyboard.press
    press("g")
    press("q")
    page.wait_for_url(f"**{QUEUE}")
    accessible(page)
    press("?")
    expect(page.locator("#desk-help")).to_be_visible()
    expect(page.locator("#desk-help")).to_contain_text("Next in queue")
    press("Escape")
    press("f")
    expect(page.locator("#changelist-filter")).to_be_visible()
    press("Escape")
    press("j")
    press("j")
    press("k")
    expect(page.locator("tr.desk-current")).to_have_count(1)
    press("Enter")
    page.wait_for_url("**/change/**")
    accessible(page)
    decided = 0
    for _ in range(12):
        heading = page.locator(".desk-pill").inner_text()
        if heading.strip().lower() != "in review":
            break
        reference = re.search(r"CR-[0-9A-Z-]+", page.title() + page.locator("body").inner_text())[0]
        row = CancellationRequest.objects.get(reference=reference)
        verb = "d" if row.subscription_id is None or decided == 1 else "s"
        press("c")
        expect(page.locator(".desk-head")).to_contain_text("assigned to Sam")
        press(verb)
        page.wait_for_url("**/do/**")
        if decided < 2:
            accessible(page)
        if verb == "d":
            expect(page.locator("#preview")).to_contain_text("Fill in the form")
            page.locator("#id_ground_2").focus()
            press("Space")
            expect(page.locator("#preview")).to_contain_text("declined")
        elif row.kind == "ordinary":
            page.locator("#canned").select_option(label="Thanks")
            expect(page.locator("#id_words")).to_have_value(re.compile("Thank you, "))
            expect(page.locator("#preview")).to_contain_text("Thank you, ")
        page.locator("main input, .desk-form textarea, .desk-form input[type=radio]").last.focus()
        press("Control+Enter")
        page.wait_for_url("**/change/**")
        assert state(row) in ("scheduled", "declined"), reference
        decided += 1
    assert decided == 9
    assert not CancellationRequest.objects.filter(state="in_review").exists()


def test_two_browsers_at_one_case(desk_page, cases):
    sam, mara = desk_page("sam@atntcrm.example"), desk_page("mara@atntcrm.example")
    address = f"{QUEUE}{cases[0].pk}/change/"
    sam.goto(address)
    mara.goto(address)
    expect(mara.locator("[data-others]")).to_contain_text("Sam is looking at this, too.")
    expect(sam.locator("[data-others]")).to_contain_text("Mara is looking at this, too.", timeout=8000)
    sam.keyboard.press("d")
    sam.wait_for_url("**/do/decline/**")
    sam.locator("#id_ground_2").check()
    sam.fill("#id_words", "You asked twice.")
    mara.keyboard.press("k")
    mara.wait_for_url("**/do/change-kind/**")
    mara.locator("#id_kind_1").check()
    mara.fill("#id_ground", "She says why on the phone.")
    mara.click("[data-submit]")
    mara.wait_for_url("**/change/**")
    sam.click("[data-submit]")
    expect(sam.locator("[role=alert]").first).to_contain_text("It changed while you were here")
    expect(sam.locator("[role=alert]").first).to_contain_text("Kind changed by Mara")
    expect(sam.locator("#id_words")).to_have_value("You asked twice.")
    accessible(sam)
    assert state(cases[0]) == "in_review"
    sam.click("[data-submit]")
    sam.wait_for_url("**/change/**")
    assert state(cases[0]) == "declined"


def test_a_double_click_decides_once(desk_page, cases):
    page = desk_page("sam@atntcrm.example")
    page.goto(f"{QUEUE}{cases[0].pk}/do/schedule/")
    page.locator("[data-submit]").dblclick()
    page.wait_for_url("**/change/**")
    assert state(cases[0]) == "scheduled"
    assert len([one for one in cases if state(one) == "scheduled"]) == 1


def test_finance_decides_by_keyboard_and_the_pages_are_accessible(desk_page, cases):
    refund = cast.refund_requested(amount=Money("30.00", "EUR"))
    fiona = desk_page("fiona@atntcrm.example")
    fiona.goto(f"/admin/billing/refund/{refund.pk}/change/")
    accessible(fiona)
    fiona.keyboard.press("p")
    fiona.wait_for_url("**/do/propose/**")
    expect(fiona.locator("#preview")).to_contain_text("€20.00")
    accessible(fiona)
    fiona.click("[data-submit]")
    fiona.wait_for_url("**/change/**")
    assert cast.fresh(refund).state == "proposed"
    mara = desk_page("mara@atntcrm.example")
    mara.goto(f"/admin/billing/refund/{refund.pk}/do/approve/")
    mara.click("[data-submit]")
    mara.wait_for_url("**/change/**")
    assert cast.fresh(refund).state == "approved"
    ours = ("", "billing/transferbatch/add/", "billing/transferbatch/read/", "accounts/auditentry/", "security/")
    for address in (*ours, "cancellations/termination/add/"):
        mara.goto(f"/admin/{address}")
        accessible(mara)


def test_a_key_as_the_second_step(browser: Browser, live_server):
    cast.staff("support")
    cast.policy()
    base = live_server.url.replace("127.0.0.1", "localhost")
    context = browser.new_context(base_url=base)
    page = context.new_page()
    device = context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    told = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    told |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    device.send("WebAuthn.addVirtualAuthenticator", {"options": told})

    def password() -> None:
        page.goto("/admin/login/")
        page.fill("[name=username]", "sam@atntcrm.example")
        page.fill("[name=password]", "a-long-password")
        page.click("button[data-submit]")

    password()
    expect(page.locator("h1")).to_contain_text("Set up your second step")
    accessible(page)
    page.click("text=Use a passkey instead")
    page.fill("#id_name", "Key")
    page.click("text=Add it")
    expect(page.locator("h1")).to_contain_text("Recovery codes")
    accessible(page)
    page.click("text=I have kept them")
    assert Authenticator.objects.filter(type="webauthn").count() == 1
    context.clear_cookies()
    password()
    accessible(page)
    page.click("text=Use your passkey")
    page.wait_for_url("**/admin/")
    context.close()


def test_what_was_typed_survives_a_session_that_ended(desk_page, cases, settings):
    page = desk_page("sam@atntcrm.example")
    address = f"{QUEUE}{cases[0].pk}/do/decline/"
    page.goto(address)
    page.locator("#id_ground_2").check()
    page.fill("#id_words", "You asked twice, as we said on the phone.")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.click("[data-submit]")
    page.wait_for_url("**/admin/login/**")
    page.fill("[name=username]", "sam@atntcrm.example")
    page.fill("[name=password]", "a-long-password")
    page.click("button[data-submit]")
    page.fill("[name=code]", authenticator_code("sam@atntcrm.example"))
    page.click("button[data-submit]")
    page.wait_for_url(f"**{address}")
    expect(page.locator("#id_words")).to_have_value("You asked twice, as we said on the phone.")
    expect(page.locator("#id_ground_2")).to_be_checked()
    expect(page.locator("[role=status]").first).to_contain_text("there again")
    page.click("[data-submit]")
    page.wait_for_url("**/change/**")
    assert state(cases[0]) == "declined"
    page.goto(f"{QUEUE}{cases[1].pk}/do/decline/")
    expect(page.locator("#id_words")).to_have_value("")

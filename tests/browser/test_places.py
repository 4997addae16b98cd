"""By the law of each place, in each language, by keyboard, zoomed, mirrored and weighed."""

import re
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.services.customers import revoke_sign_in
from cancellations.models import CancellationRequest
from cancellations.rules.jurisdictions import PROFILES
from tests import cast, pseudo
from tests.browser.test_journey import accessible
from tests.browser.test_rules_journey import LONG

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SIZES = {"desk": (1280, 720), "phone": (390, 844)}
LIMIT = 60_000  # bytes that a first view may transfer


def opened(browser: Browser, live_server, size: str = "desk", **told) -> Page:
    width, height = SIZES[size]
    context = browser.new_context(base_url=live_server.url, viewport={"width": width, "height": height}, **told)
    return context.new_page()


def signed_in(page: Page, holder, mailbox) -> None:
    page.goto("/signin/")
    page.fill("#id_email", holder.email)
    page.click("main button.btn-primary")
    page.fill("#id_code", mailbox(holder.email).split("**")[1])
    page.click("main button.btn-primary")
    page.wait_for_url("**/subscriptions/")


def in_view(page: Page, label: str) -> None:
    """The button with this very label can be seen on load, without scrolling."""
    button = page.locator(".btn", has_text=re.compile(f"^\\s*{re.escape(label)}\\s*$")).first
    box = button.bounding_box()
    assert box, label
    size = page.viewport_size
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= size["height"]
    assert box["x"] + box["width"] <= size["width"]
    assert page.evaluate("scrollY") == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_the_entry_says_the_words_of_the_law_in_view_on_load(browser, live_server, profile, size):
    cast.policy()
    page = opened(browser, live_server, size, locale="en-GB")
    country = next(iter(profile.countries), "ZZ")
    page.goto(f"/?country={country}")
    in_view(page, profile.entry_label)
    page.locator("main .btn", has_text=profile.entry_label).click()
    expect(page.locator("h1")).to_have_text(profile.entry_label)


@pytest.mark.parametrize("size", SIZES)
def test_germany_one_page_one_button_and_nothing_else(browser, live_server, mailbox, shoot, size):
    cast.policy()
    holder = cast.account("Juergen", country="DE", language="de")
    cast.subscription(holder, plan_name=LONG)
    page = opened(browser, live_server, size, locale="de-DE")
    page.goto("/?country=DE")
    page.goto("/cancel/")
    in_view(page, "jetzt kündigen")
    shoot(page, f"germany-{size}")
    accessible(page)
    labels = page.locator("label:visible, legend:visible").all_inner_texts()
    assert [label.split(" (")[0] for label in labels] == [
        "Art der Kündigung", "Ordentliche Kündigung", "Außerordentliche Kündigung", "Name oder Firma",
        "Kundennummer", "Gewünschtes Enddatum", "E-Mail-Adresse für die Bestätigung",
    ]  # fmt: skip
    assert page.locator("a:visible:not(.skip)").count() == 1  # the brand
    assert page.locator("button:visible").count() == 1
    page.check("text=Außerordentliche Kündigung")
    expect(page.locator("#id_cause")).to_be_visible()
    page.click("text=jetzt kündigen")
    expect(page).to_have_title(re.compile("^Fehler: "))
    expect(page.locator(".trouble")).to_be_focused()
    shoot(page, f"germany-error-{size}")
    accessible(page)
    page.check("text=Ordentliche Kündigung")
    page.fill("#id_name", "Jürgen Groß")
    page.fill("#id_account_number", holder.account_number)
    page.fill("#id_email", holder.email)
    page.dblclick("text=jetzt kündigen")
    expect(page.locator("h1")).to_contain_text("Öffnen Sie den Link in Ihrer Mail")
    assert CancellationRequest.objects.count() == 1
    shoot(page, f"germany-received-{size}")
    accessible(page)
    with page.expect_download() as download:
        page.click("text=Ihre Erklärung speichern")
    assert "Jürgen Groß" in download.value.path().read_text()
    mail = mailbox(holder.email)
    assert "zum nächstmöglichen Zeitpunkt" in mail
    page.goto(re.sub(r"^https?://[^/]+", "", re.search(r"http\S+/requests/proof/[^\s>]+", mail)[0]))
    page.click("text=Ja, mein Abonnement kündigen")
    expect(page.locator("h1")).to_contain_text("Ihre Kündigung ist bei uns")
    shoot(page, f"germany-proven-{size}")
    accessible(page)
    assert "endet am **" in mailbox(holder.email)


def test_germany_signed_in_needs_no_identity(browser, live_server, mailbox, shoot):
    cast.policy()
    holder = cast.account("Juergen", country="DE", language="de")
    for plan in ("Team", LONG):
        cast.subscription(holder, plan_name=plan)
    page = opened(browser, live_server, "phone")
    signed_in(page, holder, mailbox)
    page.click("text=Alle 2 zusammen kündigen")
    in_view(page, "jetzt kündigen")
    shoot(page, "germany-signed-in")
    accessible(page)
    page.click("text=jetzt kündigen")
    expect(page.locator("h1")).to_contain_text("Ihre Kündigung ist bei uns")
    assert CancellationRequest.objects.count() == 2
    page.check("text=Ich nutze es zu wenig")
    page.click("text=Antwort senden")
    expect(page.locator("main")).to_contain_text("Warum Sie gegangen sind")
    shoot(page, "germany-status")
    accessible(page)


def test_france_has_a_summary_that_allows_changes(browser, live_server, mailbox, shoot):
    cast.policy()
    holder = cast.account("Amelie", country="FR", language="fr")
    cast.subscription(holder)
    page = opened(browser, live_server, "phone", locale="fr-FR")
    page.goto("/?country=FR")
    page.click("main >> text=Résilier votre contrat")
    page.fill("#id_name", "Amélie")
    page.fill("#id_account_number", "AT-1")
    page.fill("#id_email", holder.email)
    page.click("text=Continuer")
    expect(page.locator("h1")).to_have_text("Vérifiez avant de résilier")
    shoot(page, "france-check")
    accessible(page)
    page.click("text=Modifier Numéro client")
    page.fill("#id_account_number", holder.account_number)
    page.click("text=Continuer")
    page.click("text=Notifier la résiliation")
    expect(page.locator("h1")).to_contain_text("Encore une étape")
    assert "Veuillez confirmer votre résiliation" in mailbox(holder.email)


def test_california_clicks_to_cancel(browser, live_server, mailbox):
    cast.policy()
    holder = cast.account("Carla", country="US")
    cast.subscription(holder)
    page = opened(browser, live_server, "phone")
    signed_in(page, holder, mailbox)
    page.click("main >> text=Cancel Team")
    page.click("text=Continue")
    page.click("text=Click to cancel")
    expect(page.locator("h1")).to_have_text("We received your cancellation")


def test_cooling_off_in_two_steps(browser, live_server, mailbox, shoot):
    cast.policy()
    start = timezone.localdate() - timedelta(days=3)
    holder = cast.account("Neu", country="DE", language="de")
    cast.subscription(holder, started_on=start, billing_anchor=start)
    page = opened(browser, live_server, "phone")
    signed_in(page, holder, mailbox)
    page.click("main >> text=Vertrag widerrufen")
    accessible(page)
    page.click("text=Weiter")
    accessible(page)
    page.click("text=Widerruf bestätigen")
    expect(page.locator("main")).to_contain_text("endet sofort")


def test_the_whole_way_by_keyboard(browser, live_server, mailbox):
    """Tab, arrows, space and Enter only; what has the focus can be seen."""
    cast.policy()
    holder = cast.account("Kay")
    cast.subscription(holder)
    page = opened(browser, live_server)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", selector
                return
        raise AssertionError(f"Nobody gets to {selector} by Tab")

    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to("main .btn-primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cancel/")
    tab_to("[value=check]")
    page.keyboard.press("Enter")
    expect(page.locator(".trouble")).to_be_focused()
    tab_to(".trouble a")
    page.keyboard.press("Enter")
    expect(page.locator("#id_account_number")).to_be_focused()
    page.keyboard.type(holder.account_number)
    tab_to("#id_username")
    page.keyboard.type(holder.username)
    tab_to("#id_email")
    page.keyboard.type(holder.email)
    tab_to("[name=reason]")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    tab_to("[value=check]")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Check before you cancel")
    tab_to("[value=confirm]")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("open the link in your mail")
    link = re.search(r"http\S+/requests/proof/[^\s>]+", mailbox(holder.email))
    page.goto(re.sub(r"^https?://[^/]+", "", link[0]))
    tab_to("main .btn-primary")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("We received your cancellation")
    assert CancellationRequest.objects.get().reason == "unused"


def virtual_device(page: Page) -> None:
    """A device with a fingerprint that is always recognised."""
    told = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    told |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": told})


def test_a_passkey_beside_the_code_and_never_instead_of_it(browser, live_server, mailbox, settings, shoot):
    cast.policy()
    holder = cast.account("Paula")
    cast.subscription(holder)
    page = opened(browser, live_server, "phone")
    virtual_device(page)
    signed_in(page, holder, mailbox)
    page.click("main >> text=Passkeys")
    shoot(page, "passkeys-none")
    accessible(page)
    page.click("text=Add a passkey")
    accessible(page)
    page.fill("#id_name", "my <b>phone</b>")
    shoot(page, "passkey-add")
    page.click("text=Add it")
    expect(page.locator("main")).to_contain_text("From now on you can sign in with this passkey.")
    expect(page.locator("main dl").first).to_contain_text("my <b>phone</b>")
    shoot(page, "passkeys")
    accessible(page)
    assert "A passkey was added" in mailbox(holder.email)
    page.click("header >> text=Sign out")
    page.goto("/signin/")
    shoot(page, "signin-passkey")
    accessible(page)
    page.click("text=Sign in with it")
    page.wait_for_url("**/subscriptions/")
    page.click("header >> text=Sign out")
    signed_in(page, holder, mailbox)  # the code alone is enough
    page.goto("/your-data/")
    page.click("summary:has-text('Passkeys')")
    expect(page.locator("main")).to_contain_text("my <b>phone</b>")
    page.goto("/passkeys/")
    page.click("text=Remove")
    expect(page.locator("main")).to_contain_text("You have none yet.")
    page.click("header >> text=Sign out")
    page.goto("/signin/")
    page.click("text=Sign in with it")
    expect(page.locator("main")).to_contain_text("We do not recognise this passkey")
    expect(page.locator("#id_email")).to_be_visible()


def test_a_passkey_opens_nothing_that_was_closed(browser, live_server, mailbox):
    cast.policy()
    holder = cast.account("Rita")
    page = opened(browser, live_server)
    virtual_device(page)
    signed_in(page, holder, mailbox)
    page.goto("/passkeys/add/")
    page.click("text=Add it")
    page.wait_for_url("**/passkeys/")
    page.click("header >> text=Sign out")
    revoke_sign_in(account=holder, now=timezone.now())
    page.goto("/signin/")
    page.click("text=Sign in with it")
    expect(page.locator("main")).to_contain_text("We do not recognise this passkey")
    page.goto("/subscriptions/")
    expect(page.locator("h1")).to_have_text("Sign in")


EVERYWHERE = (
    "/", "/cancel/", "/cancel/?kind=for_cause", "/cancel/?kind=cooling_off", "/cancel/?country=DE", "/requests/",
    "/signin/", "/policy/", "/policy/history/", "/policy/compare/1/2/", "/law/", "/verify/", "/nothing/",
)  # fmt: skip
AT_HOME = ("/subscriptions/", "/cancel/", "/your-data/", "/passkeys/", "/passkeys/add/")


@pytest.fixture
def customer_at_home(browser, live_server, mailbox):
    """Somebody signed in with a long plan name and a request, and all pages to look at."""
    cast.policy(text=cast.policy_text())
    cast.policy(text=cast.policy_text(), notice_days=3)
    holder = cast.account("Bob")
    cast.subscription(holder, plan_name=LONG)
    request = cast.in_review(cast.subscription(holder, plan_name=LONG), at=timezone.now())
    own = [f"/requests/{request.reference}/{tail}" for tail in ("", "received/", "take-back/", "files/")]

    def visit(**told):
        page = opened(browser, live_server, **told)
        signed_in(page, holder, mailbox)
        return page, [*EVERYWHERE, *AT_HOME, *own]

    return visit


def overflow(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_four_times_zoomed_nothing_scrolls_sideways(customer_at_home):
    page, paths = customer_at_home()
    page.set_viewport_size({"width": 320, "height": 256})  # 1280 × 1024 at 400 % (WCAG 2.2, 1.4.10)
    for path in paths:
        page.goto(path)
        assert overflow(page) <= 0, path


def test_mirrored_for_a_language_from_right_to_left(customer_at_home, settings, tmp_path, shoot):
    page, paths = customer_at_home(size="phone", reduced_motion="reduce")
    settings.LANGUAGES = [*settings.LANGUAGES, (pseudo.CODE, "Pseudo")]
    settings.LOCALE_PATHS = [*settings.LOCALE_PATHS, pseudo.write(tmp_path / "pseudo")]
    name = configured.LANGUAGE_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": pseudo.CODE, "domain": "localhost", "path": "/"}])
    for number, path in enumerate(paths):
        page.goto(path)
        assert page.locator("html").get_attribute("dir") == "rtl"
        assert overflow(page) <= 0, path
        brand = page.locator(".brand").bounding_box()
        assert brand["x"] > 195  # on the right
        shoot(page, f"mirrored-{number}")
        accessible(page)


def test_every_page_at_every_size_is_accessible_in_german(customer_at_home):
    page, paths = customer_at_home()
    page.goto("/language/?language=de&next=/")
    for path in paths:
        for size in SIZES.values():
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.goto(path)
            assert overflow(page) <= 0, path
        accessible(page)


def test_a_first_view_is_light_and_asks_nobody_else(customer_at_home, browser, live_server):
    page, paths = customer_at_home()
    cookies = page.context.cookies()
    for path in paths:
        fresh = opened(browser, live_server)
        fresh.context.add_cookies(cookies)
        network = fresh.context.new_cdp_session(fresh)
        network.send("Network.enable")
        sizes, asked = [], []
        network.on("Network.loadingFinished", lambda told, sizes=sizes: sizes.append(told["encodedDataLength"]))
        network.on("Network.requestWillBeSent", lambda told, asked=asked: asked.append(told["request"]["url"]))
        fresh.goto(path, wait_until="networkidle")
        assert sum(sizes) <= LIMIT, (path, sum(sizes))
        assert all(url.startswith((live_server.url, "data:")) for url in asked), asked
        assert fresh.locator("link[rel=stylesheet]").count() == 1
        assert fresh.locator("script[src]:not([defer]):not([type=module])").count() == 0
        fresh.context.close()


def test_without_scripts_everything_works(browser, live_server, mailbox):
    cast.policy()
    holder = cast.account("Nora")
    cast.subscription(holder)
    page = opened(browser, live_server, java_script_enabled=False)
    signed_in(page, holder, mailbox)
    page.click("main >> text=Cancel Team")
    page.check("text=Something is missing")
    page.click("text=Continue")
    page.dblclick("text=Cancel my subscription")
    expect(page.locator("h1")).to_have_text("We received your cancellation")
    assert CancellationRequest.objects.count() == 1

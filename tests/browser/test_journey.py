"""The main job, end to end, as its people do it."""

import re
import time
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.utils import decrypt
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from django.utils import timezone
from moneyed import Money
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from billing.rules.periods import next_billing_date
from cancellations.models import CancellationRequest
from tests import cast

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def accessible(page: Page) -> None:
    """No violation of WCAG 2.2 A and AA that axe-core finds."""
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    found = Axe().run(page, options=options)
    assert found.violations_count == 0, found.generate_report()


def authenticator_code(email: str) -> str:
    """What the authenticator app of the person shows; it is set up here where there is none yet."""
    person = User.objects.get(email=email)
    known = Authenticator.objects.filter(user=person, type="totp").first()
    known = known or TOTP.activate(person, generate_totp_secret()).instance
    step, used = int(time.time()) // 30, known.data.get("used", [])
    codes = (format_hotp_value(hotp_value(decrypt(known.data["secret"]), step + n)) for n in (0, 1, -1))
    return next(code for code in codes if code not in used)


def sign_in_staff(page: Page, email: str) -> None:
    authenticator_code(email)  # sets one up
    page.goto("/admin/login/")
    page.fill("[name=username]", email)
    page.fill("[name=password]", "a-long-password")
    page.click("button[data-submit]")
    page.fill("[name=code]", authenticator_code(email))
    page.click("button[data-submit]")
    expect(page.locator("main, #main").first).to_be_visible()


def test_a_guest_cancels_and_everybody_does_their_part(phone: BrowserContext, desk, mailbox, shoot):
    cast.policy()
    today = timezone.localdate()
    holder = cast.account("Alice")
    start = today - timedelta(days=370)
    team = cast.subscription(holder, price=Money("30.00", "EUR"), started_on=start, billing_anchor=start)
    for person in ("support", "finance"):
        cast.staff(person)
    cast.staff("finance", "Frank")

    # The guest, on a phone
    guest = phone.new_page()
    guest.goto("/")
    shoot(guest, "entry-phone")
    accessible(guest)
    guest.click("main >> text=Cancel a subscription")
    guest.click("text=Continue")
    expect(guest).to_have_title(re.compile("^Error: "))
    expect(guest.locator(".trouble")).to_contain_text("Enter your account number")
    shoot(guest, "form-error-phone")
    accessible(guest)
    guest.fill("#id_account_number", holder.account_number.lower())
    guest.fill("#id_username", holder.username)
    guest.fill("#id_email", holder.email)
    guest.check("text=It costs too much")
    guest.fill("#id_words", "Mein <b>Donaudampfschifffahrtselektrizitätenhauptbetriebswerk</b> schließt.")
    guest.fill("#id_refund_reason", "I paid and could not use it.")
    guest.click("text=Continue")
    shoot(guest, "check-guest-phone")
    accessible(guest)
    guest.click("main >> text=Change account number")
    expect(guest.locator("#id_account_number")).to_have_value(holder.account_number.lower())
    guest.click("text=Continue")
    guest.click("text=Cancel my subscription")
    expect(guest.locator("h1")).to_contain_text("open the link in your mail")
    reference = guest.locator(".ref").inner_text()
    shoot(guest, "received-guest-phone")
    accessible(guest)

    # The mail and the proof
    link = re.search(r"http\S+/requests/proof/[^\s>]+", mailbox(holder.email))
    assert link
    guest.goto(re.sub(r"^https?://[^/]+", "", link[0]))
    shoot(guest, "prove-phone")
    accessible(guest)
    guest.click("text=Yes, cancel my subscription")
    expect(guest.locator("h1")).to_contain_text("We received your cancellation")
    shoot(guest, "received-phone")
    accessible(guest)
    assert "Keep this message: it is your receipt." in mailbox(holder.email)

    # The receipt, checked by anybody
    with guest.expect_download() as download:
        guest.click("text=Save the receipt (PDF)")
    kept = download.value.path()
    guest.goto("/verify/")
    guest.click("button:has-text('Check it')")
    expect(guest.locator(".trouble")).to_contain_text("Choose the file")
    shoot(guest, "verify-error-phone")
    accessible(guest)
    guest.set_input_files("#id_file", str(kept))
    guest.click("button:has-text('Check it')")
    expect(guest.locator("main")).to_contain_text("This receipt is genuine")
    shoot(guest, "verify-phone")
    accessible(guest)

    # Support
    sam = desk.new_page()
    sign_in_staff(sam, "sam@atntcrm.example")
    sam.goto("/admin/cancellations/cancellationrequest/")
    shoot(sam, "queue-desk")
    sam.click(f"text={reference}")
    expect(sam.locator("body")).to_contain_text("Donaudampfschifffahrtselektrizitätenhauptbetriebswerk")
    shoot(sam, "request-desk")
    sam.click("text=Schedule")
    shoot(sam, "schedule-desk")
    sam.fill("textarea", "All clear, thank you for the years with us.")
    sam.click("button:has-text('Schedule')")
    expect(sam.locator("body")).to_contain_text("scheduled.")
    assert "All clear" in mailbox(holder.email)

    # Time passes, the worker acts
    effective = next_billing_date(start, team.interval, today)
    call_command("enforce", now=(timezone.now() + timedelta(days=70)).isoformat(), verbosity=0)
    assert cast.fresh(team).ended_on >= effective

    # Finance: nothing is prepaid, so Fiona proposes a goodwill sum and Frank approves it
    cast.payment(team, effective, effective + timedelta(days=30))
    sam.context.clear_cookies()
    sign_in_staff(sam, "fiona@atntcrm.example")
    sam.goto("/admin/billing/refund/")
    shoot(sam, "refunds-desk")
    sam.click("text=RF-")
    shoot(sam, "refund-desk")
    sam.click("text=Propose")
    sam.check("text=other amount")
    sam.fill("[name=amount]", "12.50")
    sam.fill("[name=ground]", "Goodwill: the service was down.")
    sam.click("button:has-text('Propose')")
    expect(sam.locator("body")).to_contain_text("proposed.")
    expect(sam.locator(".desk-verbs >> text=Approve")).to_have_count(0)
    shoot(sam, "refund-own-desk")
    sam.context.clear_cookies()
    sign_in_staff(sam, "frank@atntcrm.example")
    sam.goto("/admin/billing/refund/")
    sam.click("text=RF-")
    sam.click("text=Approve")
    sam.click("button:has-text('Approve')")
    sam.click("text=Mark as paid")
    sam.fill("[name=reference]", "SEPA 4711")
    sam.fill("[name=paid_on]", timezone.localdate().isoformat())
    sam.click("button:has-text('Mark as paid')")
    expect(sam.locator("body")).to_contain_text("Paid")
    shoot(sam, "refund-paid-desk")

    # The status page shows it all
    guest.goto(f"/requests/{reference}/")
    expect(guest.locator("main")).to_contain_text("€12.50")
    expect(guest.locator("main")).to_contain_text("SEPA 4711")
    expect(guest.locator("main")).to_contain_text("Our support team scheduled it")
    shoot(guest, "status-phone")
    accessible(guest)


def test_a_signed_in_customer_sees_the_end_date_first(desk: BrowserContext, mailbox, shoot):
    cast.policy()
    holder = cast.account("Bob")
    start = timezone.localdate() - timedelta(days=200)
    cast.subscription(holder, plan_name="Team", started_on=start, billing_anchor=start)
    long_name = "Rechtsschutzversicherungsgesellschaften-Sonderkündigungsrechtspaket Premium Plus"
    late = timezone.localdate() - timedelta(days=25)
    cast.subscription(holder, plan_name=long_name, started_on=late, billing_anchor=late)

    page = desk.new_page()
    page.goto("/subscriptions/")
    shoot(page, "signin-desk")
    accessible(page)
    page.fill("#id_email", holder.email)
    page.click("text=Send me a code")
    code = mailbox(holder.email).split("**")[1]
    shoot(page, "code-desk")
    page.fill("#id_code", code)
    page.click("main >> button:has-text('Sign in')")
    expect(page.locator("h1")).to_have_text("Your subscriptions")
    shoot(page, "subscriptions-desk")
    accessible(page)
    page.click("text=Cancel Team")
    page.check("text=I use something else now")
    shoot(page, "form-desk")
    accessible(page)
    page.click("text=Continue")
    expect(page.locator(".big")).to_be_visible()
    shown = page.locator(".big").inner_text()
    shoot(page, "check-desk")
    accessible(page)
    page.dblclick("text=Cancel my subscription")
    expect(page.locator("h1")).to_contain_text("We received your cancellation")
    expect(page.locator("main")).to_contain_text(shown)
    assert CancellationRequest.objects.count() == 1
    shoot(page, "received-desk")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Check before you cancel")
    page.click("text=Cancel my subscription")
    expect(page.locator("h1")).to_contain_text("We received your cancellation")
    assert CancellationRequest.objects.count() == 1
    page.click("text=Take it back")
    shoot(page, "take-back-desk")
    accessible(page)
    page.click("main >> button:has-text('Take it back')")
    expect(page.locator("h1")).to_contain_text("You took back this cancellation")
    accessible(page)
    page.goto("/policy/")
    shoot(page, "policy-desk")
    accessible(page)
    text = cast.policy_text()
    cast.policy(text=text)
    cast.policy(text=text.replace("in your own time zone", "in the time zone of your account"), notice_days=7)
    page.goto("/policy/history/")
    page.click("main >> text=What changed >> nth=0")
    expect(page.locator("ins").first).to_be_visible()
    shoot(page, "policy-compare-desk")
    accessible(page)
    page.goto("/nothing-here")
    shoot(page, "not-found-desk")
    accessible(page)

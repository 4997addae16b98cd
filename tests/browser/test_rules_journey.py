"""Several at once, for cause with a file, cooling-off, and a termination with its refund, as their people do them."""

from datetime import timedelta

import pytest
from django.utils import timezone
from moneyed import Money
from playwright.sync_api import BrowserContext, expect

from billing.models import Refund
from cancellations.models import CancellationRequest, Termination
from cancellations.services.enforcement import enforce
from tests import cast
from tests.browser.test_journey import accessible, sign_in_staff

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "Rechtsschutzversicherungsgesellschaften-Sonderkündigungsrechtspaket Premium Plus"


def sign_in(page, holder, mailbox):
    page.goto("/signin/")
    page.fill("#id_email", holder.email)
    page.click("text=Send me a code")
    page.fill("#id_code", mailbox(holder.email).split("**")[1])
    page.click("main >> button:has-text('Sign in')")
    expect(page.locator("h1")).to_have_text("Your subscriptions")


def test_several_subscriptions_in_one_declaration(phone: BrowserContext, mailbox, shoot):
    cast.policy(text=cast.policy_text())
    holder = cast.account("Bob")
    today = timezone.localdate()
    for days, plan in ((200, "Team"), (25, LONG)):
        start = today - timedelta(days=days)
        cast.subscription(holder, plan_name=plan, started_on=start, billing_anchor=start)
    page = phone.new_page()
    sign_in(page, holder, mailbox)
    shoot(page, "subscriptions-phone")
    page.click("text=Cancel all 2 together")
    expect(page.locator("[name=subscription]:checked")).to_have_count(2)
    page.uncheck("[name=subscription] >> nth=0")
    page.uncheck("[name=subscription] >> nth=1")
    page.click("text=Continue")
    expect(page.locator(".trouble")).to_contain_text("Choose the subscription")
    shoot(page, "several-error-phone")
    accessible(page)
    page.click(".trouble a >> nth=0")
    page.check("[name=subscription] >> nth=0")
    page.check("[name=subscription] >> nth=1")
    page.check("text=I use something else now")
    page.click("text=Continue")
    expect(page.locator(".big")).to_have_count(2)
    shoot(page, "several-check-phone")
    accessible(page)
    page.dblclick("main >> text=Cancel my subscription")
    expect(page.locator("h1")).to_contain_text("We received your cancellation")
    assert CancellationRequest.objects.count() == 2
    shoot(page, "several-received-phone")
    accessible(page)
    page.click("text=This page")
    expect(page.locator("h1")).to_have_text("Your cancellation of 2 subscriptions")
    shoot(page, "several-status-phone")
    accessible(page)
    page.click("text=Take back the cancellation")
    page.check("[name=request] >> nth=1")
    shoot(page, "several-take-back-phone")
    accessible(page)
    page.click("main >> button:has-text('Take it back')")
    expect(page.locator("main")).to_contain_text("taken back")
    assert sorted(CancellationRequest.objects.values_list("state", flat=True)) == ["in_review", "withdrawn"]
    page.goto("/subscriptions/")
    page.click("text=All the data that we keep about you here")
    page.click("summary:has-text('Cancellation requests')")
    expect(page.locator("main")).to_contain_text("I use something else now")
    shoot(page, "your-data-phone")
    accessible(page)
    with page.expect_download() as download:
        page.click("text=Download as JSON")
    assert download.value.suggested_filename == "your-data.json"


def test_for_cause_with_a_file_and_support_decides(desk: BrowserContext, mailbox, shoot, tmp_path):
    cast.policy(text=cast.policy_text())
    holder = cast.account("Alice")
    start = timezone.localdate() - timedelta(days=200)
    of = cast.subscription(holder, started_on=start, billing_anchor=start)
    proof = tmp_path / "Beleg über den Datenverlust.pdf"
    proof.write_bytes(b"%PDF-1.7\n%proof\n")
    bad = tmp_path / "page.html"
    bad.write_text("<html><script>alert(1)</script>")
    page = desk.new_page()
    sign_in(page, holder, mailbox)
    page.goto("/cancel/")
    page.click("text=Cancel for cause")
    shoot(page, "cause-form-desk")
    accessible(page)
    page.fill("#id_cause", f"Our contacts are gone since Monday. {LONG} " * 3)
    page.click("text=Continue")
    shoot(page, "cause-check-desk")
    accessible(page)
    page.click("text=Cancel my subscription")
    shoot(page, "cause-received-desk")
    accessible(page)
    page.click("text=Add files that support it")
    page.set_input_files("#id_file", [str(bad)])
    page.click("text=Add the files")
    expect(page.locator(".trouble")).to_contain_text("of a type that we cannot take")
    shoot(page, "files-error-desk")
    accessible(page)
    page.set_input_files("#id_file", [str(proof)])
    page.click("text=Add the files")
    expect(page.locator("main")).to_contain_text("Beleg über den Datenverlust.pdf")
    shoot(page, "cause-status-desk")
    accessible(page)
    with page.expect_download() as download:
        page.click("text=Beleg über den Datenverlust.pdf")
    assert download.value.suggested_filename == proof.name

    cast.staff("support")
    page.context.clear_cookies()
    sign_in_staff(page, "sam@atntcrm.example")
    page.goto("/admin/cancellations/cancellationrequest/")
    expect(page.locator("body")).to_contain_text("Look at the ground")
    shoot(page, "queue-kinds-desk")
    page.click("text=CR-")
    shoot(page, "request-cause-desk")
    page.click("text=Change the kind")
    shoot(page, "change-kind-desk")
    page.go_back()
    page.click("text=Accept the ground")
    page.fill("textarea", "We are sorry for the loss.")
    page.click("button:has-text('Accept the ground')")
    expect(page.locator("body")).to_contain_text("ground accepted.")
    enforce(now=timezone.now())
    assert cast.fresh(of).ended_on == timezone.localdate()
    assert "We are sorry for the loss." in mailbox(holder.email) or "has ended" in mailbox(holder.email)


def test_within_the_cooling_off_days(phone: BrowserContext, mailbox, shoot):
    cast.policy(text=cast.policy_text())
    holder = cast.account("Charlie")
    start = timezone.localdate() - timedelta(days=5)
    of = cast.subscription(holder, started_on=start, billing_anchor=start)
    cast.payment(of, start, start + timedelta(days=30))
    page = phone.new_page()
    sign_in(page, holder, mailbox)
    page.click("text=Withdraw from contract here")
    shoot(page, "cooling-off-form-phone")
    accessible(page)
    page.click("text=Continue")
    expect(page.locator(".big")).to_have_text("At once, when you confirm")
    shoot(page, "cooling-off-check-phone")
    accessible(page)
    page.click("text=Confirm withdrawal")
    expect(page.locator("main")).to_contain_text("ends at once")
    shoot(page, "cooling-off-received-phone")
    accessible(page)
    enforce(now=timezone.now())
    page.click("text=This page")
    expect(page.locator("h1")).to_contain_text("Your subscription ended on")
    shoot(page, "cooling-off-status-phone")
    accessible(page)


def test_a_manager_terminates_and_finance_returns_the_unused_part(desk: BrowserContext, mailbox, shoot):
    cast.policy(text=cast.policy_text(), approval_limits={"GBP": "5000"})
    holder = cast.account("Mailblast & <b>Söhne</b> Ltd", username="mailblast", email="mailblast@customer.example")
    start = timezone.localdate() - timedelta(days=100)
    of = cast.subscription(
        holder,
        plan_name=LONG,
        price=Money("2390.00", "GBP"),
        interval_unit="year",
        started_on=start,
        billing_anchor=start,
    )
    cast.payment(of, start, start + timedelta(days=365))
    cast.in_review(of, at=timezone.now())
    for role, name in (("manager", ""), ("finance", ""), ("finance", "Frank")):
        cast.staff(role, name)
    page = desk.new_page()
    sign_in_staff(page, "mara@atntcrm.example")
    page.goto("/admin/cancellations/termination/")
    shoot(page, "terminations-empty-desk")
    page.goto(f"/admin/accounts/account/{holder.pk}/change/")
    shoot(page, "account-desk")
    page.click("a:has-text('Terminate')")
    page.click("button:has-text('Show what will happen')")
    expect(page.locator(".desk-trouble")).to_contain_text("Describe what happened")
    shoot(page, "terminate-error-desk")
    page.check("text=Activity that harms others")
    page.fill("[name=description]", "214,000 unwanted messages on three days.")
    page.fill("[name=evidence]", "Abuse reports 8841 to 8876.")
    page.fill("[name=refund_ground]", "Most of the year is unused.")
    page.click("button:has-text('Show what will happen')")
    expect(page.locator(".desk-letter")).to_contain_text("214,000 unwanted messages")
    shoot(page, "terminate-preview-desk")
    page.click("button:has-text('Terminate the account')")
    expect(page.locator("body")).to_contain_text("in effect.")
    shoot(page, "termination-desk")
    assert Termination.objects.count() == 1
    assert "214,000 unwanted messages" in mailbox(holder.email)

    page.context.clear_cookies()
    sign_in_staff(page, "fiona@atntcrm.example")
    page.goto("/admin/billing/refund/")
    page.click("text=RF-")
    shoot(page, "refund-termination-desk")
    page.click("text=Propose")
    shoot(page, "propose-desk")
    page.click("button:has-text('Propose')")
    page.context.clear_cookies()
    sign_in_staff(page, "frank@atntcrm.example")
    page.goto("/admin/billing/refund/")
    page.click("text=RF-")
    page.click("text=Approve")
    page.click("button:has-text('Approve')")
    page.click(".desk-verbs >> text=Send")
    page.click("button:has-text('Send')")
    page.click("text=Mark as failed")
    page.fill("[name=ground]", "The account was closed.")
    page.click("button:has-text('Mark as failed')")
    expect(page.locator("body")).to_contain_text("The account was closed.")
    shoot(page, "refund-failed-desk")
    page.click("text=Mark as paid")
    page.fill("[name=reference]", "SEPA 4712")
    page.fill("[name=paid_on]", timezone.localdate().isoformat())
    page.click("button:has-text('Mark as paid')")
    expect(page.locator("body")).to_contain_text("CN-000001")
    shoot(page, "refund-credit-note-desk")
    assert Refund.objects.get().state == "paid"

    page.context.clear_cookies()
    sign_in_staff(page, "mara@atntcrm.example")
    page.goto("/admin/cancellations/termination/")
    shoot(page, "terminations-desk")
    page.click("text=TM-")
    page.click("text=Reverse on appeal")
    page.fill("[name=ground]", "Their server was hacked.")
    page.click("button:has-text('Reverse on appeal')")
    expect(page.locator("body")).to_contain_text("Reversed")
    shoot(page, "termination-reversed-desk")
    page.goto("/admin/cancellations/policyversion/add/")
    shoot(page, "policy-draft-desk")
    page.emulate_media(color_scheme="dark")
    page.goto("/admin/cancellations/policyversion/")
    page.click("text=version 1")
    shoot(page, "policy-version-desk")

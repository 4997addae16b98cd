"""Pictures of each customer's page for docs/screenshots, on a phone, at a desk and in the dark: `make screenshots`.

They are made to be looked at, and compared with nothing.
"""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.exceptions import SuspiciousOperation
from django.shortcuts import render
from django.utils import timezone
from moneyed import Money
from playwright.sync_api import Browser, Page

from cancellations.models import CancellationRequest, Conversation, DeclineGround
from cancellations.services.conversations import open_tasks_for_failed_messages
from cancellations.services.review import decline
from messaging.models import OutgoingMessage, WebhookEndpoint
from tests import cast
from tests.browser.test_journey import sign_in_staff
from tests.browser.test_mail import arrive
from tests.browser.test_rules_journey import LONG

pytestmark = [pytest.mark.screenshots, pytest.mark.django_db(transaction=True)]
FOLDER = Path(os.environ.get("SCREENSHOTS", ""))
FORMS = {"phone": (390, 844, "light"), "desk": (1180, 800, "light"), "dark": (390, 844, "dark")}


@pytest.fixture
def pages(browser: Browser, live_server):
    """The same visit in each form, side by side."""
    found = {}
    for form, (width, height, scheme) in FORMS.items():
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale="en-GB",
            reduced_motion="reduce",
        )
        found[form] = context.new_page()
    yield found
    for page in found.values():
        page.context.close()


def kept(pages: dict[str, Page], name: str) -> None:
    for form, page in pages.items():
        page.screenshot(path=FOLDER / f"{name}-{form}.jpg", type="jpeg", quality=42, full_page=True)


def each(pages: dict[str, Page], name: str, path: str) -> None:
    for page in pages.values():
        page.goto(path)
    kept(pages, name)


def speaking(pages: dict[str, Page], language: str) -> None:
    cookie = {"name": configured.LANGUAGE_COOKIE_NAME, "value": language, "domain": "localhost", "path": "/"}
    for page in pages.values():
        page.context.add_cookies([cookie])


@pytest.fixture(autouse=True)
def _published(settings):
    settings.LOCAL_RUN = False
    FOLDER.mkdir(parents=True, exist_ok=True)
    cast.policy(text=cast.policy_text(), notice_days=14)
    cast.policy(text=cast.policy_text().replace("in your own time zone", "in the time zone of your account"))


def test_pages_for_everybody(pages):
    for name, path in (
        ("entry", "/"), ("form", "/cancel/"), ("form-for-cause", "/cancel/?kind=for_cause"),
        ("form-cooling-off", "/cancel/?kind=cooling_off"), ("policy", "/policy/"), ("versions", "/policy/history/"),
        ("comparison", "/policy/compare/1/2/"), ("law", "/law/"), ("verify", "/verify/"), ("sign-in", "/signin/"),
        ("follow", "/requests/"), ("error-404", "/nothing/"), ("error-403", "/requests/CR-2222-2222/"),
        ("link-expired", "/requests/proof/broken/"),
    ):  # fmt: skip
        each(pages, name, path)
    for page in pages.values():
        page.goto("/cancel/")
        page.click("[value=check]")
    kept(pages, "form-error")


def test_by_the_law_and_the_language(pages):
    speaking(pages, "de")
    each(pages, "german-entry", "/?country=DE")
    each(pages, "german-page", "/cancel/")
    for page in pages.values():
        page.check("[name=kind][value=for_cause]")
        page.click("[value=confirm]")
    kept(pages, "german-page-error")
    speaking(pages, "fr")
    for page in pages.values():
        page.goto("/cancel/?country=FR")
        page.fill("#id_name", "SARL Dupont")
        page.fill("#id_account_number", "AT-104233")
        page.fill("#id_email", "compta@dupont.example")
        page.click("[value=check]")
    kept(pages, "french-summary")


def test_what_goes_wrong(pages, monkeypatch):
    for page in pages.values():
        page.goto("/cancel/")
        page.evaluate("""() => { const words = document.querySelector('#id_words'); words.removeAttribute('maxlength');
            words.value = 'x'.repeat(1100000); document.querySelector('[value=check]').click(); }""")
        page.wait_for_selector("h1:has-text('too much')")
    kept(pages, "error-413")
    for page in pages.values():
        page.set_content(f"<form method=post action='{page.url.split('/cancel')[0]}/policy/'><button>x</button></form>")
        page.click("button")
        page.wait_for_selector("h1:has-text('That')")
    kept(pages, "error-stale-form")
    each(pages, "error-405", "/passkeys/1/remove/")

    def raises(error: Exception):
        def broken():
            raise error

        return broken

    for name, error in (("error-500", RuntimeError("for the picture")), ("error-400", SuspiciousOperation("the same"))):
        monkeypatch.setattr("cancellations.pages.policy.published_versions", raises(error))
        each(pages, name, "/policy/history/")
    monkeypatch.setattr(
        "cancellations.pages.verify.render", lambda http, *_, **__: render(http, "429.html", status=429)
    )
    each(pages, "error-429", "/verify/")


def test_the_way_of_a_guest(pages, mailbox):
    holder = cast.account("Alice")
    start = timezone.localdate() - timedelta(days=8)
    of = cast.subscription(holder, started_on=start, billing_anchor=start)
    cast.payment(of, start, start + timedelta(days=30), Money("30.00", "EUR"))
    form = {"#id_account_number": holder.account_number, "#id_username": holder.username, "#id_email": holder.email}
    for page in pages.values():
        page.goto("/cancel/")
        for field, value in form.items():
            page.fill(field, value)
        page.check("text=Something is missing")
        page.click("[value=check]")
    kept(pages, "check-guest")
    for page in pages.values():
        page.click("[value=confirm]")
        page.wait_for_url("**/received/")
    kept(pages, "received-guest")
    link = re.search(r"/requests/proof/[^\s>]+", mailbox(holder.email))[0]
    each(pages, "proof", link)
    for page in pages.values():
        page.goto(link)  # whoever proved it first has proved it for the others
        if page.locator("main .btn-primary").count():
            page.click("main .btn-primary")
    reference = CancellationRequest.objects.get(joined_to=None).reference
    for name, tail in (("received", "received/"), ("status", ""), ("take-back", "take-back/")):
        each(pages, name, f"/requests/{reference}/{tail}")


def test_a_cancellation_by_mail(pages, mailbox):
    cast.subscription(cast.account(LONG, email="alice@customer.example"))
    arrive("Hiermit kündige ich meinen Vertrag.\n\nMit freundlichen Grüßen", "Alice <alice@customer.example>")
    link = re.search(r"/requests/proof/[^\s>]+", mailbox("alice@customer.example"))[0]
    speaking(pages, "de")
    each(pages, "prove-by-mail", link)
    for page in pages.values():
        page.fill("[name=identifier]", "AT-000000")
        page.click("main .btn-primary")
    kept(pages, "prove-by-mail-error")


def test_the_pages_of_a_customer(pages, mailbox):
    holder = cast.account("Bob")
    start = timezone.localdate() - timedelta(days=20)
    cast.subscription(holder, plan_name="Team", started_on=start, billing_anchor=start)
    late = timezone.localdate() - timedelta(days=25)
    cast.subscription(holder, plan_name=LONG, started_on=late, billing_anchor=late, quantity=12)
    cast.subscription(holder, plan_name="Starter", ended_on=start, ended_by="crm")
    declined = cast.in_review(cast.subscription(holder, plan_name="Old"), at=timezone.now())
    decline(
        request=declined,
        by=cast.staff("support"),
        ground=DeclineGround.DUPLICATE,
        now=timezone.now(),
        words="Your first one stands.",
    )
    for page in pages.values():
        page.goto("/signin/")
        page.fill("#id_email", holder.email)
        page.click("main button.btn-primary")
        page.fill("#id_code", mailbox(holder.email).split("**")[1])
    kept(pages, "code")
    for page in pages.values():
        page.click("main button.btn-primary")
        page.wait_for_url("**/subscriptions/")
    kept(pages, "subscriptions")
    each(pages, "form-signed-in", "/cancel/")
    for page in pages.values():
        page.check("[name=subscription] >> nth=0")
        page.check("[name=subscription] >> nth=1")
        page.check("text=I use something else now")
        page.click("[value=check]")
    kept(pages, "check")
    each(pages, "status-declined", f"/requests/{declined.reference}/")
    caused = cast.in_review(
        cast.subscription(holder), at=timezone.now(), kind="for_cause", cause="Data lost", reason=""
    )
    each(pages, "received-for-cause-question", f"/requests/{caused.reference}/received/")
    each(pages, "files", f"/requests/{caused.reference}/files/")
    each(pages, "your-data", "/your-data/")


def test_somebody_without_an_account(pages, mailbox):
    from accounts.models import Account

    holder = cast.account("Nobody")
    for page in pages.values():
        page.goto("/signin/")
        page.fill("#id_email", holder.email)
        page.click("main button.btn-primary")
        page.fill("#id_code", mailbox(holder.email).split("**")[1])
        page.click("main button.btn-primary")
        page.wait_for_url("**/subscriptions/")
    kept(pages, "subscriptions-none")
    Account.objects.all().delete()
    each(pages, "subscriptions-no-account", "/subscriptions/")


@pytest.fixture
def desks(browser: Browser, live_server):
    """The desk in the light and in the dark, signed in as a manager."""
    cast.policy(text=cast.policy_text())
    for role in ("support", "finance", "manager"):
        cast.staff(role)
    found = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(
            base_url=live_server.url, viewport={"width": 1440, "height": 900}, color_scheme=scheme, locale="en-GB"
        )
        found[scheme] = context.new_page()
    yield found
    for page in found.values():
        page.goto("about:blank")
        page.wait_for_timeout(500)
        page.context.close()


def test_the_pages_of_the_desk(desks):
    now = timezone.now()
    for number in range(1, 7):
        name = LONG if number == 2 else "Alice"
        of = cast.subscription(cast.account(name, username=f"user{number}", email=f"user{number}@customer.example"))
        start = now.date() - timedelta(days=20)
        cast.payment(of, start, start + timedelta(days=90), Money("90.00", "EUR"))
        reason = ("unused", "too_expensive", "switched_service")[number % 3]
        cast.in_review(
            of, at=now - timedelta(days=number), reason=reason, words="It is too dear for what we use of it."
        )
    caused = cast.in_review(at=now, kind="for_cause", cause="Our contacts are gone since the update.", reason="")
    cast.proven_but_unmatched(at=now - timedelta(days=3))
    refund = cast.refund_requested()
    sign_in = {"login": "/admin/login/", "queue-empty": "/admin/cancellations/cancellationrequest/?q=nothing"}
    request, bank = f"/admin/cancellations/cancellationrequest/{caused.pk}", "/admin/billing/transferbatch"
    shown = {
        "dashboard": "/admin/",
        "queue": "/admin/cancellations/cancellationrequest/",
        "request": f"{request}/change/",
        "verb": f"{request}/do/accept-ground/",
        "verb-error": f"{request}/do/decline/",
        "refunds": "/admin/billing/refund/",
        "refund": f"/admin/billing/refund/{refund.pk}/change/",
        "refund-propose": f"/admin/billing/refund/{refund.pk}/do/propose/",
        "transfers-empty": f"{bank}/add/",
        "read-back": f"{bank}/read/",
        "audit": "/admin/accounts/auditentry/",
        "security": "/admin/security/",
        "terminate": "/admin/cancellations/termination/add/",
        "queue-empty": sign_in["queue-empty"],
    }
    for scheme, page in desks.items():
        page.goto(sign_in["login"])
        page.screenshot(path=FOLDER / f"desk-login-{scheme}.jpg", type="jpeg", quality=42)
        sign_in_staff(page, "mara@atntcrm.example")
        for name, path in shown.items():
            page.goto(path)
            if name == "verb-error":
                page.click("[data-submit]")
            page.wait_for_timeout(600)
            page.screenshot(path=FOLDER / f"desk-{name}-{scheme}.jpg", type="jpeg", quality=42, full_page=True)


def test_the_mail_of_the_desk(desks):
    now = timezone.now()
    request = cast.scheduled(cast.subscription(cast.account("Alice")), at=now)
    cast.deliver_all()
    OutgoingMessage.objects.filter(kind="scheduled").update(state="bounced", last_error="550 5.1.1 User unknown")
    open_tasks_for_failed_messages(now=now)
    arrive("Where is my invoice?\n\nThanks", f"{LONG} <long@customer.example>", "Rechnungsnummernverzeichnis")
    arrive("What happens to my data if I cancel my subscription?", "Bob <bob@customer.example>", "Leaving?")
    rows = {one.todo: one for one in Conversation.objects.all()}
    one, failed = (f"/admin/cancellations/conversation/{rows[todo].pk}" for todo in ("answer", "not_informed"))
    person = cast.User.objects.create_user("adam@atntcrm.example", "a-long-password", name="Adam", is_staff=True)
    person.groups.add(cast.Group.objects.get(name="administrator"))
    for number in range(3):
        cast.webhook_delivered(f"https://crm{number}.example.com/hooks/portal")
    hook = WebhookEndpoint.objects.order_by("created_at", "name").first()
    shown = {
        "mara": {
            "mail-queue": "/admin/cancellations/conversation/?state__exact=open",
            "mail-empty": "/admin/cancellations/conversation/?state__exact=closed",
            "mail": f"{one}/change/",
            "mail-answer": f"{one}/do/answer/",
            "mail-not-informed": f"{failed}/change/",
            "request-not-informed": f"/admin/cancellations/cancellationrequest/{request.pk}/change/",
            "mail-came-in": "/admin/messaging/incomingmessage/",
            "mails-as-they-look": "/admin/messaging/outgoingmessage/templates/?kind=scheduled&language=de",
        },
        "adam": {
            "webhooks": "/admin/messaging/webhookendpoint/",
            "webhook": f"/admin/messaging/webhookendpoint/{hook.pk}/change/",
        },
    }
    for scheme, page in desks.items():
        for who, places in shown.items():
            page.context.clear_cookies()
            sign_in_staff(page, f"{who}@atntcrm.example")
            for name, path in places.items():
                page.goto(path)
                if name == "mail-answer":
                    page.fill("textarea", "You find it under «Billing».")
                page.wait_for_timeout(900)
                page.screenshot(path=FOLDER / f"desk-{name}-{scheme}.jpg", type="jpeg", quality=42, full_page=True)

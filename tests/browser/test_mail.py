"""Mail at the desk and at home: a cancellation by mail proven on a phone, a question answered by keyboard."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, expect

from cancellations.models import CancellationRequest, Conversation
from cancellations.services.mail import read_due
from messaging.models import Door, OutgoingMessage, WebhookEndpoint
from messaging.services.inbox import store
from tests import cast
from tests.browser.test_desk import accessible, desk_page
from tests.browser.test_journey import accessible as wholly_accessible

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["desk_page"]
LONG = "Rechtsanwaltsgehilfinnenausbildungsgesellschaftsrechnungsnummernverzeichnis"


def arrive(words: str, sender: str, subject: str = "Hello") -> None:
    now = timezone.now()
    raw = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{subject[:5]}@c>\r\n\r\n{words}"
    store(raw=raw.encode(), arrived_at=now, door=Door.COMMAND, now=now)
    read_due(now=now)


def test_a_cancellation_by_mail_is_proven_on_a_phone(phone: BrowserContext, mailbox, shoot):
    cast.policy(text=cast.policy_text())
    of = cast.subscription(cast.account(email="alice@customer.example"))
    arrive("Hiermit kündige ich mein Abonnement.", "Alice <alice@customer.example>", "Kündigung")
    link = re.search(r"<http://[^/]+(/requests/proof/[^>]+)>", mailbox("alice@customer.example"))[1]
    page = phone.new_page()
    page.goto(link)
    page.get_by_role("button", name="Yes, cancel my subscription").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter your account number")
    page.get_by_label("Account number, subscription number or username").fill("AT-000000")
    page.get_by_role("button", name="Yes, cancel my subscription").click()
    expect(page.get_by_role("alert")).to_contain_text("does not match any account")
    expect(page.get_by_label("Account number, subscription number or username")).to_have_value("AT-000000")
    wholly_accessible(page)
    shoot(page, "prove-by-mail-error-phone")
    page.get_by_label("Account number, subscription number or username").fill(of.account.account_number)
    page.get_by_role("button", name="Yes, cancel my subscription").dblclick()
    expect(page.get_by_text(of.plan_name).first).to_be_visible()
    request = CancellationRequest.objects.get()
    assert (request.state, request.subscription, request.channel) == ("in_review", of, "email")
    assert OutgoingMessage.objects.filter(kind="received").count() == 1


def test_an_end_that_cannot_be_read_is_asked_for(phone: BrowserContext, mailbox, shoot):
    cast.policy(text=cast.policy_text())
    of = cast.subscription(cast.account(email="alice@customer.example"))
    words = f"Please cancel my subscription {of.account.account_number} on 01/02/2027."
    arrive(words, "Alice <alice@customer.example>", "Cancellation")
    link = re.search(r"<http://[^/]+(/requests/proof/[^>]+)>", mailbox("alice@customer.example"))[1]
    page = phone.new_page()
    page.goto(link)
    expect(page.get_by_text("A date that we could not read for certain", exact=True)).to_be_visible()
    page.get_by_label("Account number, subscription number or username").fill(of.account.account_number)
    page.get_by_role("button", name="Yes, cancel my subscription").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose when it should end")
    wholly_accessible(page)
    shoot(page, "prove-end-unread-phone")
    page.get_by_label("On a certain day").check()
    page.get_by_label("Requested end date").fill("2027-02-01")
    page.get_by_role("button", name="Yes, cancel my subscription").click()
    expect(page.get_by_text(of.plan_name).first).to_be_visible()
    assert str(CancellationRequest.objects.get().counted_end) == "2027-02-01"


def test_a_question_is_answered_by_keyboard_and_every_page_is_accessible(desk_page, shoot):
    cast.policy(text=cast.policy_text())
    cast.staff("support")
    arrive("Where is my invoice?", f"{LONG} <alice@customer.example>", f"Frage: {LONG}")
    arrive("What happens if I cancel my subscription?", "Bob <bob@customer.example>", "Leaving?")
    page = desk_page("sam@atntcrm.example")
    press = page.keyboard.press
    page.goto("/admin/cancellations/conversation/?state__exact=open")
    accessible(page)
    press("j")
    press("Enter")
    page.wait_for_url("**/conversation/*/change/**")
    accessible(page)
    shoot(page, "desk-mail")
    press("s")
    page.wait_for_url("**/do/answer/**")
    page.get_by_label("Answer", exact=True).focus()
    page.keyboard.type("It is under «Billing».")
    expect(page.locator("#preview")).to_contain_text("It is under «Billing».")
    accessible(page)
    press("Control+Enter")
    page.wait_for_url("**/conversation/*/change/**")
    expect(page.locator("body")).to_contain_text("answered.")
    assert OutgoingMessage.objects.filter(kind="answer").count() == 1
    assert Conversation.objects.filter(state="waiting").count() == 1
    expect(page.locator(".desk-page")).to_contain_text("Leaving?")  # the next in the queue
    press("d")
    page.wait_for_url("**/do/declare/**")
    accessible(page)
    expect(page.locator("#preview")).to_contain_text("Mail to bob@customer.example")
    page.get_by_label("Username").focus()
    press("Control+Enter")
    expect(page.locator("body")).to_contain_text("request created.")
    assert CancellationRequest.objects.get().email_given == "bob@customer.example"
    page.goto("/admin/cancellations/conversation/?state__exact=open")
    expect(page.locator("body")).to_contain_text("Nothing")
    for address in ("incomingmessage/", "outgoingmessage/", "outgoingmessage/templates/", "mailbox/"):
        page.goto(f"/admin/messaging/{address}")
        accessible(page)
    page.goto("/admin/messaging/incomingmessage/")
    page.locator("#result_list a").first.click()
    page.wait_for_url("**/change/**")
    accessible(page)


def test_a_webhook_endpoint_is_added_by_who_keeps_them(desk_page):
    cast.policy(text=cast.policy_text())
    person = cast.User.objects.create_user("adam@atntcrm.example", "a-long-password", name="Adam", is_staff=True)
    person.groups.add(cast.Group.objects.get(name="administrator"))
    page = desk_page("adam@atntcrm.example")
    page.goto("/admin/messaging/webhookendpoint/add/")
    page.get_by_label("Name").fill("CRM")
    page.get_by_label("Address").fill("https://10.0.0.1/")
    page.get_by_label(re.compile("refund.paid")).check()
    page.get_by_role("button", name="Add a webhook endpoint").click()
    expect(page.get_by_text("is not a public address")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("CRM")
    accessible(page)
    page.get_by_label("Address").fill("https://crm.example.com/hooks")
    page.get_by_role("button", name="Add a webhook endpoint").click()
    page.wait_for_url("**/change/**")
    expect(page.get_by_text("whsec_")).to_be_visible()
    accessible(page)
    assert WebhookEndpoint.objects.get().event_types == ["refund.paid"]

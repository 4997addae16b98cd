"""Text with characters that cannot be kept, at every entrance: nobody gets an error page, nothing is stored."""

import json
from datetime import timedelta
from importlib import import_module

import pytest
from django import forms
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from cancellations.models import CancellationRequest, PolicyVersion
from cancellations.services.mail import read_due
from messaging.forms import KeepableTextMixin
from messaging.models import Door, ReadState
from messaging.services.inbox import store
from messaging.text import is_keepable
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy(db):
    return cast.policy()


HOSTILE = ["a\x00b", "\x0b", "a\x1b[31mb", "\x85", "\ufffe", "\U0010ffff"]
OURS = ("accounts", "billing", "cancellations", "config", "messaging")
EXPORT = "admin:cancellations_cancellationrequest_export"
QUERY = "admin:cancellations_cancellationrequest_changelist"


def all_forms(of=forms.BaseForm):
    for form in of.__subclasses__():
        yield form
        yield from all_forms(form)


def test_every_form_of_ours_checks_its_text():
    for module in ("config.urls", "config.sign_in.staff", "config.sign_in.customers"):
        import_module(module)
    ours = {form for form in all_forms() if form.__module__.startswith(OURS)}
    assert len(ours) > 40
    assert [form for form in ours if not issubclass(form, KeepableTextMixin)] == []


def test_every_page_of_the_admin_that_edits_checks_its_text():
    request = RequestFactory().get("/")
    request.user = cast.User(is_superuser=True, is_active=True, is_staff=True)
    editable = [site for site in admin.site._registry.values() if site.has_change_permission(request)]
    assert editable
    for site in editable:
        assert issubclass(site.get_form(request), KeepableTextMixin), site


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    ("law", "name"),
    [("", "account_number"), ("", "username"), ("", "words"), ("", "refund_reason"), ("DE", "name"), ("FR", "name")],
)
def test_a_guest_is_told_which_character_to_remove(client, policy, law, name, text):
    data = {
        **{"account_number": "AT-1", "username": "zoe", "name": "Zoe", "email": "zoe@customer.example"},
        **{"reason": "too_expensive", "kind": "ordinary", "step": "confirm" if law else "check"},
        name: f"x{text}x",
    }
    response = client.post(f"/cancel/?country={law}", data)
    page = response.content.decode()
    assert response.status_code == 422
    assert f"U+{ord(text.strip('ab')[0]):04X}" in page or "Null characters" in page
    assert not CancellationRequest.objects.exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_summary_of_a_policy_is_refused_and_the_feed_lives(client, policy, text):
    draft = PolicyVersion.objects.get(pk=policy.pk)
    draft.pk, draft.number, draft.state = None, policy.number + 1, "draft"
    draft.published_at = draft.published_by = None
    draft.save()
    mara = cast.at_desk(cast.staff("manager"))
    url = reverse("admin:cancellations_policyversion_verb", args=[draft.pk, "publish"])
    assert mara.post(url, {"change_summary": f"New{text}figures"}).status_code == 422
    draft.refresh_from_db()
    assert draft.state == "draft"
    assert client.get("/policy/feed/").status_code == 200


def test_special_terms_are_json_that_the_database_can_hold(policy):
    mara = cast.at_desk(cast.staff("manager"))
    data = {name: getattr(policy, name) for name in ("text", "notice_days", "trial_notice_days", "cooling_off_days")}
    data |= {"number": 99, "verification_days": 7, "review_mode": "every", "refund_decision_days": 5}
    data |= {"refund_payment_days": 5, "termination_basis": "unused", "special_terms-rows": 1}
    data |= {"special_terms-0-plan_code": "PRO\x00", "special_terms-0-notice_days": 5}
    response = mara.post(reverse("admin:cancellations_policyversion_add"), data)
    assert response.status_code == 200
    assert "U+0000" in response.content.decode() or "Null" in response.content.decode()


@pytest.mark.parametrize("text", ["%00", "a%0B", "%1b", "%EF%BF%BE", "%c2%85"])
@pytest.mark.parametrize(
    "path",
    [
        "/requests/{}/", "/requests/proof/{}/", "/local/mail/{}/", "/{}", "/policy/{}/", "/admin/{}/",
        "/admin/cancellations/hold/{}/change/",
        "/admin/billing/refund/{}/do/propose/", "/style-{}.css", "/requests/CR-1/files/{}/",
    ],
)  # fmt: skip
def test_a_path_that_holds_one_is_not_found(client, policy, path, text):
    assert client.get(path.format(text)).status_code == 404
    assert cast.at_desk(cast.staff("manager")).post(path.format(text)).status_code == 404


@pytest.mark.parametrize("text", ["%00", "a%0B", "%EF%BF%BE"])
@pytest.mark.parametrize(
    "address",
    [
        "/cancel/?kind={0}&country={0}&subscription={0}&{0}=1", "/requests/?reference={}",
        "/language/?next=/{0}&language={0}",
        "/subscriptions/cancel-by.ics?subscription={}", "/policy/compare/?before={0}&after={0}", "/signin/?next={}",
        "/admin/login/?next={}",
    ],
)  # fmt: skip
def test_a_query_that_holds_one_is_no_error(policy, address, text):
    holder = cast.subscription().account
    customer = Client()
    customer.force_login(cast.User.objects.create_user(holder.email))
    for client in (Client(), customer):
        assert client.get(address.format(text)).status_code < 500


@pytest.mark.parametrize("text", ["%00", "a%0B", "%EF%BF%BE", "%2500", "%252500"])
@pytest.mark.parametrize(
    "name", ["q", "state__exact", "after", "before", "o", "received_at__gte", "_changelist_filters"]
)
def test_lists_of_the_desk_survive_any_query(policy, name, text):
    sam, request = cast.at_desk(cast.staff("support")), cast.in_review()
    page = reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])
    assert sam.get(f"{reverse(QUERY)}?{name}={text}", follow=True).status_code == 200
    assert sam.get(f"{reverse(EXPORT, args=['csv'])}?{name}={text}").status_code in (200, 400)
    assert sam.get(f"{page}?_changelist_filters={name}%3D{text}").status_code == 200
    verb = reverse("admin:cancellations_cancellationrequest_verb", args=[request.pk, "schedule"])
    assert sam.get(f"{verb}?_changelist_filters={name}%3D{text}").status_code == 200
    assert sam.post(verb, {"list": f"{name}=%00", "words": ""}).status_code in (302, 422, 409)


def test_a_filter_is_saved_under_a_name_that_can_be_kept(policy):
    sam = cast.at_desk(cast.staff("support"))
    url = reverse("admin:cancellations_cancellationrequest_save_filter")
    assert sam.post(url, {"name": "a\x00b\nc", "query": "q=%00x"}, follow=True).status_code == 200


@pytest.mark.parametrize("value", ['"\\000aaaaaaaaaaaa"', "\x00aaaaaaaaaaaaaaaaaaa", '"\\013\\000"'])
def test_cookies_that_hold_one_are_ignored(policy, settings, value):
    names = [
        settings.SESSION_COOKIE_NAME,
        settings.CSRF_COOKIE_NAME,
        settings.LANGUAGE_COOKIE_NAME,
        "portal_messages_8000",
    ]
    header = "; ".join(f"{name}={value}" for name in names)
    for address in ("/", "/cancel/", "/subscriptions/", "/admin/", "/api/v1/requests"):
        assert Client(headers={"cookie": header}).get(address).status_code < 500


def test_a_choice_that_holds_one_is_none_of_the_choices(policy):
    first = cast.subscription()
    cast.subscription(first.account)
    customer = Client()
    customer.force_login(cast.User.objects.create_user(first.account.email))
    data = {"subscription": ["\x00"], "reason": "too_expensive", "kind": "ordinary"}
    assert customer.post("/cancel/", data).status_code == 422


def test_direction_marks_of_a_copied_number_do_not_hide_the_account(client, policy):
    subscription = cast.subscription()
    holder = subscription.account
    from cancellations.forms.cancel import GuestCancelForm
    from cancellations.rules.jurisdictions import PROFILES

    form = GuestCancelForm(
        {
            "account_number": f"\u202a{holder.account_number}\u202c",
            "username": f"\u200e{holder.username}",
            "email": f"\u202a{holder.email}\u202c",
            "name": "Zoe",
            "reason": "too_expensive",
            "words": "\u202e kept",
        },
        today=timezone.now().date() - timedelta(days=1),
        profile=PROFILES["default"],
    )
    assert form.is_valid(), form.errors
    assert form.cleaned_data["account_number"] == holder.account_number
    assert form.cleaned_data["username"] == holder.username
    assert form.cleaned_data["email"] == holder.email
    assert form.cleaned_data["words"] == "\u202e kept"


EVERYWHERE = ["a\x0bb", "a\x00b", "a\ud800b", "a\ufffeb", "a\u202eb", "a\x1b[31mb"]


@pytest.mark.parametrize("text", EVERYWHERE)
def test_the_api_answers_each_field_of_each_action_with_a_refusal(policy, text):
    request = cast.in_review()
    desk = cast.at_desk(cast.staff("manager"))
    for action, fields in {
        "decline": {"ground": "duplicate", "words": text},
        "waive-notice": {"ground": text},
        "change-kind": {"kind": "for_cause", "ground": text},
        "note": {"text": text},
    }.items():
        for data in (fields, {text: text}, dict.fromkeys(fields, text), {key: [text] for key in fields}):
            address = f"/api/v1/requests/{request.reference}/{action}"
            response = desk.post(address, json.dumps(data), content_type="application/json")
            assert response.status_code < 500, (action, data)


@pytest.mark.parametrize("text", EVERYWHERE)
def test_a_mail_is_stored_and_read_whatever_it_holds(policy, text):
    holder = cast.subscription().account
    raw = f"From: {text} <{holder.email}>\r\nSubject: {text}\r\nMessage-ID: <{text}@c>\r\n\r\nPlease cancel. {text}"
    kept = store(raw=raw.encode("utf-8", "surrogatepass"), arrived_at=cast.NOW, door=Door.COMMAND, now=cast.NOW)
    read_due(now=cast.NOW)
    mail = cast.fresh(kept)
    assert mail.state == ReadState.READ
    assert is_keepable(mail.subject + mail.sender_name + mail.text)


@pytest.mark.parametrize(
    "url", ["somewhere", "entry", "//evil.example", "https://evil.example/", "/\\evil.example", "\x00"]
)
class TestTheNextPage:
    """The parameter `next` leads to a path on this site, and to nothing else."""

    def test_of_the_language_switch(self, client, policy, url):
        assert client.get("/language/", {"language": "de", "next": url}).headers["Location"] == "/"

    def test_of_signing_out(self, client, policy, url):
        assert client.post("/signout/", {"next": url}).headers["Location"] == "/"

    def test_of_staff(self, policy, url):
        sam = cast.at_desk(cast.staff("support"))
        assert sam.get("/admin/login/", {"next": url}).headers["Location"] == "/admin/"

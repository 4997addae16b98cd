"""A customer cancels: the form, check answers, confirm; as a guest and signed in."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core import signing
from django.db import connection
from django.test import Client
from django.urls import reverse

from cancellations.forms.draft import SALT
from cancellations.letters.proof import proof_token
from cancellations.models import CancellationRequest, Receipt
from cancellations.services.enforcement import enforce
from cancellations.services.submission import verify, withdraw
from cancellations.wording.charges import words_to_come_of
from cancellations.wording.explanation import sentences
from messaging.models import OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def moment():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def policy(db):
    return cast.policy()


def guest_form(holder, **changes):
    told = {"account_number": holder.account_number, "username": holder.username, "email": holder.email}
    return told | {"reason": "too_expensive", "words": "", "step": "check"} | changes


def draft_of(response):
    return re.search(r'name="draft" value="([^"]+)"', response.content.decode())[1]


def confirm(client, response):
    return client.post("/cancel/", {"draft": draft_of(response), "step": "confirm"})


def cancel_as_guest(client, holder, **changes):
    return confirm(client, client.post("/cancel/", guest_form(holder, **changes)))


def signed_in(holder):
    client = Client()
    client.force_login(cast.customer(holder))
    return client


class TestAsAGuest:
    def test_the_request_waits_for_proof_and_counts_from_its_first_post(self, client, policy, moment):
        of = cast.subscription()
        checked = client.post("/cancel/", guest_form(of.account))
        moment.shift(timedelta(minutes=40))
        response = confirm(client, checked)
        request = CancellationRequest.objects.get()
        assert (request.state, request.received_at, request.subscription) == ("unverified", NOW, None)
        assert response.url == reverse("request_received", args=[request.reference])
        page = client.get(response.url).content.decode()
        assert request.reference in page
        assert "12 February 2026, 14:07:31 (Europe/Berlin)" in page
        (mail,) = OutgoingMessage.objects.all()
        assert (mail.kind, mail.recipient) == ("prove_address", of.account.email)

    def test_nothing_tells_whether_the_account_exists(self, policy):
        known, unknown = cast.account(), cast.account("Nobody")
        stranger = {"account_number": "AT-000000", "username": "xqzt", "email": "n1@else.example"}
        pages, letters = [], []
        for changes in ({}, stranger, {"email": "n2@else.example"}):
            client = Client()
            checked = client.post("/cancel/", guest_form(known, **changes))
            received = client.get(confirm(client, checked).url)
            given = guest_form(known, **changes)
            pages.append([_without(page, given) for page in (checked, received)])
            letters.append(_neutral(OutgoingMessage.objects.get(recipient=given["email"]).text, given))
        assert pages[0] == pages[1] == pages[2]
        assert len({re.sub(r"CR-\S+|http\S+", "", letter) for letter in letters}) == 1
        assert unknown.requests.count() == 0

    def test_the_link_opens_a_page_and_only_the_button_acts(self, client, policy):
        of = cast.subscription()
        cancel_as_guest(client, of.account)
        request = CancellationRequest.objects.get()
        link = reverse("request_proof", args=[proof_token(request)])
        scanner = Client()
        page = scanner.get(link)
        assert "Saturday, 28 February 2026" in page.content.decode()
        assert fresh(request).state == "unverified"
        reader = Client()
        assert reader.post(link).status_code == 302
        request = fresh(request)
        assert (request.state, request.subscription, request.effective_on) == ("in_review", of, date(2026, 2, 28))
        assert reader.post(link).status_code == 302  # a second press
        assert scanner.get(link).status_code == 410
        assert OutgoingMessage.objects.filter(kind="received").count() == 1

    def test_the_end_date_shown_at_the_proof_is_the_one_enforced(self, client, policy, moment):
        of = cast.subscription()
        cancel_as_guest(client, of.account)
        request = CancellationRequest.objects.get()
        link = reverse("request_proof", args=[proof_token(request)])
        moment.move_to(NOW + timedelta(days=12))
        assert Client().get(link).status_code == 410  # a week is over: the link is too old
        Client().post("/requests/", {"reference": request.reference, "email": of.account.email})
        newest = OutgoingMessage.objects.filter(kind="follow_link").get()
        link = re.search(r"http\S+?(/requests/proof/[^>\s]+)", newest.text)[1]
        assert "Saturday, 28 February 2026" in Client().get(link).content.decode()
        Client().post(link)
        enforce(now=NOW + timedelta(days=20))
        assert fresh(of).ended_on == date(2026, 2, 28)

    def test_with_several_subscriptions_the_sender_says_which(self, client, policy):
        holder = cast.account("Bob")
        cast.subscription(holder)
        second = cast.subscription(holder, plan_name="Dialer")
        cancel_as_guest(client, holder)
        request = CancellationRequest.objects.get()
        link = reverse("request_proof", args=[proof_token(request)])
        answer = client.post(link)
        assert answer.status_code == 422
        assert "Choose the subscription" in answer.content.decode()
        client.post(link, {"subscription": cast.subscription().reference})
        assert fresh(request).state == "unverified"
        client.post(link, {"subscription": second.reference})
        assert fresh(request).subscription == second

    def test_somebody_elses_address_proves_nothing_about_the_account(self, client, policy):
        of = cast.subscription()
        cancel_as_guest(client, of.account, email="mallory@else.example")
        request = CancellationRequest.objects.get()
        link = reverse("request_proof", args=[proof_token(request)])
        assert "28 February" not in client.get(link).content.decode()
        client.post(link)
        request = fresh(request)
        assert (request.state, request.account, request.effective_on) == ("in_review", None, None)
        assert of.plan_name + " ends" not in client.get(f"/requests/{request.reference}/").content.decode()

    def test_each_form_is_a_declaration_of_its_own_and_a_form_sent_twice_is_one(self, client, policy):
        holder = cast.account()
        checked = client.post("/cancel/", guest_form(holder))
        assert confirm(client, checked).url == confirm(client, checked).url
        cancel_as_guest(Client(), holder)
        assert CancellationRequest.objects.count() == 2

    def test_the_link_can_be_asked_for_again_but_not_over_and_over(self, client, policy, moment):
        cancel_as_guest(client, cast.account())
        request = CancellationRequest.objects.get()
        again = reverse("request_link", args=[request.reference])
        client.post(again)
        assert client.get(again).url == reverse("request_received", args=[request.reference])
        moment.shift(timedelta(minutes=2))
        client.post(again)
        client.post(again)
        assert OutgoingMessage.objects.filter(kind="prove_address").count() == 2


class TestSignedIn:
    def test_the_end_date_is_shown_before_and_decided_the_same(self, policy):
        of = cast.subscription()
        client = signed_in(of.account)
        page = client.get("/subscriptions/").content.decode()
        assert "18 February 2026" in page  # cancel by
        assert "6 days left" in page
        checked = client.post("/cancel/", {"subscription": of.reference, "reason": "unused", "step": "check"})
        assert "Saturday, 28 February 2026" in checked.content.decode()
        confirm(client, checked)
        request = CancellationRequest.objects.get()
        assert (request.state, request.effective_on, request.policy_version) == ("in_review", date(2026, 2, 28), policy)
        assert set(sentences(request.explanation)) <= set(_sentences(checked))

    @pytest.mark.parametrize(
        ("day", "language", "sentence"),
        [
            (12, "en", "Nothing more will be charged."),
            (20, "en", "Still to be charged: €30.00 on 28 February 2026, then nothing more."),
            (20, "de", "Es wird noch berechnet: 30,00\xa0€ am 28. Februar 2026, danach nichts mehr."),
            (20, "fr", "Reste à facturer : 30,00\xa0€ le 28 février 2026, puis plus rien."),
        ],
    )
    def test_what_will_still_be_charged_is_shown_before_and_after(self, policy, moment, day, language, sentence):
        moment.move_to(NOW.replace(day=day))
        of = cast.subscription(cast.account(language=language))
        client = signed_in(of.account)
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = language
        assert sentence in client.get("/subscriptions/").content.decode()
        checked = client.post("/cancel/", {"subscription": of.reference, "reason": "unused", "step": "check"})
        assert sentence in checked.content.decode()
        received = client.get(confirm(client, checked).url)
        assert sentence in received.content.decode()
        request = CancellationRequest.objects.get()
        page = reverse("request_status", args=[request.declaration])
        assert sentence in client.get(page).content.decode()
        assert sentence in OutgoingMessage.objects.get(kind="received").text
        assert sentence in client.get("/subscriptions/").content.decode()
        assert json.loads(Receipt.objects.get().content)["subscriptions"][0]["to_come"] == sentence
        desk = cast.at_desk(cast.staff("support"))
        shown = desk.get(reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])).content.decode()
        assert words_to_come_of(request, today=NOW.replace(day=day).date()) in shown
        withdraw(requests=[request], now=NOW.replace(day=day))
        assert sentence not in client.get(page).content.decode()

    def test_what_was_shown_before_midnight_holds_after_it(self, policy, moment):
        of = cast.subscription()
        moment.move_to(datetime(2026, 2, 18, 22, 59, 30, tzinfo=UTC))  # 23:59:30 in Berlin, on the deadline day
        client = signed_in(of.account)
        checked = client.post("/cancel/", {"subscription": of.reference, "reason": "unused", "step": "check"})
        moment.shift(timedelta(minutes=5))
        confirm(client, checked)
        assert CancellationRequest.objects.get().effective_on == date(2026, 2, 28)

    def test_every_page_tells_the_receipt_in_the_accounts_own_zone(self, policy, moment):
        of = cast.subscription(cast.account("Noor", time_zone="Asia/Bahrain"))
        moment.move_to(datetime(2026, 2, 11, 22, 24, 38, tzinfo=UTC))  # in Bahrain it is the 12th already
        client = signed_in(of.account)
        checked = client.post("/cancel/", {"subscription": of.reference, "reason": "unused", "step": "check"})
        moment.shift(timedelta(minutes=30))
        received = client.get(confirm(client, checked).url).content.decode()
        status = client.get(f"/requests/{CancellationRequest.objects.get().reference}/").content.decode()
        for page in (received, status):
            assert "12 February 2026, 01:24:38 (Asia/Bahrain)" in page
            assert "01:54:38" not in page
        assert "your cancellation on 12 February 2026" in client.get("/subscriptions/").content.decode()

    def test_a_page_left_open_for_hours_is_shown_anew(self, policy, moment):
        of = cast.subscription()
        client = signed_in(of.account)
        checked = client.post("/cancel/", {"subscription": of.reference, "reason": "unused", "step": "check"})
        moment.shift(timedelta(days=0, hours=2))
        again = confirm(client, checked)
        assert "more than an hour" in again.content.decode()
        assert not CancellationRequest.objects.exists()
        confirm(client, again)
        assert CancellationRequest.objects.get().received_at == NOW + timedelta(hours=2)

    def test_a_second_tab_finds_the_request_of_the_first(self, policy):
        of = cast.subscription()
        client = signed_in(of.account)
        form = {"subscription": of.reference, "reason": "unused", "step": "check"}
        tabs = [client.post("/cancel/", form) for _ in range(2)]
        first, second = (confirm(client, tab) for tab in tabs)
        assert first.url == second.url
        assert CancellationRequest.objects.count() == 1
        assert client.get("/cancel/").url == "/subscriptions/"

    def test_other_peoples_subscriptions_cannot_be_named(self, policy):
        mine, theirs = cast.subscription(), cast.subscription()
        client = signed_in(mine.account)
        answer = client.post("/cancel/", {"subscription": theirs.reference, "reason": "unused", "step": "check"})
        assert answer.status_code == 422
        assert "Choose one of the subscriptions shown" in answer.content.decode()

    def test_a_draft_of_somebody_elses_is_refused(self, policy):
        of, other = cast.subscription(), cast.subscription()
        checked = signed_in(of.account).post(
            "/cancel/", {"subscription": of.reference, "reason": "unused", "step": "check"}
        )
        answer = confirm(signed_in(other.account), checked)
        assert answer.url == "/cancel/"
        assert not CancellationRequest.objects.exists()

    def test_signing_in_between_keeps_the_words(self, client, policy):
        of = cast.subscription()
        checked = client.post("/cancel/", guest_form(of.account, words="Keep these words."))
        client.force_login(cast.customer(of.account))
        answer = confirm(client, checked)
        assert "Keep these words." in answer.content.decode()
        assert "check it once more" in answer.content.decode()
        assert not CancellationRequest.objects.exists()

    def test_a_draft_cannot_be_dated_back(self, client, policy):
        forged = signing.dumps({"data": {}, "received_at": "2020-01-01T00:00:00+00:00"}, key="guess", salt=SALT)
        assert client.post("/cancel/", {"draft": forged, "step": "confirm"}).url == "/cancel/"

    def test_taking_it_back_before_the_end(self, policy, moment):
        of = cast.subscription()
        request = cast.scheduled(of)
        client = signed_in(of.account)
        page = reverse("request_take_back", args=[request.reference])
        assert "continues as before" in client.get(page).content.decode()
        client.post(page)
        assert fresh(request).state == "withdrawn"
        client.post(page)  # twice
        assert OutgoingMessage.objects.filter(kind="withdrawn").count() == 1

    def test_not_after_it(self, policy, moment):
        request = cast.scheduled()
        moment.move_to(request.effective_at)  # the worker has not come by yet
        client = signed_in(request.account)
        client.post(reverse("request_take_back", args=[request.reference]))
        assert fresh(request).state == "scheduled"

    def test_an_account_without_subscriptions_and_one_without_accounts(self, policy):
        assert "nothing to cancel" in signed_in(cast.account()).get("/subscriptions/").content.decode()
        client = Client()
        client.force_login(cast.User.objects.create_user("nobody@else.example"))
        assert "We have no account with" in client.get("/subscriptions/").content.decode()


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"account_number": ""}, "Enter your account number, like"),
            ({"email": "no"}, "Enter an e-mail address, like name@example.com"),
            ({"reason": "nonsense"}, "Select a valid choice"),
            ({"reason": "other"}, "Say in a few words why you are leaving"),
            ({"requested_end": "31.02.2026"}, "Enter the date as day, month and year"),
            ({"requested_end": "2026-02-12"}, "Choose a day after today"),
            ({"requested_end": "9999-12-31"}, "within the next five years"),
            ({"words": "x" * 5001}, "Shorten your words"),
            ({"words": "a\x00b"}, "Null characters are not allowed"),
        ],
    )
    def test_each_error_says_what_to_do_and_keeps_what_was_typed(self, client, policy, changes, sentence):
        answer = client.post("/cancel/", guest_form(cast.account(), username="kept-as-typed", **changes))
        page = answer.content.decode()
        assert answer.status_code == 422
        assert sentence in page
        assert "There is a problem" in page
        assert 'value="kept-as-typed"' in page
        assert "<title>Error: " in page
        assert not CancellationRequest.objects.exists()

    def test_ten_megabytes_are_refused_in_words(self, client, policy):
        answer = client.post("/cancel/", guest_form(cast.account(), words="x" * 10_000_000))
        assert answer.status_code == 413
        assert "more than we can take" in answer.content.decode()

    def test_what_is_typed_is_shown_as_text(self, client, policy):
        page = client.post("/cancel/", guest_form(cast.account(), words="<script>alert(1)</script>")).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page

    @pytest.mark.parametrize("step", ["confirm", "edit"])
    @pytest.mark.parametrize("draft", ["", "nonsense", "a:b:c"])
    def test_a_broken_draft_begins_anew(self, client, policy, step, draft):
        assert client.post("/cancel/", {"draft": draft, "step": step}).url == "/cancel/"


class TestOtherPeople:
    @pytest.mark.parametrize("name", ["request_status", "request_received", "request_take_back"])
    def test_a_reference_alone_opens_nothing_and_tells_nothing(self, client, policy, name):
        request = cast.scheduled()
        real = client.get(reverse(name, args=[request.reference]))
        invented = client.get(reverse(name, args=["CR-2222-2222"]))
        assert real.status_code == invented.status_code == 403
        assert _neutral(real.content.decode(), {"r": request.reference}) == _neutral(
            invented.content.decode(), {"r": "CR-2222-2222"}
        )

    def test_another_customer_sees_nothing(self, policy):
        request = cast.scheduled()
        mallory = signed_in(cast.account("Mallory"))
        assert mallory.get(reverse("request_status", args=[request.reference])).status_code == 403
        mallory.post(reverse("request_take_back", args=[request.reference]))
        assert fresh(request).state == "scheduled"

    def test_the_browser_that_posted_sees_no_more_once_somebody_else_proved_it(self, client, policy):
        of = cast.subscription()
        cancel_as_guest(client, of.account)  # mallory knows number, username and address of Alice
        request = CancellationRequest.objects.get()
        Client().post(reverse("request_proof", args=[proof_token(request)]))  # Alice
        page = client.get(reverse("request_status", args=[request.reference])).content.decode()
        assert "28 February" not in page
        assert client.post(reverse("request_take_back", args=[request.reference])).status_code == 403

    def test_following_says_the_same_whether_it_fits_or_not(self, client, policy):
        request = cast.scheduled()
        before = OutgoingMessage.objects.count()
        right = client.post("/requests/", {"reference": request.reference.lower(), "email": request.email_given})
        wrong = client.post("/requests/", {"reference": "CR-2222-2222", "email": request.email_given})
        told = [re.sub(r'name="\w+" value="[^"]+"', "", page.content.decode()) for page in (right, wrong)]
        assert told[0] == told[1]
        assert OutgoingMessage.objects.count() == before + 1

    def test_staff_hold_no_accounts_as_customers(self, policy):
        holder = cast.account(email="sam@atntcrm.example")
        client = Client()
        client.force_login(cast.staff("support"))
        assert client.get("/subscriptions/").url == "/admin/"
        assert holder.account_number not in client.get("/cancel/", follow=True).content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("guest", [True, False])
def test_confirming_at_the_same_moment_makes_one_request_of_each_form(guest):
    cast.policy()
    of = cast.subscription()
    client = Client() if guest else signed_in(of.account)
    form = guest_form(of.account) if guest else {"subscription": of.reference, "reason": "unused", "step": "check"}
    drafts = [client.post("/cancel/", form) for _ in range(2)]
    cookies = client.cookies

    def press(response):
        one = Client()
        one.cookies = cookies
        try:
            return confirm(one, response).url
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        urls = set(pool.map(press, [drafts[0], drafts[0], drafts[1], drafts[1]]))
    assert len(urls) == (2 if guest else 1)  # a guest's two tabs are two declarations, counted together once proven
    assert CancellationRequest.objects.count() == len(urls)
    assert OutgoingMessage.objects.count() == len(urls)


@pytest.mark.django_db(transaction=True)
def test_a_proof_and_a_signed_in_request_at_the_same_moment_count_together():
    cast.policy()
    for _ in range(4):
        of = cast.subscription()
        request = cast.unverified(of.account)

        def act(first, of=of, request=request):
            try:
                if first:
                    verify(request=request, now=NOW)
                else:
                    cast.in_review(of)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, [True, False]))
        lead = of.requests.get(state="in_review")
        other = CancellationRequest.objects.filter(account=of.account).exclude(pk=lead.pk).get()
        assert (other.state, other.joined_to) == ("superseded", lead)
        assert fresh(request) in (lead, other)


def _neutral(page, given):
    page = re.sub(r'(name="csrfmiddlewaretoken"|name="draft") value="[^"]+"', "", page)
    page = re.sub(r"CR-[0-9A-Z]{4}-[0-9A-Z]{4}", "REF", page)
    for name in ("r", "email", "account_number", "username"):
        page = page.replace(given.get(name, "\x00"), name)
    return page


def _without(response, given):
    return _neutral(response.content.decode(), given)


def _sentences(response):
    return re.findall(r"<li>([^<]+)</li>", response.content.decode())


class TestTheCodeInsteadOfTheLink:
    """For whoever reads mail on another device than the one that asked."""

    @pytest.fixture
    def asked(self, client, policy):
        request = cast.scheduled()
        with time_machine.travel(NOW, tick=False):
            page = client.post("/requests/", {"reference": request.reference, "email": request.email_given.upper()})
        code = re.search(r"\*\*(\w{4}-\w{4})\*\*", OutgoingMessage.objects.get(kind="follow_link").text)[1]
        return request, page.context["signed_request"], code

    def enter(self, asked, code, minutes=1):
        client = Client()
        with time_machine.travel(NOW + timedelta(minutes=minutes), tick=False):
            return client.post("/requests/code/", {"signed_request": asked, "code": code}, follow=True)

    @pytest.mark.parametrize("typing", [str, str.lower, lambda code: code.replace("-", " "), lambda code: f" {code} "])
    def test_it_shows_the_request(self, asked, typing):
        request, token, code = asked
        page = self.enter(token, typing(code))
        assert page.redirect_chain[-1][0] == f"/requests/{request.reference}/"
        assert "Your subscription ends" in page.content.decode()

    def test_it_is_valid_for_ten_minutes(self, asked):
        _, token, code = asked
        assert self.enter(token, code, minutes=10).status_code == 422
        assert self.enter(token, code, minutes=9).status_code == 200

    @pytest.mark.parametrize("code", ["", "2222-2222", "x" * 41, "'; DROP", "٢٢٢٢-٢٢٢٢"])
    def test_a_wrong_one_says_what_to_do_and_keeps_what_was_typed(self, asked, code):
        page = self.enter(asked[1], code)
        assert page.status_code == 422
        assert "There is a problem" in page.content.decode()

    def test_it_opens_no_other_request(self, asked, client):
        other = cast.scheduled()
        page = client.post("/requests/", {"reference": other.reference, "email": other.email_given})
        assert self.enter(page.context["signed_request"], asked[2]).status_code == 422
        stranger = client.post("/requests/", {"reference": asked[0].reference, "email": other.email_given})
        assert self.enter(stranger.context["signed_request"], asked[2]).status_code == 422

    def test_without_having_asked_one_asks_first(self, client, policy):
        assert client.post("/requests/code/", {"signed_request": "made up", "code": "2222-2222"}).url == "/requests/"
        assert client.get("/requests/code/").url == "/requests/"

    def test_an_unproven_request_is_only_opened_and_its_button_acts(self, client, policy):
        request = cast.unverified(cast.account())
        page = client.post("/requests/", {"reference": request.reference, "email": request.email_given})
        code = re.search(r"\*\*(\w{4}-\w{4})\*\*", OutgoingMessage.objects.get(kind="follow_link").text)[1]
        shown = client.post(
            "/requests/code/", {"signed_request": page.context["signed_request"], "code": code}, follow=True
        )
        assert "Is this your cancellation?" in shown.content.decode()
        assert cast.fresh(request).state == "unverified"

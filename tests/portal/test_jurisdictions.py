"""What the law of a place makes different, sentence by sentence, and the question after the declaration."""

import html
from datetime import date, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.models import Refund
from billing.services import review as money
from cancellations.letters.proof import proof_token
from cancellations.models import CancellationRequest
from cancellations.rules.jurisdictions import COOLING_OFF, DEFAULT, PROFILES, countries_with_profile, profile_for, texts
from cancellations.rules.statute import RULES
from cancellations.services.submission import answer_question, verify
from messaging.models import OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
GERMAN = {"law": "DE", "kind": "ordinary", "step": "confirm", "requested_end": "", "cause": ""}


@pytest.fixture(autouse=True)
def _policy(db):
    cast.policy()


def _of(country: str, **fields):
    of = cast.subscription(cast.account(country=country), **fields)
    client = Client()
    client.force_login(cast.customer(of.account))
    return of, client


def _fields(page) -> list[str]:
    return [name for name in page.context["form"].fields if not page.context["form"].fields[name].widget.is_hidden]


class TestTheTable:
    @pytest.mark.parametrize(
        ("country", "profile"),
        [
            ("DE", "DE"),
            ("de", "DE"),
            ("FR", "FR"),
            ("US", "US"),
            ("GB", "UK"),
            ("AT", "AT"),
            ("NL", "NL"),
            ("be", "BE"),
            ("PT", "default"),
            ("JP", "default"),
        ],
    )
    def test_the_country_of_the_account_chooses(self, country, profile):
        assert profile_for(country, "FR").code == profile

    @pytest.mark.parametrize(
        ("region", "profile"),
        [("CA", "US-CA"), ("ca", "US-CA"), ("MN", "US-MN"), ("NY", "US-NY"), ("ma", "US-MA"), ("TX", "US"), ("", "US")],
    )
    def test_in_the_united_states_offers_are_off_unless_the_law_of_the_state_was_read(self, region, profile):
        found = profile_for("US", region=region)
        assert (found.code, found.offers) == (profile, profile == "US-CA")
        _, client = _of("US")
        account = cast.Account.objects.get()
        account.region = region.upper()
        account.save()
        assert client.get("/cancel/").context["profile"].code == profile

    def test_a_region_of_another_country_is_no_state(self):
        assert profile_for("IT", region="CA").code == "IT"

    def test_without_a_country_the_sites_default_holds(self):
        assert profile_for("").code == DEFAULT
        assert profile_for("", "DE").code == "DE"

    def test_labels_are_the_laws_own_words(self):
        labels = {code: (one.entry_label, one.confirm_label) for code, one in PROFILES.items()}
        assert labels == {
            "default": ("Cancel a subscription", "Cancel my subscription"),
            "DE": ("Verträge hier kündigen", "jetzt kündigen"),
            "FR": ("Résilier votre contrat", "Notifier la résiliation"),
            "US-CA": ("Cancel subscription", "Click to cancel"),
            **dict.fromkeys(("US", "US-NY", "US-MA", "US-MN"), ("Cancel subscription", "Click to cancel")),
            **dict.fromkeys(("NL", "IT", "ES", "AT", "BE"), ("Cancel a subscription", "Cancel my subscription")),
            "UK": ("Cancel a subscription", "Cancel my subscription"),
        }
        assert (COOLING_OFF.entry_label, COOLING_OFF.confirm_label) == (
            "Withdraw from contract here",
            "Confirm withdrawal",
        )

    def test_each_profile_but_the_default_names_its_sources(self):
        assert all(one.sources for one in PROFILES.values() if one.code != DEFAULT)
        assert all(each.source and each.read_on for each in COOLING_OFF.statements)
        sourced = [each for one in PROFILES.values() for each in one.statements if each.source]
        assert all(each.read_on and each.valid_from for each in sourced)
        assert all(source.url.startswith("https://") for one in PROFILES.values() for source in one.sources)

    def test_offers_are_forbidden_where_the_page_must_be_bare(self):
        assert {code for code, one in PROFILES.items() if one.offers} == {"default", "UK", "US-CA"}
        assert len(texts()) > 20
        assert {"DE", "FR", "GB", "US", "IS"} <= countries_with_profile()

    def test_the_page_on_the_law_says_what_holds_and_that_it_is_no_advice(self, client):
        page = client.get("/law/").content.decode()
        assert "no legal advice" in page
        assert "https://www.gesetze-im-internet.de/bgb/__312k.html" in page
        assert page.count("applies to you") == 1

    def test_it_shows_sources_days_what_changed_when_and_what_is_not_in_force(self, client):
        page = client.get("/law/").content.decode()
        uk = page[page.index("United Kingdom") : page.index("European Union and European Economic Area")]
        assert "Announced for spring 2027, not in force yet" in uk
        assert "Not verified; we do not apply it" in page
        assert "Since 1 July 2022" in page
        assert "read on 26" in page
        changes = page[page.index('id="changes"') :]
        assert changes.index("19 June 2026") < changes.index("1 March 2022")

    @pytest.mark.parametrize("code", ["DE", "NL", "FR", "IT"])
    def test_the_latest_end_by_law_is_named_with_its_source(self, client, code):
        rule = next(rule for rule in RULES if rule.country == code)
        page = html.unescape(client.get("/law/").content.decode())
        assert rule.text in page
        assert rule.url in page


class TestTheBrowserLeadsToTheFormOfThePlace:
    @pytest.mark.parametrize(
        ("accepted", "profile"),
        [
            ("de", "DE"),
            ("fr-FR,fr;q=0.9,en;q=0.8", "FR"),
            ("nl", "NL"),
            ("nl-BE", "BE"),
            ("de-AT", "AT"),
            ("it-IT", "IT"),
            ("es", "ES"),
            ("es-MX", "default"),
            ("fr-CA", "default"),
            ("en-US,de;q=0.5", "default"),
            ("pl", "default"),
            ("", "default"),
            ("*", "default"),
            ("x" * 9000, "default"),
        ],
    )
    def test_at_once_and_it_can_be_changed(self, client, accepted, profile):
        headers = {"accept-language": accepted}
        assert client.get("/cancel/", headers=headers).context["profile"].code == profile
        client.get("/?country=GB", headers=headers)
        assert client.get("/cancel/", headers=headers).context["profile"].code == "UK"

    def test_an_account_leads_to_its_country(self):
        _, client = _of("NL")
        page = client.get("/", headers={"accept-language": "de"})
        assert page.context["profile"].code == "NL"


class TestNationalWordsOfTheCoolingOffRight:
    @pytest.mark.parametrize(
        ("country", "entry", "confirm"),
        [
            ("NL", "hier de overeenkomst ontbinden", "ontbinding bevestigen"),
            ("IT", "recedere dal contratto qui", "conferma recesso"),
            ("ES", "desistir del contrato aquí", "confirmar desistimiento"),
            ("BE", "overeenkomst hier herroepen", "herroeping bevestigen"),
        ],
    )
    def test_the_button_and_the_footer_say_them(self, client, country, entry, confirm):
        home = client.get(f"/?country={country}").content.decode()
        assert home.count(entry) == 2  # its own button, and the footer
        assert "They mean: Withdraw from contract here" in home
        assert entry in client.get("/policy/").content.decode()
        answers = {"kind": "cooling_off", "law": country, "name": "J", "account_number": "A", "email": "j@else.example"}
        assert confirm in client.post("/cancel/", answers).content.decode()

    @pytest.mark.parametrize(
        ("country", "language", "words"),
        [
            ("AT", "de", "Vertrag widerrufen"),
            ("BE", "fr", "Renoncer au contrat ici"),
            ("BE", "de", "Vertrag widerrufen"),
        ],
    )
    def test_pages_in_a_language_of_the_country_use_it(self, client, country, language, words):
        assert words in client.get(f"/?country={country}", headers={"accept-language": language}).content.decode()

    def test_both_links_stand_on_every_page_of_a_guest(self, client):
        for path in ("/", "/cancel/", "/policy/", "/policy/history/", "/law/", "/requests/", "/verify/", "/signin/"):
            page = client.get(path).content.decode()
            footer = page[page.index("<footer") :]
            assert "Cancel a subscription" in footer, path
            assert "Withdraw from contract here" in footer, path


class TestChosen:
    def test_a_guest_by_the_country_given_then_remembered(self, client):
        assert client.get("/cancel/").context["profile"].code == "default"
        assert "Verträge hier kündigen" in client.get("/?country=DE").content.decode()
        assert client.get("/cancel/").context["profile"].code == "DE"
        client.get("/?country=ZZ")
        assert client.get("/cancel/").context["profile"].code == "default"

    @pytest.mark.parametrize("nonsense", ["XX", "de", "DE'--", "D" * 5000])
    def test_nonsense_is_no_country(self, client, nonsense):
        page = client.get("/", {"country": nonsense})
        assert page.context["profile"].code == "default"
        assert not page.cookies

    def test_the_site_has_a_default_of_its_own(self, client, settings):
        settings.JURISDICTION = "FR"
        assert client.get("/cancel/").context["profile"].code == "FR"
        assert client.get("/cancel/?country=ZZ").context["profile"].code == "default"

    def test_an_account_holder_by_the_account_whatever_the_page_says(self):
        of, client = _of("GB")
        posted = {"subscription": of.reference, "reason": "unused", "law": "DE"}
        assert client.post("/cancel/?country=FR", posted).context["profile"].code == "UK"

    def test_a_form_that_was_begun_stays_what_it_is(self, client):
        client.get("/?country=FR")
        posted = {"law": "default", "account_number": "AT-1", "username": "x", "email": "x@else.example"}
        page = client.post("/cancel/", {**posted, "reason": "unused"})
        assert page.context["form"].profile.code == "default"


class TestDefault:
    def test_fields_are_exactly_those(self, client):
        page = client.get("/cancel/")
        assert _fields(page) == [
            "account_number", "username", "email", "reason", "words", "requested_end", "refund_reason",
        ]  # fmt: skip

    def test_signed_in_it_is_three_pages_and_five_inputs(self):
        of, client = _of("AT")
        form = client.get("/cancel/").content.decode()
        page = client.get("/cancel/")
        assert len(_fields(page)) == 5
        check = client.post("/cancel/", {"subscription": of.reference, "reason": "unused"})
        assert "Cancel my subscription" in check.content.decode()
        done = client.post("/cancel/", {"draft": check.context["draft"], "step": "confirm"}, follow=True)
        assert "We received your cancellation" in done.content.decode()
        assert form


class TestGermany:
    def test_the_fields_are_exactly_those_and_nothing_else_is_on_the_page(self, client):
        page = client.get("/cancel/?country=DE")
        html = page.content.decode()
        assert _fields(page) == ["kind", "cause", "name", "account_number", "requested_end", "email"]
        assert ">jetzt kündigen<" in html.replace('<span lang="de" dir="ltr">', "").replace("</span>", "")
        for nothing in ("<nav", "<footer", "<aside", "offer", "Sign in", "Withdraw"):
            assert nothing not in html

    def test_a_guest_declares_on_one_page_and_can_keep_it_with_date_and_time(self, client):
        of = cast.subscription(cast.account(country="DE"))
        page = client.get("/cancel/?country=DE")
        with time_machine.travel(cast.NOW, tick=False):
            answers = {
                **GERMAN,
                "name": "Jürgen Groß",
                "account_number": of.reference.lower(),
                "email": of.account.email,
            }
            sent = client.post("/cancel/", {**answers, "draft": page.context["draft"], "language": ""})
            again = client.post("/cancel/", {**answers, "draft": page.context["draft"]})
            request = CancellationRequest.objects.get()
            kept = client.get(f"/requests/{request.reference}/declaration.txt")
        assert sent.url == again.url == f"/requests/{request.reference}/received/"
        assert (request.name_given, request.jurisdiction, request.received_at) == ("Jürgen Groß", "DE", cast.NOW)
        assert (request.reason, request.username_given) == ("", "")
        text = kept.content.decode()
        assert "12 February 2026, 14:07:31 (Europe/Berlin)" in text
        assert "Jürgen Groß" in text
        assert "attachment" in kept.headers["Content-Disposition"]
        mail = OutgoingMessage.objects.get()
        assert "12 February 2026, 14:07:31" in mail.text
        assert "- Name: Jürgen Groß" in mail.text
        assert "- Requested end date: as early as possible" in mail.text
        with time_machine.travel(cast.NOW + timedelta(hours=1), tick=False):
            client.post(reverse("request_proof", args=[proof_token(request)]))
        request = cast.fresh(request)
        assert (request.subscription, request.effective_on) == (of, date(2026, 2, 28))
        mail = OutgoingMessage.objects.get(kind="received")
        assert "ends on **28 February 2026**" in mail.text

    def test_other_answers_after_a_look_back_are_another_declaration(self, client):
        page = client.get("/cancel/?country=DE")
        answers = {**GERMAN, "name": "J", "email": "j@else.example", "draft": page.context["draft"]}
        for number in ("AT-1", "AT-2", "AT-2"):
            client.post("/cancel/", {**answers, "account_number": number})
        assert CancellationRequest.objects.count() == 2

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"kind": "for_cause"}, "Say why you have to leave at once"),
            ({"name": " "}, "Enter your name"),
            ({"account_number": ""}, "Enter your account number"),
            ({"email": "x"}, "Enter an e-mail address"),
            ({"requested_end": "31.02.2027"}, "Enter the date as day"),
            ({"kind": "cooling_off_x"}, "Choose one of these"),
        ],
    )
    def test_each_error_keeps_what_was_typed_on_the_same_page(self, client, changes, told):
        answers = {**GERMAN, "name": "J", "account_number": "AT-1", "email": "j@else.example"}
        page = client.post("/cancel/", {**answers, **changes})
        assert page.status_code == 422
        assert page.templates[0].name == "portal/one_page.html"
        assert told in page.content.decode()
        assert page.content.decode().count('value="AT-1"') == (changes.get("account_number", "AT-1") != "")
        assert not CancellationRequest.objects.exists()

    def test_for_cause_carries_its_ground_and_no_wished_end(self, client):
        answers = {**GERMAN, "kind": "for_cause", "cause": "Data lost", "requested_end": "2099-01-01"}
        page = client.post("/cancel/", {**answers, "name": "J", "account_number": "AT-1", "email": "j@else.example"})
        assert page.status_code == 422  # a day that far away is refused on its own
        answers["requested_end"] = ""
        client.post("/cancel/", {**answers, "name": "J", "account_number": "AT-1", "email": "j@else.example"})
        request = CancellationRequest.objects.get()
        assert (request.kind_declared, request.cause, request.requested_end) == ("for_cause", "Data lost", None)
        assert "Data lost" in OutgoingMessage.objects.get().text

    def test_for_cause_with_a_requested_end_keeps_both(self, client):
        wish = timezone.localdate() + timedelta(days=60)
        answers = {**GERMAN, "kind": "for_cause", "cause": "Data lost", "requested_end": wish.isoformat()}
        client.post("/cancel/", {**answers, "name": "J", "account_number": "AT-1", "email": "j@else.example"})
        request = CancellationRequest.objects.get()
        assert (request.cause, request.requested_end) == ("Data lost", wish)
        kept = client.get(f"/requests/{request.reference}/declaration.txt").content.decode()
        assert "Data lost" in kept
        assert "- Requested end date:" in kept

    def test_what_belongs_to_the_other_kind_is_not_declared(self, client):
        answers = {**GERMAN, "kind": "ordinary", "cause": "Typed, then changed my mind"}
        client.post("/cancel/", {**answers, "name": "J", "account_number": "AT-1", "email": "j@else.example"})
        assert CancellationRequest.objects.get().cause == ""

    def test_signed_in_it_needs_one_button(self):
        of, client = _of("DE")
        page = client.get("/cancel/")
        assert _fields(page) == ["kind", "cause", "subscription", "requested_end"]
        assert of.account.email in page.content.decode()
        wish = (timezone.localdate() + timedelta(days=100)).strftime("%d.%m.%Y")
        posted = {**GERMAN, "subscription": of.reference, "requested_end": wish, "draft": page.context["draft"]}
        done = client.post("/cancel/", posted, follow=True)
        request = CancellationRequest.objects.get()
        assert request.effective_on >= timezone.localdate() + timedelta(days=100)
        assert "We received your cancellation" in done.content.decode()

    def test_the_law_in_its_own_words_is_explained_to_who_reads_another_language(self, client):
        page = client.get("/cancel/?country=DE").content.decode()
        assert '<span lang="de" dir="ltr">jetzt kündigen</span>' in page
        assert "They mean: Cancel my subscription" in page
        german = client.get("/cancel/?country=DE", headers={"accept-language": "de"}).content.decode()
        assert "Diese Worte verlangt" not in german


def test_nothing_but_the_one_page_declares_without_a_check(client):
    answers = {"step": "confirm", "kind": "ordinary", "law": "FR", "name": "J", "account_number": "AT-1"}
    page = client.post("/cancel/", {**answers, "email": "j@else.example"})
    assert page.templates[0].name == "portal/check.html"
    assert not CancellationRequest.objects.exists()


class TestFrance:
    def test_a_summary_that_allows_changes_then_the_notice(self, client):
        page = client.get("/cancel/?country=FR")
        assert _fields(page) == ["name", "account_number", "email", "requested_end"]
        answers = {"law": "FR", "name": "SARL Dupont", "account_number": "AT-1", "email": "d@else.example"}
        check = client.post("/cancel/", answers)
        shown = check.content.decode()
        assert "Notifier la résiliation" in shown
        for what in ("SARL Dupont", "AT-1", "d@else.example"):
            assert what in shown
        assert shown.count('form="again"') >= 4
        client.post("/cancel/", {"draft": check.context["draft"], "step": "confirm"})
        request = CancellationRequest.objects.get()
        assert (request.jurisdiction, request.name_given, request.reason) == ("FR", "SARL Dupont", "")

    def test_a_ground_only_where_the_law_needs_one(self, client):
        assert _fields(client.get("/cancel/?country=FR&kind=for_cause")) == ["name", "account_number", "email", "cause"]


class TestCaliforniaAndUnitedKingdom:
    def test_the_reason_is_optional(self, client):
        answers = {"law": "US-CA", "account_number": "AT-1", "username": "x", "email": "x@else.example"}
        check = client.post("/cancel/", answers)
        assert "Click to cancel" in check.content.decode()
        assert "None given" in check.content.decode()

    def test_the_notice_of_the_end_comes_with_the_confirmation(self):
        of = cast.subscription(cast.account(country="GB"))
        cast.in_review(of, jurisdiction="UK")
        mail = OutgoingMessage.objects.get(kind="received")
        assert "This is your end-of-contract notice." in mail.text
        assert mail.created_at - cast.NOW < timedelta(hours=24)
        cast.in_review(cast.subscription())
        other = OutgoingMessage.objects.exclude(pk=mail.pk).get(kind="received")
        assert "end-of-contract" not in other.text


class TestCoolingOff:
    def test_a_guest_gives_name_contract_and_address_and_confirms(self, client):
        page = client.get("/cancel/?kind=cooling_off")
        assert _fields(page) == ["name", "account_number", "email"]
        answers = {"kind": "cooling_off", "name": "A", "account_number": "AT-1", "email": "a@else.example"}
        assert "Confirm withdrawal" in client.post("/cancel/", answers).content.decode()
        german = {"accept-language": "de"}
        assert "Vertrag widerrufen" in client.get("/", headers=german).content.decode()
        assert "Widerruf bestätigen" in client.post("/cancel/", answers, headers=german).content.decode()

    def test_signed_in_nothing_is_asked_again_and_only_within_the_days(self):
        today = timezone.localdate()
        of, client = _of("DE", started_on=today - timedelta(days=13), billing_anchor=today - timedelta(days=13))
        assert "Withdraw from contract here" in client.get("/subscriptions/").content.decode()
        assert _fields(client.get("/cancel/?kind=cooling_off")) == ["subscription"]
        over = today - timedelta(days=15)
        type(of).objects.filter(pk=of.pk).update(started_on=over, billing_anchor=over)
        assert "Withdraw from contract here" not in client.get("/subscriptions/").content.decode()
        assert client.get("/cancel/?kind=cooling_off").url == "/subscriptions/"

    @pytest.mark.parametrize(("country", "law"), [("AT", True), ("GB", True), ("US", False)])
    def test_the_money_is_due_within_fourteen_days_by_law(self, country, law):
        start = date(2026, 2, 10)
        of = cast.subscription(cast.account(country=country), started_on=start, billing_anchor=start)
        cast.payment(of, start, date(2026, 3, 10))
        policy = cast.policy(refund_decision_days=20, refund_payment_days=20)
        assert policy
        cast.in_review(of, kind="cooling_off", reason="", words="")
        cast.pass_time(cast.NOW + timedelta(minutes=1))
        refund = Refund.objects.get()
        last = date(2026, 2, 26)  # received on 12 February
        assert refund.pay_by_on == (last if law else None)
        assert (refund.decision_due_on <= last) == law
        fiona, frank = cast.staff("finance"), cast.staff("finance", "Frank")
        money.propose(refund=refund, by=fiona, basis="full", now=cast.NOW)
        approved = money.approve(refund=cast.fresh(refund), by=frank, now=cast.NOW)
        assert (approved.payment_due_on <= last) == law


class TestOffers:
    @pytest.fixture(autouse=True)
    def _offer(self, settings):
        settings.OFFER_TEXT, settings.OFFER_URL = "Three months at half the price.", "https://atntcrm.com/stay"

    def test_one_on_the_entry_page_with_two_equal_buttons(self, client):
        page = client.get("/").content.decode()
        assert page.count("Three months at half the price.") == 1
        assert page.count('class="btn btn-primary btn-lg"') == 3
        assert "Three months" not in client.get("/cancel/").content.decode()

    @pytest.mark.parametrize("country", ["DE", "FR"])
    def test_never_where_the_law_forbids_it(self, client, country):
        assert "Three months" not in client.get("/", {"country": country}).content.decode()

    def test_off_by_default(self, client, settings):
        settings.OFFER_TEXT = ""
        assert "Or stay" not in client.get("/").content.decode()


class TestTheQuestionAfterwards:
    def _declared(self):
        of, client = _of("FR")
        return cast.in_review(of, reason="", words="", jurisdiction="FR"), client

    def test_it_comes_after_the_declaration_and_can_be_skipped(self):
        request, client = self._declared()
        page = client.get(f"/requests/{request.reference}/received/").content.decode()
        assert "One question, if you like" in page
        assert "Skip" in page
        sent = client.post(
            f"/requests/{request.reference}/question/", {"survey_reason": "unused", "survey_words": "So."}
        )
        assert sent.url == f"/requests/{request.reference}/"
        request = cast.fresh(request)
        assert (request.survey_reason, request.survey_words, request.reason) == ("unused", "So.", "")
        assert "One question" not in client.get(f"/requests/{request.reference}/received/").content.decode()
        assert answer_question(request=request, survey_reason="other", survey_words="") is False

    def test_an_empty_answer_says_what_to_do(self):
        request, client = self._declared()
        page = client.post(f"/requests/{request.reference}/question/", {"survey_words": "Kept words"})
        assert page.status_code == 422
        assert "Choose a reason, or skip the question" in page.content.decode()
        assert "Kept words" in page.content.decode()

    def test_who_gave_a_reason_is_not_asked_again(self):
        of, client = _of("AT")
        request = cast.in_review(of)
        assert "One question" not in client.get(f"/requests/{request.reference}/received/").content.decode()
        client.post(f"/requests/{request.reference}/question/", {"survey_reason": "unused"})
        assert cast.fresh(request).survey_reason == ""

    def test_nobody_else_answers(self, client):
        request, _ = self._declared()
        assert client.post(f"/requests/{request.reference}/question/", {"survey_reason": "unused"}).status_code == 403


def test_a_subscription_number_finds_the_subscription_and_no_other():
    holder = cast.account(country="DE")
    one, other = cast.subscription(holder), cast.subscription(holder)
    request = cast.unverified(holder, username="", account_number=other.reference.lower(), jurisdiction="DE")
    verify(request=request, now=cast.NOW)
    assert cast.fresh(request).subscription == other
    assert one.requests.count() == 0


@pytest.mark.parametrize("finds", [True, False])
def test_beside_a_subscription_number_the_username_has_to_fit(finds):
    of = cast.subscription()
    username = f" {of.account.username.upper()}" if finds else "somebody"
    request = cast.unverified(of.account, username=username, account_number=f" {of.reference.lower()}")
    verify(request=request, now=cast.NOW)
    assert cast.fresh(request).subscription == (of if finds else None)


def test_the_form_says_that_the_number_of_a_subscription_works(client):
    hint = "The number of a subscription works too."
    for country in ("GB", "DE", "FR", "US"):
        client.get("/", {"country": country})
        assert hint in client.get("/cancel/", headers={"accept-language": "en"}).content.decode()


def test_a_subscription_number_with_somebody_elses_address_finds_nothing():
    theirs, holder = cast.subscription(), cast.account(country="DE")
    request = cast.unverified(holder, username="", account_number=theirs.reference, jurisdiction="DE")
    verify(request=request, now=cast.NOW)
    assert cast.fresh(request).subscription is None

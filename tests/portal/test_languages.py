"""Everything a customer reads, in each language: catalogues, mails, receipts, the choice of the language."""

import re
from datetime import date, timedelta
from html import unescape
from html.parser import HTMLParser

import pytest
import time_machine
from django.conf import settings as configured
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from billing.services import review as money
from cancellations.letters.proof import proof_token
from cancellations.models import CancellationRequest, DeclineGround, Receipt
from cancellations.rules.explanation import SENTENCES
from cancellations.services.review import decline, schedule
from cancellations.services.submission import verify, withdraw
from cancellations.wording.explanation import sentences
from config.tools import catalogues
from messaging.models import OutgoingMessage
from messaging.wording import language_for
from tests import cast, pseudo

pytestmark = pytest.mark.django_db
MAILS = configured.BASE_DIR / "templates" / "messages"


@pytest.mark.parametrize("language", ["de", "fr"])
class TestCatalogues:
    def test_nothing_is_left_to_translate(self, language):
        assert catalogues.missing(catalogues.load(language)) == []

    def test_what_is_loaded_is_what_was_written(self, language):
        loaded = catalogues._file(language, "mo").read_bytes()
        assert loaded == catalogues.compiled(catalogues.load(language)), "Run: manage.py translations"

    def test_nothing_is_kept_that_no_page_says_any_more(self, language):
        known = {message.id for message in catalogues.load(language) if message.id}
        assert known == {message.id for message in catalogues.template_catalogue() if message.id}

    def test_each_mail_says_the_same_with_the_same_figures(self, language):
        ours = sorted(path.name for path in (MAILS / "en").iterdir() if not path.name.startswith("staff_"))
        assert sorted(path.name for path in (MAILS / language).iterdir()) == ours
        for name in ours:
            told, translated = ((MAILS / folder / name).read_text() for folder in ("en", language))
            assert re.match(r"({% if .+ %}\s+)?Subject: ", translated), name
            assert _figures(told) == _figures(translated), name
            assert told != translated


def _figures(source: str) -> tuple[set[str], set[str]]:
    return set(re.findall(r"{{ ?([\w.]+)", source)), set(re.findall(r"{% (?:el)?if (.+?) %}", source))


def test_a_catalogue_that_lacks_a_text_or_a_figure_is_found():
    catalogue = catalogues.load("de")
    catalogue.get("Nothing more will be charged.").string = ""
    catalogue.get("%(plan)s ends at once.").string = "Endet sofort."
    assert catalogues.missing(catalogue) == ["%(plan)s ends at once.", "Nothing more will be charged."]


class TestChoice:
    def test_the_browser_then_the_account_then_the_switch_decide(self, client):
        cast.policy()
        german, french = {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}, {"accept-language": "fr"}
        assert '<html lang="en-gb">' in _page(client, "/", {"accept-language": "nl"})
        assert '<html lang="de">' in _page(client, "/", german)
        client.force_login(cast.customer(cast.account(language="fr-CH")))
        assert '<html lang="fr">' in _page(client, "/subscriptions/", german)
        answer = client.get("/language/", {"language": "de", "next": "/policy/?x=1"})
        assert answer.url == "/policy/?x=1"
        assert '<html lang="de">' in _page(client, "/subscriptions/", french)

    @pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
    def test_the_switch_leads_nowhere_else(self, client, elsewhere):
        assert client.get("/language/", {"language": "de", "next": elsewhere}).url == "/"

    def test_an_unknown_language_is_not_remembered(self, client):
        assert not client.get("/language/", {"language": "xx", "next": "/"}).cookies

    def test_what_was_typed_stays_when_the_language_changes(self, client):
        cast.policy()
        page = client.post("/cancel/", {"username": "alice<b>", "reason": "other", "language": "de"})
        shown = page.content.decode()
        assert '<html lang="de">' not in shown or "Benutzername" in shown
        assert 'value="alice&lt;b&gt;"' in shown
        assert "Warum gehen Sie?" in shown
        assert "Es gibt ein Problem" not in shown
        assert '<html lang="de">' in _page(client, "/cancel/", {})

    def test_the_check_page_keeps_its_place(self, client):
        of = cast.subscription()
        cast.policy()
        client.force_login(cast.customer(of.account))
        with time_machine.travel(cast.NOW, tick=False):
            page = client.post("/cancel/", {"subscription": of.reference, "reason": "unused"})
            again = {"draft": page.context["draft"], "step": "edit", "language": "de"}
            shown = client.post("/cancel/", again).content.decode()
        assert "Prüfen Sie, bevor Sie kündigen" in shown
        assert "Samstag, 28. Februar 2026" in shown

    def test_staff_read_the_portals_own_language(self, client):
        cast.policy()
        cast.at_desk(cast.staff("support"), client)
        page = _page(client, "/admin/cancellations/cancellationrequest/", {"accept-language": "de"})
        assert '<html lang="en-gb"' in page

    @pytest.mark.parametrize(
        ("tag", "language"),
        [
            ("de", "de"),
            ("de-AT", "de"),
            ("DE_ch", "de"),
            ("fr", "fr"),
            ("en-US", "en-gb"),
            ("nl", "en-gb"),
            ("", "en-gb"),
        ],
    )
    def test_the_nearest_language_is_spoken(self, tag, language):
        assert language_for(tag) == language


def _page(client: Client, path: str, headers: dict[str, str]) -> str:
    return client.get(path, headers=headers).content.decode()


class TestGerman:
    def test_mails_receipt_and_working_are_in_the_language_of_the_page(self):
        request = cast.in_review(language="de", requested_end=date(2026, 4, 15))
        mail = OutgoingMessage.objects.get(kind="received")
        assert mail.subject == f"Ihre Kündigung {request.reference} ist eingegangen"
        assert "Der nächste Abrechnungstag danach ist der 28. Februar 2026." in mail.text
        assert "- Grund: Es kostet zu viel" in mail.text
        assert 'lang="de"' in mail.html
        content = Receipt.objects.get().content
        assert "endet" in content
        assert "Es kostet zu viel" in content

    def test_what_is_kept_is_told_in_any_language(self):
        request = cast.in_review(language="de")
        told = {}
        for language in ("en-gb", "de", "fr"):
            with translation.override(language):
                told[language] = sentences(request.explanation)
        assert told["en-gb"][-1] == "Your subscription ends on that billing date, 28 February 2026."
        assert told["de"][-1] == "Ihr Abonnement endet an diesem Abrechnungstag, dem 28. Februar 2026."
        assert told["fr"][-1] == "Votre abonnement prend fin à cette date de facturation, le 28 février 2026."

    def test_sentences_kept_by_the_first_version_of_the_portal_stay(self):
        with translation.override("de"):
            assert sentences(["We received your request on 1 May 2025."]) == ["We received your request on 1 May 2025."]

    def test_each_sentence_has_its_figures_in_each_language(self):
        figures = {name: date(2026, 2, 28) for name in re.findall(r"%\((\w+)\)s", str(SENTENCES))}
        for language in ("en-gb", "de", "fr"):
            with translation.override(language):
                for tells in SENTENCES:
                    for days in (0, 1, 2, 21):
                        kept = {name: day.isoformat() for name, day in figures.items()} | {"days": days}
                        (told,) = sentences([[tells, kept]])
                        assert "%(" not in told

    def test_the_refund_letters_and_the_staff_speak_each_their_own(self):
        refund = cast.refund_requested()
        type(refund).objects.filter(pk=refund.pk).update(language="de-AT")
        money.propose(refund=cast.fresh(refund), by=cast.staff("finance"), basis="unused", now=cast.NOW)
        mail = OutgoingMessage.objects.get(kind="refund_proposed")
        assert mail.subject == "Vorschlag für Ihre Erstattung: 20,00 €"
        assert "20 von 30 Tagen nicht genutzt" in mail.text

    def test_the_termination_letter_speaks_the_accounts_language(self):
        cast.terminated(cast.account(language="fr"))
        assert OutgoingMessage.objects.get(kind="terminated").subject.startswith("Nous mettons fin à votre compte")


class Seen(HTMLParser):
    """The text that a reader sees or hears, without what is said to be in another language."""

    VOID = {"meta", "link", "input", "br", "img", "hr"}
    SPOKEN = {"aria-label", "placeholder", "alt", "title"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        foreign = tag != "html" and "lang" in told
        if tag not in self.VOID:
            self.open.append((tag, foreign or tag in ("style", "script", "code")))
        if not self._hidden():
            self.texts += [told[name] for name in self.SPOKEN if told.get(name)]
            if tag == "meta" and told.get("name") == "description":
                self.texts.append(told["content"])

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if data.strip() and not self._hidden():
            self.texts.append(data)

    def _hidden(self) -> bool:
        return any(hidden for _, hidden in self.open)


DATA = re.compile(
    r"⟦[^⟧]*⟧|[\w.+-]+@[\w.-]+|CR-[\w-]+|RF-[\w-]+|SUB-\d+|PAY-\d+|AT-\d+|atntcrm|Europe/Berlin|UTC|Team|Alice|alice\d+|"
    r"https?://\S+|\bMB\b|\.pdf|\.txt|name@example\.com|PDF|JSON"
)
OUR_WORDS = {"Because", "too", "dear", "EUR", "JPY", "BHD", "SHA"}  # what the customers and staff of these tests write


def untranslated(page: str) -> list[str]:
    seen = Seen()
    seen.feed(page)
    left = [DATA.sub(" ", unescape(text)) for text in seen.texts]
    words = {word for text in left for word in re.findall(r"[A-Za-zÀ-ÿ]{3,}", text)}
    return sorted(words - OUR_WORDS)


@pytest.fixture
def mirrored(settings, tmp_path):
    settings.LANGUAGES = [*settings.LANGUAGES, (pseudo.CODE, "Pseudo")]
    settings.LOCALE_PATHS = [*settings.LOCALE_PATHS, pseudo.write(tmp_path / "pseudo")]
    yield
    cache.clear()


class TestPseudoLocale:
    """Each page once in a language in which translated words can be told from others."""

    def check(self, client: Client, path: str, status: int = 200, post: dict | None = None) -> None:
        client.cookies[configured.LANGUAGE_COOKIE_NAME] = pseudo.CODE
        answer = client.get(path) if post is None else client.post(path, post)
        page = answer.content.decode()
        assert answer.status_code == status, path
        assert '<html lang="ar-xb" dir="rtl">' in page
        assert untranslated(page) == [], path

    @pytest.fixture(autouse=True)
    def _set_up(self, mirrored, settings):
        settings.LOCAL_RUN = False
        cast.policy(notice_days=10)
        cast.policy(notice_days=3)

    def test_pages_for_everybody(self, client):
        for path in ("/", "/cancel/", "/cancel/?kind=for_cause", "/cancel/?kind=cooling_off", "/cancel/?country=FR",
                     "/cancel/?country=DE", "/cancel/?country=US", "/requests/", "/policy/", "/policy/1/",
                     "/policy/history/", "/policy/compare/1/2/", "/policy/compare/2/1/", "/law/", "/verify/",
                     "/signin/"):  # fmt: skip
            self.check(Client(), path)
        self.check(client, "/requests/proof/broken/", 410)
        self.check(client, "/nothing/", 404)
        self.check(client, "/policy/", 405, post={})
        self.check(client, "/requests/CR-2222-2222/", 403)

    def test_errors_and_answers(self, client):
        for path in ("/cancel/", "/cancel/?country=US", "/requests/", "/verify/"):
            self.check(client, path, 422, post={"x": "y"})
        self.check(client, "/cancel/", 422, post={"reason": "other", "email": "x", "requested_end": "2020-01-01"})
        self.check(client, "/cancel/", 422, post={"step": "confirm", "law": "DE", "kind": "for_cause"})
        self.check(client, "/verify/", 200, post={"reference": "CR-2222-2222", "seal": "0" * 64})
        self.check(client, "/requests/", 200, post={"reference": "CR-2222-2222", "email": "a@customer.example"})
        self.check(client, "/signin/", 200, post={"email": "x"})
        client.post("/signin/", {"email": "alice1@customer.example"})
        self.check(client, "/signin/code/")
        self.check(client, "/signin/code/", 200, post={"action": "verify"})

    def test_the_way_of_a_guest(self, client):
        holder = cast.subscription().account
        answers = {"account_number": holder.account_number, "username": holder.username, "email": holder.email,
                   "reason": "unused", "requested_end": "", "refund_reason": "Because"}  # fmt: skip
        for kind in ("ordinary", "cooling_off", "for_cause"):
            self.check(client, "/cancel/", 200, post={**answers, "name": "Alice", "kind": kind, "cause": "Because"})
        page = client.post("/cancel/", answers)
        sent = client.post("/cancel/", {"draft": page.context["draft"], "step": "confirm"})
        request = CancellationRequest.objects.get()
        assert request.language == "ar"
        self.check(client, sent.url)
        self.check(client, f"/requests/{request.reference}/")
        client.cookies[configured.LANGUAGE_COOKIE_NAME] = pseudo.CODE
        kept = client.get(f"/requests/{request.reference}/declaration.txt").content.decode()
        assert untranslated(kept) == []
        self.check(Client(), reverse("request_proof", args=[proof_token(request)]))

    def test_the_pages_of_a_customer(self, client):
        holder = cast.account()
        running, trial = cast.subscription(holder), cast.subscription(holder, trial_ends_on=date(2099, 1, 1))
        cast.subscription(holder, ended_on=date(2025, 5, 31), ended_by="crm")
        cast.subscription(holder, quantity=5, interval_count=3, started_on=date.today(), billing_anchor=date.today())
        cast.payment(running, date(2026, 1, 31), date(2026, 2, 28))
        client.force_login(cast.customer(holder))
        for path in (
            "/subscriptions/",
            "/your-data/",
            "/cancel/",
            "/cancel/?kind=cooling_off",
            "/signout/",
            "/passkeys/",
            "/passkeys/add/",
        ):
            self.check(client, path)
        both = {"subscription": [running.reference, trial.reference], "reason": "unused"}
        self.check(client, "/cancel/", 200, post=both)
        several = cast.of_several(running, trial, at=timezone.now(), refund_wanted=True, refund_reason="Because")[0]
        for tail in ("", "received/", "take-back/", "files/"):
            self.check(client, f"/requests/{several.declaration}/{tail}")
        self.check(client, "/subscriptions/")
        self.check(client, f"/requests/{several.declaration}/files/", 422, post={})
        self.check(client, f"/requests/{several.declaration}/take-back/", 422, post={})
        page = client.get("/your-data/").content.decode()
        names = re.findall(r"<dt>(.*?)</dt>|<summary>(.*?)</summary>", page)
        assert len(names) > 60
        assert [name for name in names if untranslated(" ".join(name))] == []

    def test_each_state_of_a_request(self, client):
        holder = cast.account()
        client.force_login(cast.customer(holder))
        support = cast.staff("support")

        def declared(**given):
            of = cast.subscription(holder)
            cast.payment(of, date(2026, 1, 31), date(2026, 3, 31))
            return cast.in_review(of, **given)

        withdrawn, declined, late = declared(), declared(), declared(at=cast.NOW + timedelta(days=8))
        withdraw(requests=[withdrawn], now=cast.NOW)
        decline(request=declined, by=support, ground=DeclineGround.DUPLICATE, now=cast.NOW, words="Because")
        caused = declared(kind="for_cause", cause="Because", reason="", words="")
        ended = schedule(request=declared(), by=support, now=cast.NOW)
        expired, unmatched = cast.unverified(holder), cast.proven_but_unmatched()
        verify(request=expired, now=cast.NOW)
        assert unmatched
        for request in (withdrawn, declined, late, caused, ended):
            for tail in ("", "received/"):
                self.check(client, f"/requests/{request.reference}/{tail}")
        self.check(client, f"/requests/{caused.reference}/question/", 422, post={})
        cast.pass_time(cast.NOW + timedelta(days=200))
        self.check(client, f"/requests/{ended.reference}/")
        cast.terminated(holder, at=cast.NOW + timedelta(days=201))
        self.check(client, f"/requests/{late.reference}/")

"""Several people at one queue: claiming, notes, who else looks, what changed meanwhile, what comes next."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Presence, SavedFilter
from cancellations.models import CancellationRequest
from cancellations.queries.requests import timeline_for_customer
from cancellations.services.common import RequestRefused
from cancellations.services.handling import add_note, ask_again, assign, claim
from messaging.models import CannedReply, OutgoingMessage
from tests import cast
from tests.cast import NOW, fresh
from tests.desk.test_review import at_desk, url

pytestmark = pytest.mark.django_db
QUEUE = "admin:cancellations_cancellationrequest_changelist"


@pytest.fixture
def sam(db):
    return at_desk(cast.staff("support"))


@pytest.fixture
def mara(db):
    return at_desk(cast.staff("manager"))


def seen_in(page):
    return page.context["seen"]


def looking(row):
    return reverse("admin:cancellations_cancellationrequest_looking", args=[row.pk])


class TestHandling:
    def test_claimed_released_assigned(self, sam):
        request, me, mara = cast.in_review(), cast.staff("support"), cast.staff("manager")
        sam.post(url(request, "claim"), {})
        assert fresh(request).assigned_to == me
        assert me.name in sam.get(reverse(QUEUE)).content.decode()
        sam.post(url(request, "release"), {})
        assert fresh(request).assigned_to is None
        sam.post(url(request, "assign"), {"to": mara.pk})
        assert fresh(request).assigned_to == mara

    def test_what_somebody_has_is_not_claimed_away(self, db):
        request, sam, mara = cast.in_review(), cast.staff("support"), cast.staff("manager")
        claim(request=request, by=mara, now=NOW)
        with pytest.raises(RequestRefused, match="assigned to Mara"):
            claim(request=request, by=sam, now=NOW)
        assign(request=request, to=sam, by=sam, now=NOW)
        assert fresh(request).assigned_to == sam

    def test_only_to_people_who_work_on_requests(self, sam):
        request, fiona = cast.in_review(), cast.staff("finance")
        with pytest.raises(RequestRefused, match="may not work on requests"):
            assign(request=request, to=fiona, by=cast.staff("support"), now=NOW)
        assert sam.post(url(request, "assign"), {"to": fiona.pk}).status_code == 422
        assert fresh(request).assigned_to is None

    def test_customers_do_not_read_who_has_it(self, db):
        request, sam = cast.in_review(), cast.staff("support")
        claim(request=request, by=sam, now=NOW)
        assert [entry.verb for entry in timeline_for_customer(fresh(request))] == ["submit"]

    def test_a_note_stays_as_it_is_and_among_staff(self, sam):
        request = cast.in_review()
        sam.post(url(request, "note"), {"words": "Called back, <b>will</b> wait."})
        page = sam.get(url(request)).content.decode()
        assert "Called back, &lt;b&gt;will&lt;/b&gt; wait." in page
        with pytest.raises(RequestRefused):
            add_note(request=request, by=cast.staff("support"), words="  ", now=NOW)

    def test_proof_is_asked_for_again_but_not_at_once(self, db):
        request, sam = cast.unverified(cast.account()), cast.staff("support")
        asked = OutgoingMessage.objects.filter(kind="prove_address", about=request.declaration)
        with pytest.raises(RequestRefused, match="less than an hour"):
            ask_again(request=request, by=sam, now=NOW + cast.timedelta(minutes=59))
        ask_again(request=request, by=sam, now=NOW + cast.timedelta(minutes=61))
        assert asked.count() == 2


class TestTwoPeopleAtOnePage:
    def test_each_sees_the_other(self, sam, mara):
        request = cast.in_review()
        assert "looking at this" not in visible(sam.get(url(request)))
        page = mara.get(url(request))
        assert "Sam is looking at this, too." in visible(page)
        told = sam.post(looking(request), {"seen": seen_in(page)}).json()
        assert told == {"others": ["Mara"], "changed": []}
        mara.post(looking(request), {"leave": "1"})
        assert sam.post(looking(request), {"seen": seen_in(page)}).json()["others"] == []

    def test_it_is_forgotten_after_a_while(self, sam, mara):
        request = cast.in_review()
        mara.get(url(request))
        Presence.objects.update(at=NOW)
        assert "looking at this" not in visible(sam.get(url(request)))

    def test_a_change_under_ones_feet_is_refused_with_what_changed_and_nothing_typed_is_lost(self, sam, mara):
        request = cast.in_review()
        form = sam.get(url(request, "decline"))
        mara.post(url(request, "change-kind"), {"kind": "for_cause", "ground": "He says why on the phone."})
        told = {"seen": seen_in(form), "ground": "duplicate", "words": "As we said."}
        answer = sam.post(url(request, "decline"), told)
        page = answer.content.decode()
        assert answer.status_code == 409
        assert "Kind changed by Mara" in page
        assert "He says why on the phone." in page
        assert "As we said." in page
        assert fresh(request).state == "in_review"
        assert sam.post(url(request, "decline"), {**told, "seen": seen_in(answer)}).status_code == 302
        assert fresh(request).state == "declined"

    def test_what_the_other_decided_is_not_overwritten(self, sam, mara):
        request = cast.in_review()
        form = sam.get(url(request, "decline"))
        mara.post(url(request, "schedule"), {"words": ""})
        answer = sam.post(url(request, "decline"), {"seen": seen_in(form), "ground": "duplicate"}, follow=True)
        assert fresh(request).state == "scheduled"
        assert "is not possible now" in answer.content.decode()

    def test_the_open_page_hears_of_it(self, sam, mara):
        request = cast.in_review()
        page = sam.get(url(request))
        mara.post(url(request, "claim"), {})
        told = sam.post(looking(request), {"seen": seen_in(page)}).json()
        assert len(told["changed"]) == 1
        assert told["changed"][0].startswith("Claimed by Mara")

    def test_an_auditor_may_look_but_nobody_from_outside(self, db):
        request = cast.in_review()
        assert Client().post(looking(request), {"seen": "0"}).status_code == 302
        assert not Presence.objects.exists()


class TestPreview:
    def test_shows_the_mail_and_what_changes_and_does_nothing(self, sam):
        request = cast.in_review()
        before = OutgoingMessage.objects.count()
        page = sam.get(url(request, "schedule")).content.decode()
        assert "Your subscription ends on 28 February 2026" in page
        assert re.search(r"<td>in review</td>\s*<td><strong>scheduled</strong></td>", page)
        told = sam.post(url(request, "schedule").replace("/do/", "/preview/"), {"words": "Come back soon."})
        assert "Come back soon." in told.content.decode()
        assert fresh(request).state == "in_review"
        assert OutgoingMessage.objects.count() == before

    def test_says_why_it_would_be_refused(self, sam):
        request = cast.proven_but_unmatched()
        page = sam.get(url(request, "schedule")).content.decode()
        assert "It would be refused: Choose the subscription" in page

    def test_is_in_the_customers_language_and_hides_what_proves(self, sam):
        request = cast.in_review(language="de")
        assert "Ihr Abonnement endet am 28. Februar 2026" in sam.get(url(request, "schedule")).content.decode()
        proof = cast.unverified(cast.account())
        OutgoingMessage.objects.update(created_at=NOW - cast.timedelta(days=1))
        page = sam.get(url(proof, "ask-again")).content.decode()
        assert "only its reader may see" in page
        assert "/requests/proof/e" not in page

    def test_without_script_a_button_shows_it(self, sam):
        request = cast.in_review()
        answer = sam.post(url(request, "decline"), {"ground": "duplicate", "words": "", "step": "preview"})
        assert answer.status_code == 200
        assert "declined</strong>" in answer.content.decode()
        assert fresh(request).state == "in_review"


class TestCannedReplies:
    @pytest.fixture
    def reply(self, db):
        text = "Thank you, {name}. {plan} ends on {end_date}."
        return CannedReply.objects.create(
            name="Thanks", used_for="request", text_en=text, text_de="Danke, {name}. {plan} endet am {end_date}."
        )

    def test_is_filled_in_in_the_customers_language(self, sam, reply):
        german = sam.get(url(cast.in_review(language="de"), "schedule")).content.decode()
        assert "Danke, Alice. Team endet am 28. Februar 2026." in german
        french = sam.get(url(cast.in_review(language="fr"), "schedule")).content.decode()
        assert "Thank you, Alice. Team ends on" in french

    def test_goes_below_what_was_typed_without_script(self, sam, reply):
        request = cast.in_review()
        answer = sam.post(url(request, "schedule"), {"words": "Hello.", "step": "reply", "reply": reply.pk})
        assert answer.context["form"]["words"].value().startswith("Hello.\n\nThank you, Alice.")
        assert fresh(request).state == "in_review"

    def test_unknown_variables_are_refused_where_it_is_written(self, mara, reply):
        told = {"name": "Bad", "used_for": "any", "text_en": "Dear {nmae}"}
        answer = mara.post(reverse("admin:messaging_cannedreply_add"), told)
        assert "{nmae} is not a variable" in answer.content.decode()
        assert (
            mara.post(reverse("admin:messaging_cannedreply_add"), {**told, "text_en": "A { alone"}).status_code == 200
        )
        assert CannedReply.objects.count() == 1

    @pytest.mark.parametrize("text", ["{name:>999999999}", "{name:d}", "{name!r}", "{name:{plan}}", "{name.__class__}"])
    def test_a_variable_has_no_format(self, text):
        mara = at_desk(cast.staff("manager"))
        told = {"name": "Thanks", "used_for": "any", "text_en": text, "text_de": "", "text_fr": ""}
        assert mara.post(reverse("admin:messaging_cannedreply_add"), told).status_code == 200
        assert not CannedReply.objects.exists()


class TestNextInQueue:
    @pytest.fixture
    def three(self, db):
        return [cast.in_review(cast.subscription(billing_anchor=cast.date(2025, 1, day))) for day in (24, 25, 27)]

    def test_after_a_decision(self, sam, three):
        answer = sam.post(url(three[0], "decline"), {"ground": "duplicate"})
        assert answer.url == url(three[1])
        answer = sam.post(url(three[2], "decline"), {"ground": "duplicate"})
        assert answer.url == url(three[1]), "from the end it goes on at the front"
        answer = sam.post(url(three[1], "decline"), {"ground": "duplicate"})
        assert answer.url == url(three[1]), "none waits any more"

    def test_not_what_somebody_else_has(self, sam, three):
        claim(request=three[1], by=cast.staff("manager"), now=NOW)
        assert sam.post(url(three[0], "decline"), {"ground": "duplicate"}).url == url(three[2])

    def test_within_the_filters_of_the_list(self, sam, three):
        late = cast.in_review(cast.subscription(billing_anchor=cast.date(2025, 1, 15)))
        assert late.on_time is False
        answer = sam.post(url(late, "decline"), {"ground": "duplicate", "list": "time=yes&state__exact=in_review"})
        assert answer.url.startswith(url(three[0]))
        assert "time%3Dyes" in answer.url
        assert sam.get(answer.url).status_code == 200


class TestSavedFilters:
    def test_saved_shared_and_removed_by_its_owner_only(self, sam, mara):
        cast.in_review()
        save = reverse("admin:cancellations_cancellationrequest_save_filter")
        sam.post(save, {"name": "Late ones", "query": "time=late&after=x", "shared": "on"})
        sam.post(save, {"name": "Own", "query": "assigned=me"})
        kept = SavedFilter.objects.get(name="Late ones")
        assert kept.query == "time=late"
        page = mara.get(reverse(QUEUE)).content.decode()
        assert "Late ones" in page
        assert ">Own" not in page
        drop = reverse("admin:cancellations_cancellationrequest_drop_filter", args=[kept.pk])
        assert mara.post(drop).status_code == 404
        assert sam.get(drop).status_code == 403
        sam.post(drop)
        assert not SavedFilter.objects.filter(pk=kept.pk).exists()

    def test_nothing_is_saved_without_a_name_or_by_whom_may_not_see_the_list(self, sam):
        save = reverse("admin:cancellations_cancellationrequest_save_filter")
        sam.post(save, {"name": " ", "query": "time=late"})
        outsider = at_desk(cast.customer(cast.account()))
        outsider.post(save, {"name": "x", "query": "time=late"})
        assert not SavedFilter.objects.exists()


class TestSearchAndFilters:
    @pytest.mark.parametrize(
        ("query", "wanted"),
        [
            ("due=overdue", {"unmatched"}),
            ("assigned=nobody", {"unmatched", "ordinary", "cause", "guest"}),
            ("assigned=me", {"mine"}),
            ("ground=open", {"cause"}),
            ("time=unknown", {"unmatched", "guest"}),
            ("law=DE", {"guest"}),
            ("channel__exact=guest", {"unmatched", "guest"}),
            ("kind__exact=for_cause", {"cause"}),
        ],
    )
    def test_filters(self, sam, query, wanted):
        rows = {
            "unmatched": cast.proven_but_unmatched(),
            "ordinary": cast.in_review(at=cast.datetime.now(cast.UTC)),
            "cause": cast.in_review(kind="for_cause", cause="Broken", at=cast.datetime.now(cast.UTC)),
            "mine": cast.in_review(at=cast.datetime.now(cast.UTC)),
            "guest": cast.unverified(cast.account(), at=cast.datetime.now(cast.UTC), jurisdiction="DE"),
        }
        claim(request=rows["mine"], by=cast.staff("support"), now=NOW)
        page = sam.get(reverse(QUEUE) + "?" + query).content.decode()
        assert {name for name, row in rows.items() if row.reference in page} == wanted

    @pytest.mark.parametrize("asked", ["Bäcker", "bäck", "zoë bäcker", "Bäcker & Söhne", "'; --", "(", "&|!"])
    def test_search_by_name_and_with_strange_marks(self, sam, asked):
        holder = cast.account("Zoë Bäcker & Söhne", username="zoe", email="zoe@customer.example")
        wanted = cast.in_review(cast.subscription(holder))
        other = cast.in_review()
        page = sam.get(reverse(QUEUE), {"q": asked}).content.decode()
        assert (wanted.reference in page) == any(mark.isalpha() for mark in asked)
        assert other.reference not in page


@pytest.mark.parametrize("query", ["state__exact=%00", "q=%00", "after=%00", "received_at__gte=yesterday", "no_such=1"])
def test_an_address_that_was_typed_shows_the_list(sam, query):
    request = cast.in_review()
    page = sam.get(f"{reverse(QUEUE)}?{query}", follow=True)
    assert page.status_code == 200
    assert request.reference in page.content.decode()


def visible(answer):
    return answer.content.decode().partition("<main")[2] or answer.content.decode()


def test_all_lists_have_keyset_pages(mara):
    for _ in range(3):
        cast.in_review()
    assert CancellationRequest.objects.count() == 3
    first = mara.get(reverse(QUEUE))
    assert first.context["cl"].next_url == ""

"""The API: the same verbs, permissions and refusals as at the desk."""

import json

import pytest
from django.contrib import admin
from django.test import Client

from accounts.desk import VerbAdmin
from accounts.desk.proof import PROVEN_AT
from accounts.roles import ROLES
from cancellations.services.erasure import place_hold
from config.api import COLLECTIONS
from tests import cast
from tests.cast import fresh
from tests.desk.test_permissions import person
from tests.desk.test_review import at_desk

pytestmark = pytest.mark.django_db
FILES = {"add-files"}
VERBS = [
    (COLLECTIONS[model._meta.label_lower], verb)
    for model, site in admin.site._registry.items()
    if isinstance(site, VerbAdmin)
    for verb in site.verbs
    if verb.name not in FILES
]


def post(client, path, **given):
    return client.post(f"/api/v1/{path}", json.dumps(given), content_type="application/json")


@pytest.fixture
def rows():
    cast.policy()
    request = cast.in_review()
    delivery = cast.webhook_delivered()
    return {
        "requests": request.reference,
        "refunds": cast.refund_requested().reference,
        "terminations": cast.terminated(cast.account()).reference,
        "policy-versions": request.policy_version.number,
        "conversations": cast.waits_for_an_answer(request.account).reference,
        "webhook-endpoints": str(delivery.endpoint.pk),
        "webhook-deliveries": delivery.pk,
        "holds": place_hold(account=request.account, by=cast.staff("manager"), ground="Claim", now=cast.NOW).pk,
    }


@pytest.mark.parametrize("role", ROLES)
def test_each_verb_is_open_to_whom_the_matrix_says(role, rows):
    client, wrong = at_desk(person(role)), []
    for (kind, _), verb in VERBS:
        answer = post(client, f"{kind}/{rows[kind]}/{verb.name}")
        if (answer.status_code != 403) != (verb.permission in ROLES[role]):
            wrong.append((kind, verb.name, answer.status_code))
    assert wrong == []
    assert len(VERBS) > 24


@pytest.mark.parametrize("role", ROLES)
def test_reading_too(role, rows):
    client = at_desk(person(role))
    may = "cancellations.view_cancellationrequest" in ROLES[role]
    for path in ("requests", f"requests/{rows['requests']}", f"refunds/{rows['refunds']}"):
        assert client.get(f"/api/v1/{path}").status_code == (200 if may else 403)


def test_a_request_is_read_and_scheduled():
    request = cast.in_review(words="x")
    sam = at_desk(cast.staff("support"))
    told = sam.get(f"/api/v1/requests/{request.reference}").json()
    assert (told["state"], told["effective_on"]) == ("in_review", "2026-02-28")
    assert "We received your request on 12 February 2026." in told["explanation"]
    done = post(sam, f"requests/{request.reference}/schedule", words="Thank you.").json()
    assert done["state"] == fresh(request).state == "scheduled"
    assert post(sam, f"requests/{request.reference}/schedule").status_code == 409


def test_what_is_wrong_is_said_by_field():
    request, sam = cast.in_review(), at_desk(cast.staff("support"))
    answer = post(sam, f"requests/{request.reference}/decline", ground="because")
    assert answer.status_code == 422
    assert "ground" in answer.json()["errors"]
    assert post(sam, "requests/CR-NONE/schedule").status_code == 404
    broken = sam.post(f"/api/v1/requests/{request.reference}/decline", "{", content_type="application/json")
    assert broken.status_code == 400
    assert fresh(request).state == "in_review"


def test_a_change_meanwhile_is_not_overwritten():
    request, sam = cast.in_review(), at_desk(cast.staff("support"))
    seen = post(sam, f"requests/{request.reference}/claim").json()["seen"]
    mara = at_desk(cast.staff("manager"))
    post(mara, f"requests/{request.reference}/change-kind", kind="for_cause", ground="By phone")
    answer = post(sam, f"requests/{request.reference}/decline", ground="duplicate", seen=seen)
    assert answer.status_code == 409
    assert "Kind changed by Mara" in answer.json()["detail"]
    assert fresh(request).state == "in_review"


def test_the_queue_page_by_page():
    rows = [cast.in_review() for _ in range(53)]
    sam = at_desk(cast.staff("support"))
    first = sam.get("/api/v1/requests", {"state": "in_review"}).json()
    second = sam.get("/api/v1/requests", {"state": "in_review", "after": first["next"]}).json()
    found = [one["reference"] for one in (*first["items"], *second["items"])]
    assert sorted(found) == sorted(row.reference for row in rows)
    assert second["next"] == ""


class TestWhoIsAsking:
    def test_nobody_without_a_session_or_its_second_factor(self):
        request = cast.in_review()
        assert Client().get("/api/v1/requests").status_code == 401
        half = Client()
        half.force_login(cast.staff("support"))
        assert half.get("/api/v1/requests").status_code == 401
        customer = Client()
        customer.force_login(cast.customer(request.account))
        assert customer.get("/api/v1/requests").status_code == 401

    def test_no_forged_post(self):
        request = cast.in_review()
        strict = cast.at_desk(cast.staff("support"), Client(enforce_csrf_checks=True))
        assert post(strict, f"requests/{request.reference}/schedule").status_code == 403
        assert fresh(request).state == "in_review"

    def test_money_asks_for_the_second_factor_again(self, settings):
        refund = cast.refund_requested()
        cast_away = at_desk(cast.staff("finance"))
        session = cast_away.session
        session[PROVEN_AT] -= settings.STAFF_REAUTH_MINUTES * 60 + 1
        session.save()
        assert post(cast_away, f"refunds/{refund.reference}/approve").status_code == 403
        assert post(cast_away, f"refunds/{refund.reference}/propose", basis="unused").status_code == 200
        assert fresh(refund).state == "proposed"


def test_the_document_names_each_verb(client):
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    for (kind, _), verb in VERBS:
        assert f"/api/v1/{kind}/{{key}}/{verb.name}" in paths

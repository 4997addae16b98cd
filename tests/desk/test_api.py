"""The API: the same verbs, permissions and refusals as at the desk."""

import json

import pytest
from django.contrib import admin
from django.test import Client
from moneyed import Money

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


class TestWhatIsWrong:
    """Each error is JSON, as the document says, and says what to change."""

    def test_the_messages_of_a_form_are_kept(self):
        refund, fiona = cast.refund_requested(), at_desk(cast.staff("finance"))
        answer = post(fiona, f"refunds/{refund.reference}/propose", basis="custom", amount="abc")
        assert answer.status_code == 422
        assert answer.json()["errors"] == {
            "amount": ["Enter a number."],
            "ground": ["State the ground: it is required for another amount and for nothing."],
        }
        request, sam = cast.in_review(), at_desk(cast.staff("support"))
        assert post(sam, f"requests/{request.reference}/note").json()["errors"] == {"words": ["Write the note."]}

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({"account_number": ["a"], "kind": "ordinary"}, "account_number"),
            ({"account_number": 5, "kind": "ordinary"}, "account_number"),
            ({"username": {"a": 1}, "kind": "ordinary"}, "username"),
            ({"kind": True}, "kind"),
            ({"kind": None}, "kind"),
            ({"kind": "ordinary", "requested_end": 20260101}, "requested_end"),
            ({"kind": "ordinary", "requested_end": "1 May"}, "requested_end"),
            ({"kind": "ordinary", "words": "misspelt"}, "words"),
            ({"kind": "ordinary", "seen": -1}, "seen"),
            ({"kind": "ordinary", "seen": 2**63}, "seen"),
            ({"kind": "ordinary", "username": "a\ud800"}, "username"),
        ],
    )
    def test_another_type_is_refused_by_field(self, fields, name):
        conversation = cast.waits_for_an_answer(cast.account())
        answer = post(at_desk(cast.staff("support")), f"conversations/{conversation.reference}/declare", **fields)
        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == [name]
        assert all(answer.json()["errors"][name])

    @pytest.mark.parametrize("body", ["[]", "null", "5", '"a"', "", '{"\\udfff": 1}'])
    def test_a_body_is_an_object(self, body):
        request, sam = cast.in_review(), at_desk(cast.staff("support"))
        path = f"/api/v1/requests/{request.reference}/claim"
        answer = sam.post(path, body, content_type="application/json")
        detail = "The body has to be a JSON object with the fields of the action."
        assert (answer.status_code, answer.json()["detail"]) == (422, detail)

    @pytest.mark.parametrize("body", ["{", "\xff", "[" * 100_000])
    def test_what_is_no_json_cannot_be_read(self, body):
        request, sam = cast.in_review(), at_desk(cast.staff("support"))
        path = f"/api/v1/requests/{request.reference}/claim"
        answer = sam.post(path, body.encode("latin-1"), content_type="application/json")
        assert (answer.status_code, answer.json()["detail"]) == (400, "Cannot parse request body")

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("webhook-endpoints/abc/disable", "key"),
            ("webhook-deliveries/abc/send-again", "key"),
            ("holds/abc/lift", "key"),
            (f"holds/{2**63}/lift", "key"),
            ("holds/-1/lift", "key"),
            (f"policy-versions/{2**31}/publish", "key"),
        ],
    )
    def test_a_key_of_another_kind_is_refused(self, path, name):
        answer = post(at_desk(person("administrator" if "webhook" in path else "manager")), path)
        assert answer.status_code == 422, answer.content
        assert list(answer.json()["errors"]) == [name]

    @pytest.mark.parametrize(
        ("query", "name"),
        [("state=%00", "state"), ("state=open", "state"), ("state=", "state"), ("after=%00", "after"),
         ("after=[1]", "after"), ("after=x", "after")],
    )  # fmt: skip
    def test_a_query_of_another_kind_is_refused(self, query, name):
        answer = at_desk(cast.staff("support")).get(f"/api/v1/requests?{query}")
        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == [name]

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("get", "requests/%00", 404), ("get", "requests/a%0B", 404), ("get", "requests/CR-NONE", 404),
            ("get", "nothing", 404), ("post", "requests/%00/schedule", 404), ("delete", "requests", 405),
            ("get", "requests/CR-1/schedule", 405),
        ],
    )  # fmt: skip
    def test_pages_of_errors_are_json(self, method, path, status):
        answer = getattr(at_desk(cast.staff("support")), method)(f"/api/v1/{path}")
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (status, "application/json")
        assert answer.json()["detail"]

    def test_a_body_that_is_too_large(self, settings):
        request, sam = cast.in_review(), at_desk(cast.staff("support"))
        answer = post(sam, f"requests/{request.reference}/note", words="x" * settings.FORM_MOST_BYTES)
        assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/json")


@pytest.mark.parametrize(
    ("price", "amount"),
    [("21427 JPY", "21427"), ("20.00 EUR", "20.00"), ("7.742 BHD", "7.742"), ("643.00 RSD", "643.00")],
)  # fmt: skip
def test_amounts_have_the_decimals_of_their_currency(price, amount):
    value, currency = price.split()
    refund = cast.refund_requested(amount=Money(value, currency), limits={currency: "9999999"})
    fiona = at_desk(cast.staff("finance"))
    assert fiona.get(f"/api/v1/refunds/{refund.reference}").json()["amount"] == ""
    assert post(fiona, f"refunds/{refund.reference}/propose", basis="full").status_code == 200
    answer = fiona.get(f"/api/v1/refunds/{refund.reference}").json()
    assert (answer["amount"], answer["currency"]) == (amount, currency)


def test_the_document_says_what_each_action_takes(client):
    document = client.get("/api/v1/openapi.json").json()
    body = document["components"]["schemas"]["RefundPropose"]
    assert body["required"] == ["basis"]
    assert body["properties"]["basis"]["enum"] == ["none", "unused", "full", "custom"]
    assert body["additionalProperties"] is False
    operation = document["paths"]["/api/v1/webhook-endpoints/{key}/disable"]["post"]
    assert operation["parameters"][0]["schema"]["format"] == "uuid"
    assert {"200", "400", "401", "403", "404", "409", "422"} == set(operation["responses"])

"""The API against its own OpenAPI document, with all checks of schemathesis and real rows in every state."""

import json

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.core.serializers.json import DjangoJSONEncoder
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation

from config.api import COLLECTIONS, api
from config.wsgi import application
from tests import cast
from tests.fuzz.rows import SITES, everything_allowed, row_for, rows

CSRF, SESSION = "a" * 32, "s" * 32
config = SchemathesisConfig.from_dict(
    {
        "generation": {"deterministic": True, "max-examples": 8},
        "phases": {"coverage": {"unexpected-methods": ["get", "delete", "trace"]}},
        # Rules may refuse what the document allows, such as an amount above the payment
        "checks": {"positive_data_acceptance": {"expected-statuses": ["200", "403", "404", "409", "422"]}},
    }
)
document = json.loads(json.dumps(api.get_openapi_schema(), cls=DjangoJSONEncoder))
schema = schemathesis.openapi.from_dict(document, config=config)
schema.app = application


@schema.auth()
class SignedIn:
    """Signs in to the staff interface; schemathesis leaves it out where it tests what strangers get."""

    def get(self, case, context):
        return SESSION

    def set(self, case, data, context):
        case.cookies = {**(case.cookies or {}), django_settings.SESSION_COOKIE_NAME: data}


@pytest.fixture(autouse=True)
def connection_of_the_test():
    """The portal answers in this process, in the transaction of the test, as with Django's test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(scope="module")
def seeded(django_db_setup, django_db_blocker):
    """Rows for all tests of this file, in a transaction that is rolled back."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield rows()
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def root(seeded):
    person = everything_allowed()
    key = cast.at_desk(person).session.session_key
    Session.objects.filter(session_key=key).update(session_key=SESSION)
    return person


def key_of(path: str, root, seeded) -> str:
    """The key of a row for which the action of the path is possible."""
    collection, _, *action = path.removeprefix("/api/v1/").split("/")
    if not action:
        return str(seeded[collection][0].reference)
    verb = next(verb for verb in SITES[collection].verbs if verb.name == action[0])
    row = row_for(verb, root, seeded[collection])
    return str(getattr(row, next(key for name, key in COLLECTIONS.values() if name == collection)))


def test_each_action_is_possible_for_a_row(root, seeded):
    impossible = []
    for path in document["paths"]:
        try:
            assert "{" not in path or key_of(path, root, seeded)
        except StopIteration:
            impossible.append(path)
    assert impossible == []


@schema.parametrize()
@hypothesis_settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says(case, root, seeded):
    name = next(iter(case.path_parameters), "")
    if name and not case.meta.is_negative_at(ParameterLocation.PATH):
        case.path_parameters[name] = key_of(case.path, root, seeded)
    with transaction.atomic():
        case.call_and_validate(cookies={django_settings.CSRF_COOKIE_NAME: CSRF}, headers={"X-CSRFToken": CSRF})
        transaction.set_rollback(True)

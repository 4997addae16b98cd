"""The permission matrix, pair by pair: what a role may not is refused, also when it is forged."""

import importlib
import inspect
import pkgutil
from contextlib import suppress

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

import accounts.services
import billing.services
import cancellations.services
import messaging.services
from accounts.desk import VerbAdmin
from accounts.models import User
from accounts.roles import ROLES
from billing.services.common import RefundRefused
from cancellations.services.common import RequestRefused
from cancellations.services.erasure import place_hold
from config.tools.permissions import PAGE, as_markdown
from messaging.models import MessageState, OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
VERBS = [
    (model, verb.name, verb.permission)
    for model, site in admin.site._registry.items()
    if isinstance(site, VerbAdmin)
    for verb in site.verbs
]
ADDED = {
    "cancellations.termination": "cancellations.terminate_account",
    "cancellations.hold": "cancellations.hold_data",
    "cancellations.erasure": "cancellations.erase_data",
    "cancellations.policyversion": "cancellations.add_policyversion",
    "accounts.user": "accounts.add_user",
    "accounts.account": None,
    "billing.refund": None,
    "billing.payment": None,
    "billing.subscription": None,
    "cancellations.cancellationrequest": None,
    "messaging.outgoingmessage": None,
    "cancellations.conversation": None,
    "messaging.incomingmessage": None,
    "messaging.mailbox": None,
    "messaging.webhookdelivery": None,
    "messaging.webhookendpoint": "messaging.add_webhookendpoint",
    "auth.group": None,
}


def person(role: str) -> User:
    made = User.objects.create_user(f"{role}@desk.example", "a-long-password", is_staff=True)
    made.groups.add(Group.objects.get(name=role))
    return made


@pytest.fixture
def row_of():
    """A row of each kind, whatever its state: who may not is refused before that matters."""
    cast.policy()
    request = cast.in_review()
    delivery = cast.webhook_delivered()
    rows = {
        "cancellationrequest": request,
        "refund": cast.refund_requested(),
        "termination": cast.terminated(cast.account()),
        "policyversion": request.policy_version,
        "account": request.account,
        "conversation": cast.waits_for_an_answer(request.account),
        "webhookendpoint": delivery.endpoint,
        "webhookdelivery": delivery,
        "hold": place_hold(account=request.account, by=cast.staff("manager"), ground="Claim", now=cast.NOW),
    }
    return lambda model: rows[model._meta.model_name]


@pytest.mark.parametrize("role", ROLES)
def test_each_verb_is_open_to_whom_the_matrix_says_and_refused_to_all_others(role, row_of):
    client = Client()
    cast.at_desk(person(role), client)
    wrong = []
    for model, verb, permission in VERBS:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_verb", args=[row_of(model).pk, verb])
        for answer in (client.get(address), client.post(address, {})):
            if (answer.status_code != 403) != (permission in ROLES[role]):
                wrong.append((model._meta.model_name, verb, answer.status_code))
    assert wrong == []
    assert len(VERBS) > 40


@pytest.mark.parametrize("role", ROLES)
def test_each_form_that_makes_a_row(role, row_of):
    client = Client()
    cast.at_desk(person(role), client)
    for label, permission in ADDED.items():
        answer = client.post(reverse(f"admin:{label.replace('.', '_')}_add"), {})
        assert (answer.status_code != 403) == (permission in ROLES[role]), label


@pytest.mark.parametrize("role", ROLES)
def test_each_list_is_read_by_whom_the_matrix_says(role, row_of):
    client = Client()
    cast.at_desk(person(role), client)
    for label in ADDED:
        app, model = label.split(".")
        answer = client.get(reverse(f"admin:{app}_{model}_changelist"))
        assert (answer.status_code != 403) == (f"{app}.view_{model}" in ROLES[role]), label


@pytest.mark.parametrize("role", ROLES)
def test_no_button_is_shown_that_may_not_be_pressed(role, row_of):
    client = Client()
    cast.at_desk(person(role), client)
    for model, verb, permission in VERBS:
        row = row_of(model)
        page = client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]))
        if permission not in ROLES[role]:
            assert f"/do/{verb}/" not in page.content.decode()


def test_an_auditor_sends_no_message_again(row_of):
    OutgoingMessage.objects.filter(state=MessageState.PENDING).update(state=MessageState.DEAD)
    dead = OutgoingMessage.objects.filter(state=MessageState.DEAD)
    told = {"action": "send_failed_again", "_selected_action": [str(one.pk) for one in dead]}
    for role, left in (("auditor", dead.count()), ("support", 0)):
        client = Client()
        cast.at_desk(person(role), client)
        client.post(reverse("admin:messaging_outgoingmessage_changelist"), told)
        assert dead.all().count() == left, role


class TestPeople:
    @pytest.fixture
    def boss(self):
        cast.policy()
        made = person("administrator")
        client = Client()
        cast.at_desk(made, client)
        return made, client

    def change(self, client, who, **fields):
        told = {"email": who.email, "name": who.name, "is_active": "on", "is_staff": "on", **fields}
        return client.post(reverse("admin:accounts_user_change", args=[who.pk]), told)

    def test_an_administrator_puts_people_into_roles(self, boss):
        sam = cast.staff("support")
        finance = Group.objects.get(name="finance")
        assert self.change(boss[1], sam, groups=[finance.pk]).status_code == 302
        assert list(sam.groups.all()) == [finance]

    def test_but_not_himself_and_nobody_into_a_superuser(self, boss):
        me, client = boss
        assert self.change(client, me, groups=[Group.objects.get(name="manager").pk]).status_code == 403
        sam = cast.staff("support")
        self.change(client, sam, is_superuser="on")
        assert cast.fresh(sam).is_superuser is False
        root = User.objects.create_superuser("root@desk.example", "a-long-password")
        assert self.change(client, root).status_code == 403

    def test_and_decides_no_case(self, boss, row_of):
        assert boss[1].get(reverse("admin:cancellations_cancellationrequest_changelist")).status_code == 403


def test_the_page_for_people_says_what_holds():
    assert PAGE.read_text() == as_markdown(), "Run: manage.py permissions"


def _services():
    """Every public function of the services that takes a person, by its name."""
    found = {}
    for package in (accounts.services, billing.services, cancellations.services, messaging.services):
        names = [package.__name__]
        if hasattr(package, "__path__"):
            names += [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
        for name in names:
            module = importlib.import_module(name)
            for function, service in inspect.getmembers(module, inspect.isfunction):
                is_ours = service.__module__ == name and not function.startswith("_")
                if is_ours and "by" in inspect.signature(service).parameters:
                    found[f"{name}.{function}"] = service
    return found


# Called by services that have asked
ASKED_BEFORE = {
    "accounts.services.notices.notify_person",
    "accounts.services.notices.notify_staff",
    "cancellations.services.common.assign_to",
}


def test_each_service_that_takes_a_person_asks_for_a_permission():
    services = _services()
    assert len(services) >= 45
    assert {name for name, service in services.items() if not hasattr(service, "permission")} == ASKED_BEFORE


@pytest.mark.parametrize("role", ROLES)
def test_each_service_is_open_to_whom_the_matrix_says(role, db):
    """Refused before anything is read; who may gets as far as the missing row."""
    who = person(role)
    for name, service in _services().items():
        if name in ASKED_BEFORE:
            continue
        given = {
            one: None
            for one, told in inspect.signature(service).parameters.items()
            if told.default is inspect.Parameter.empty and one != "by"
        }
        permissions = {None: service.permission} if isinstance(service.permission, str) else service.permission
        for choice, permission in permissions.items():
            if choice is not None:
                given["verb"] = choice
            if permission in ROLES[role]:
                with suppress(AttributeError, TypeError, RequestRefused, RefundRefused):
                    service(**given, by=who)
            else:
                with pytest.raises(PermissionDenied):
                    service(**given, by=who)


def test_each_verb_has_the_permission_of_its_service():
    """The button and the deed ask for the same."""
    known = {
        service.permission for service in _services().values() if isinstance(getattr(service, "permission", 0), str)
    }
    assert {permission for _, _, permission in VERBS} <= known

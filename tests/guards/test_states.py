"""Each legal and each illegal pair of states, by SQL against the database."""

from itertools import permutations

import pytest
from django.db import InternalError, ProgrammingError, connection, transaction

from billing.models import Refund
from billing.models.states import TRANSITIONS as REFUND_TRANSITIONS
from billing.models.states import RefundState
from cancellations.models import CancellationRequest, Conversation, PolicyVersion, Termination
from cancellations.models.states import (
    CONVERSATION_TRANSITIONS,
    TERMINATION_TRANSITIONS,
    ConversationState,
    PolicyState,
    RequestState,
    TerminationState,
)
from cancellations.models.states import TRANSITIONS as REQUEST_TRANSITIONS
from messaging.models import (
    DELIVERY_TRANSITIONS,
    READ_TRANSITIONS,
    DeliveryState,
    IncomingMessage,
    MessageState,
    OutgoingMessage,
    ReadState,
    WebhookDelivery,
)
from messaging.models import TRANSITIONS as MESSAGE_TRANSITIONS
from tests import cast, databases
from tests.cast import NOW

pytestmark = pytest.mark.django_db


def assert_enforced(row, legal, old, new, fields):
    """The update goes through just where the table says so. Django's UPDATE is plain SQL, no service in between."""
    rows = type(row)._base_manager.filter(pk=row.pk)
    if (old, new) in legal:
        assert rows.update(state=new, **fields) == 1
    else:
        with pytest.raises(InternalError, match="Invalid transition"), transaction.atomic():
            rows.update(state=new, **fields)


def request_fields(state, subscription):
    matched = {"subscription": subscription, "account": subscription.account, "effective_on": NOW.date()}
    matched |= {"effective_at": NOW, "verified_at": NOW, "verification_expires_at": NOW, "decline_ground": "duplicate"}
    unmatched = {"subscription": None, "verified_at": None}
    return matched | (unmatched if state == RequestState.UNVERIFIED else {})


@pytest.mark.parametrize(("old", "new"), list(permutations(RequestState.values, 2)))
def test_a_request_moves_only_along_its_table(old, new):
    of = cast.subscription()
    row = CancellationRequest.objects.create(
        state=old, state_changed_at=NOW, received_at=NOW, channel="guest", email_given="a@customer.example",
        reason="other", policy_version=cast.policy(), **request_fields(old, of),
    )  # fmt: skip
    assert_enforced(row, REQUEST_TRANSITIONS, old, new, request_fields(new, of))


@pytest.mark.parametrize(("old", "new"), list(permutations(RefundState.values, 2)))
def test_a_refund_moves_only_along_its_table(old, new):
    refund = cast.refund_requested()
    paid = refund.subscription.payments.get()
    refund.lines.create(payment=paid, amount="20", unused_days=20, period_days=30)
    fiona, frank = cast.staff("finance"), cast.staff("finance", "Frank")
    whole = {"amount": "20", "amount_currency": "EUR", "basis": "unused", "proposed_by": fiona, "approved_by": frank}
    whole |= {"paid_on": NOW.date(), "settlement_reference": "X"}
    row = _refund_in(old, refund, whole)
    assert_enforced(row, REFUND_TRANSITIONS, old, new, {})


def _refund_in(state, like, whole):
    """A refund that stands in the state with its line, written past the guards of earlier steps."""
    told = {name: getattr(like, name) for name in ("account", "subscription", "ended_on", "approval_limits")}
    told |= {"state_changed_at": NOW, "requested_at": NOW, "notify": like.notify}
    like.lines.all().delete()
    row = Refund.objects.create(decision_due_on=NOW.date(), payment_days=1, **told)
    row.lines.create(payment=like.subscription.payments.get(), amount="20", unused_days=20, period_days=30)
    with databases.without_guards("billing.Refund:refund_state"):
        Refund.objects.filter(pk=row.pk).update(**whole)
        Refund.objects.filter(pk=row.pk).update(state=state)
    return row


@pytest.mark.parametrize(("old", "new"), list(permutations(TerminationState.values, 2)))
def test_a_termination_moves_only_along_its_table(old, new):
    mara = cast.staff("manager")
    told = {"effective_at": NOW, "effective_on": NOW.date(), "settled_by": mara, "settled_ground": "x"}
    row = Termination.objects.create(
        state=old, state_changed_at=NOW, account=cast.account(), policy_version=cast.policy(), ground="fraud",
        description="x", refund_proposed=True, refund_ground="x", revoke_sign_in=False, proposed_by=mara,
        proposed_at=NOW, needs_confirmation=False, **told,
    )  # fmt: skip
    assert_enforced(row, TERMINATION_TRANSITIONS, old, new, {})


@pytest.mark.parametrize(("old", "new"), list(permutations(MessageState.values, 2)))
def test_a_message_moves_only_along_its_table(old, new):
    row = OutgoingMessage.objects.create(state=old, due_at=NOW, created_at=NOW, recipient="a@customer.example")
    assert_enforced(row, MESSAGE_TRANSITIONS, old, new, {})


def test_a_published_policy_never_changes():
    version = cast.policy()
    rows = PolicyVersion.objects.filter(pk=version.pk)
    for change in ({"notice_days": 0}, {"text": "other"}, {"state": PolicyState.DRAFT}):
        with pytest.raises(InternalError), transaction.atomic():
            rows.update(**change)
    with pytest.raises(InternalError, match="Cannot update or delete"), transaction.atomic():
        rows.delete()


def test_what_the_customer_declared_never_changes():
    request = cast.in_review()
    rows = CancellationRequest.objects.filter(pk=request.pk)
    for change in ({"words": "x"}, {"received_at": NOW.replace(year=2020)}, {"policy_version": cast.policy()}):
        with pytest.raises(InternalError, match="Cannot update"), transaction.atomic():
            rows.update(**change)
    with pytest.raises(InternalError, match="Cannot delete"), transaction.atomic():
        rows.delete()


def test_the_history_sees_raw_sql_and_cannot_be_changed():
    request = cast.in_review()
    before = request.events.count()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cancellations_cancellationrequest SET state = 'withdrawn' WHERE id = %s", [request.pk])
    assert request.events.count() == before + 1
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        request.events.update(state="scheduled")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        request.events.all().delete()


@pytest.mark.parametrize(("old", "new"), list(permutations(ConversationState.values, 2)))
def test_a_conversation_moves_only_along_its_table(old, new):
    def since(state):
        return {"waiting_since": NOW if state == ConversationState.OPEN else None}

    row = Conversation.objects.create(state=old, state_changed_at=NOW, opened_at=NOW, todo="answer", **since(old))
    assert_enforced(row, CONVERSATION_TRANSITIONS, old, new, since(new))


def mail_in(state, **fields):
    told = {"door": "command", "arrived_at": NOW, "stored_at": NOW, "due_at": NOW, "size": 1, "raw": b"x", **fields}
    return IncomingMessage.objects.create(state=state, **told)


@pytest.mark.parametrize(("old", "new"), list(permutations(ReadState.values, 2)))
def test_a_mail_moves_only_along_its_table(old, new):
    first = mail_in(ReadState.READ)

    def repeated(state):
        return {"duplicate_of": first if state == ReadState.DUPLICATE else None}

    row = mail_in(old, **repeated(old))
    assert_enforced(row, READ_TRANSITIONS, old, new, repeated(new))


@pytest.mark.parametrize("name", ["raw", "arrived_at", "size", "door", "stored_at"])
def test_a_mail_stays_as_it_came(name):
    other = {"raw": b"y", "arrived_at": NOW.replace(year=2027), "size": 2, "door": "webhook"}
    row = mail_in(ReadState.READ)
    with pytest.raises(InternalError, match="Cannot update"), transaction.atomic():
        IncomingMessage.objects.filter(pk=row.pk).update(**{name: other.get(name, NOW.replace(year=2027))})
    with pytest.raises(InternalError, match="Cannot delete"), transaction.atomic():
        row.delete()


@pytest.mark.parametrize(("old", "new"), list(permutations(DeliveryState.values, 2)))
def test_a_webhook_delivery_moves_only_along_its_table(old, new):
    row = cast.webhook_delivered()
    with databases.without_guards("messaging.WebhookDelivery:delivery_state"):
        WebhookDelivery.objects.filter(pk=row.pk).update(state=old)
    assert_enforced(row, DELIVERY_TRANSITIONS, old, new, {})


def test_a_webhook_event_is_never_changed():
    event = cast.webhook_delivered().event
    with pytest.raises(InternalError, match="Cannot update"), transaction.atomic():
        type(event).objects.filter(pk=event.pk).update(subject="other")

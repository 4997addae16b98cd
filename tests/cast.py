"""The permanent cast, and factories named by state. They go through the services, as real rows do.

Alice holds one account with one subscription, Bob two subscriptions, Charlie is a stranger.
Sam is in support, Fiona and Frank in finance, Mara is a manager.
"""

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group
from django.test import Client
from moneyed import Money

from accounts.desk.proof import PROVEN_AT
from accounts.models import Account, User
from billing.models import Payment, Refund, Subscription
from cancellations.models import CancellationRequest, Conversation, PolicyVersion, Termination
from cancellations.queries.policies import policy_in_force
from cancellations.services.enforcement import enforce
from cancellations.services.mail import read_due
from cancellations.services.policies import publish
from cancellations.services.review import schedule
from cancellations.services.submission import Declaration, submit_as_guest, submit_for, verify
from cancellations.services.termination import Case, terminate
from cancellations.wording.policy import FIRST_TEXT
from messaging.models import DeliveryState, Door, EventType, MessageState, OutgoingMessage, WebhookDelivery
from messaging.services.inbox import store
from messaging.services.webhooks import add_endpoint, emit
from tests.mail.corpus import mail

NOW = datetime(2026, 2, 12, 13, 7, 31, tzinfo=UTC)
_numbers = count(1)


def policy_text() -> str:
    """The text that the portal ships to start from."""
    return FIRST_TEXT.read_text(encoding="utf-8")


def policy(**figures: Any) -> PolicyVersion:
    """A published version, in force for years."""
    figures = {"text": "We ask for {notice_days} of notice."} | figures
    number = (PolicyVersion.objects.order_by("-number").values_list("number", flat=True).first() or 0) + 1
    limits = {"EUR": "500", "JPY": "50000", "BHD": "200"}
    version = PolicyVersion.objects.create(number=number, **({"approval_limits": limits} | figures))
    long_ago = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return publish(version=version, change_summary="First.", effective_from=long_ago, now=long_ago)


def account(name: str = "Alice", **fields: Any) -> Account:
    number = next(_numbers)
    told = {
        "account_number": f"AT-{900000 + number}",
        "username": f"{name.lower()}{number}",
        "name": name,
        "email": f"{name.lower()}{number}@customer.example",
        "country": "AT",
        "time_zone": "Europe/Berlin",
        "language": "en-GB",
        "currency": "EUR",
        "customer_since": date(2024, 1, 1),
    }
    return Account.objects.create(**(told | fields))


def subscription(holder: Account | None = None, **fields: Any) -> Subscription:
    """Monthly on the 31st, 30.00 EUR, of Alice unless somebody else is given."""
    told = {
        "account": holder or account(),
        "reference": f"SUB-{next(_numbers):05}",
        "plan_code": "team",
        "plan_name": "Team",
        "price": Money("30.00", "EUR"),
        "interval_unit": "month",
        "interval_count": 1,
        "started_on": date(2025, 1, 31),
        "billing_anchor": date(2025, 1, 31),
    }
    return Subscription.objects.create(**(told | fields))


def payment(paid_for: Subscription, start: date, end: date, amount: Money | None = None, **fields: Any) -> Payment:
    return Payment.objects.create(
        reference=f"PAY-{next(_numbers):05}",
        account=paid_for.account,
        subscription=paid_for,
        period_start=start,
        period_end=end,
        amount=amount or paid_for.price,
        paid_at=datetime.combine(start, datetime.min.time(), tzinfo=UTC),
        **fields,
    )


def declaration(holder: Account, **given: Any) -> Declaration:
    told = {"account_number": holder.account_number, "username": holder.username, "email": holder.email}
    return Declaration(**(told | {"reason": "too_expensive", "words": "It is too dear."} | given))


def in_review(of: Subscription | None = None, at: datetime = NOW, **given: Any) -> CancellationRequest:
    of = of or subscription()
    _some_policy(at)
    declared = declaration(of.account, **given)
    return submit_for(subscriptions=[of], declaration=declared, submission_key=uuid4(), received_at=at, now=at)


def of_several(*subscriptions: Subscription, at: datetime = NOW, **given: Any) -> list[CancellationRequest]:
    """One declaration about all of them."""
    _some_policy(at)
    declared = declaration(subscriptions[0].account, **given)
    first = submit_for(
        subscriptions=subscriptions, declaration=declared, submission_key=uuid4(), received_at=at, now=at
    )
    return list(CancellationRequest.objects.filter(declaration=first.declaration).order_by("part"))


def unverified(holder: Account, at: datetime = NOW, **given: Any) -> CancellationRequest:
    _some_policy(at)
    return submit_as_guest(declaration=declaration(holder, **given), submission_key=uuid4(), received_at=at, now=at)


def proven_but_unmatched(at: datetime = NOW) -> CancellationRequest:
    stranger = account("Charlie")
    request = unverified(stranger, at)
    verify(request=request, now=at)
    return fresh(request)


def scheduled(of: Subscription | None = None, at: datetime = NOW, **given: Any) -> CancellationRequest:
    return schedule(request=in_review(of, at, **given), by=staff("support"), now=at)


def refund_requested(
    *, amount: Money | None = None, limits: dict[str, str] | None = None, subscription: Subscription | None = None
) -> Refund:
    """A month of 30 days, ended after 10: two thirds are unused. Or another review of the same subscription."""
    of = subscription or _paid_for_april(amount or Money("30.00", "EUR"))
    return Refund.objects.create(
        account=of.account,
        subscription=of,
        about="CR-TEST-TEST",
        notify=of.account.email,
        ended_on=date(2026, 4, 11),
        requested_at=NOW,
        state_changed_at=NOW,
        decision_due_on=date(2026, 2, 19),
        payment_days=10,
        approval_limits={"EUR": "500", "JPY": "50000", "BHD": "200"} if limits is None else limits,
    )


def _paid_for_april(price: Money) -> Subscription:
    of = subscription(price=price, started_on=date(2026, 4, 1), billing_anchor=date(2026, 4, 1))
    payment(of, date(2026, 4, 1), date(2026, 5, 1))
    return of


def case(holder: Account, **given: Any) -> Case:
    """Why the account is terminated: harmful activity, a refund proposed."""
    told = {
        "ground": "harmful_activity",
        "description": "Mass mailings on 3 February 2026.",
        "refund_proposed": True,
        "refund_ground": "The unused part is not ours to keep.",
    }
    return Case(account=holder, **(told | given))


def terminated(holder: Account, at: datetime = NOW, **given: Any) -> Termination:
    _some_policy(at)
    return terminate(case=case(holder, **given), by=staff("manager"), now=at)


def staff(role: str, name: str = "") -> User:
    name = name or {"support": "Sam", "finance": "Fiona", "manager": "Mara"}[role]
    email = f"{name.lower()}@atntcrm.example"
    known = User.objects.filter(email=email).first()
    if known is not None:
        return known
    person = User.objects.create_user(email, "a-long-password", name=name, is_staff=True)
    person.groups.add(Group.objects.get(name=role))
    return person


def at_desk(person: User, client: Client | None = None) -> Client:
    """A browser in which the person of staff is signed in, with a second factor given just now."""
    client = client or Client()
    client.force_login(person)
    session = client.session
    session[PROVEN_AT] = session["staff_seen_at"] = time.time()
    session.save()
    return client


def customer(holder: Account) -> User:
    return User.objects.create_user(holder.email, name=holder.name)


def fresh(row: Any) -> Any:
    """The row as the database has it now."""
    return type(row).objects.get(pk=row.pk)


def waits_for_an_answer(holder: Account, words: str = "Where is my invoice?", at: datetime = NOW) -> Conversation:
    """The holder wrote to us, and somebody has to answer."""
    _some_policy(at)
    raw = mail(words, sender=f"{holder.name} <{holder.email}>", subject="Hello", message_id=f"<{next(_numbers)}@c>")
    kept = store(raw=raw, arrived_at=at, door=Door.COMMAND, now=at)
    read_due(now=at)
    return Conversation.objects.get(reference=fresh(kept).thread)


def webhook_delivered(url: str = "https://crm.example.com/in", at: datetime = NOW) -> WebhookDelivery:
    """The company's CRM heard of a policy version."""
    name = f"CRM {next(_numbers)}"
    endpoint = add_endpoint(name=name, url=url, event_types=list(EventType.values), now=at)
    emit(type=EventType.POLICY_PUBLISHED, subject="policy", data={"version": 1}, now=at)
    WebhookDelivery.objects.filter(endpoint=endpoint).update(state=DeliveryState.DELIVERED, delivered_at=at)
    return WebhookDelivery.objects.select_related("endpoint", "event").get(endpoint=endpoint)


def pass_time(until: datetime) -> None:
    enforce(now=until)


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def _some_policy(at: datetime) -> None:
    if not PolicyVersion.objects.exists():
        policy()
    policy_in_force(at)


def deliver_all() -> None:
    """Whatever waits in the outbox has gone out."""
    OutgoingMessage.objects.filter(state=MessageState.PENDING).update(state=MessageState.SENT, sent_at=NOW)

"""Refunds through Stripe's own library against a server that speaks Stripe's protocol (localstripe)."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from moneyed import Money

from billing.gateways import gateway_name
from billing.gateways.answers import Part
from billing.gateways.stripe_refunds import StripeGateway, stripe_units
from billing.services.review import approve, propose
from billing.services.sending import send, send_due
from tests import cast
from tests.cast import NOW, fresh

KEY = "sk_test_12345"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    server = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("stripe"), stdout=-3, stderr=-3)
    address = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            urllib.request.urlopen(address, timeout=1)
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.1)
        else:
            break
    yield address
    server.terminate()
    server.wait(10)


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [("10.50", "EUR", 1050), ("500", "JPY", 500), ("10.50", "RSD", 1050), ("1.230", "KWD", 1230), ("5", "ISK", 500),
     ("1000", "ISK", 100_000), ("5", "UGX", 500), ("1234.00", "MGA", 1234), ("7.742", "BHD", 7740),
     ("800", "RSD", 80_000), ("7.749", "TND", 7740), ("1234.99", "MGA", 1234)],
)  # fmt: skip
def test_amounts_are_written_in_stripes_smallest_unit(amount, currency, units):
    assert stripe_units(Money(amount, currency)) == units


def post(base, path, **fields):
    request = urllib.request.Request(base + path, urllib.parse.urlencode(fields).encode())
    request.add_header("Authorization", f"Bearer {KEY}")
    return json.load(urllib.request.urlopen(request, timeout=5))


def charge(base, amount, currency):
    card = {"card[number]": "4242424242424242", "card[exp_month]": 12, "card[exp_year]": 2049, "card[cvc]": "123"}
    source = post(base, "/v1/payment_methods", type="card", **card)["id"]
    return post(base, "/v1/charges", amount=amount, currency=currency, source=source)["id"]


def refunds_of(base, name):
    request = urllib.request.Request(f"{base}/v1/refunds?charge={name}", headers={"Authorization": f"Bearer {KEY}"})
    return json.load(urllib.request.urlopen(request, timeout=5))["data"]


@pytest.mark.parametrize(
    ("paid", "amount", "units"),
    [(3000, Money("20.00", "EUR"), 2000), (1000, Money("643", "JPY"), 643), (10000, Money("7.740", "BHD"), 7740)],
)
def test_a_part_is_returned_once_however_often_it_is_asked(base, paid, amount, units):
    name = charge(base, paid, amount.currency.code.lower())
    gateway, key, part = StripeGateway(KEY, base), uuid4(), Part("PAY-1", name, amount)
    first, second = gateway.send(key, part), gateway.send(key, part)
    assert (first.state, first) == ("paid", second)
    assert [(one["id"], one["amount"]) for one in refunds_of(base, name)] == [(first.reference, units)]


def test_what_stripe_refuses_has_failed_and_what_it_does_not_answer_is_unclear(base):
    part = Part("PAY-1", "ch_unknown", Money("10.00", "EUR"))
    refused = StripeGateway(KEY, base).send(uuid4(), part)
    assert refused.state == "failed"
    assert refused.detail.startswith("Stripe: ")
    nobody = StripeGateway(KEY, "http://127.0.0.1:9").send(uuid4(), part)
    assert nobody.state == "unclear"


@pytest.mark.django_db
def test_from_the_desk_to_the_card(base, settings):
    settings.STRIPE_API_KEY, settings.STRIPE_API_BASE = KEY, base
    refund = cast.refund_requested()
    refund.subscription.payments.update(gateway="stripe", gateway_reference=charge(base, 3000, "eur"))
    frank = cast.staff("finance", "Frank")
    propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW)
    approve(refund=refund, by=frank, now=NOW)
    send(refund=refund, by=frank, now=NOW)
    assert send_due(now=NOW) == 1
    refund = fresh(refund)
    assert (refund.state, refund.gateway, refund.paid_on) == ("paid", "stripe", NOW.date())
    assert refund.settlement_reference.startswith("re_")


@pytest.mark.django_db
def test_what_stripe_cannot_return_is_booked_as_the_remainder(settings):
    settings.STRIPE_API_KEY = KEY
    refund = cast.refund_requested(amount=Money("10.000", "BHD"))
    assert propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW).amount == Money("6.667", "BHD")
    refund.subscription.payments.update(gateway="stripe", gateway_reference="ch_1")
    refund = propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW)
    line = refund.lines.get()
    assert (refund.amount, line.amount, line.remainder) == (Money("6.660", "BHD"), Decimal("6.66"), Decimal("0.007"))


@pytest.mark.django_db
def test_a_payment_that_another_way_took_is_returned_by_hand(settings):
    settings.STRIPE_API_KEY = KEY
    refund = cast.refund_requested()
    other = cast.payment(
        refund.subscription, date(2026, 4, 1), date(2026, 5, 1), gateway="stripe", gateway_reference="ch_1"
    )
    refund = propose(refund=refund, basis="unused", by=cast.staff("finance"), now=NOW)
    assert refund.lines.count() == 2
    assert gateway_name(refund) == "manual"
    refund.subscription.payments.exclude(pk=other.pk).update(gateway="stripe", gateway_reference="ch_2")
    assert gateway_name(refund) == "stripe"
    settings.STRIPE_API_KEY = ""
    assert gateway_name(refund) == "manual"

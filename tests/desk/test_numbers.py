"""Accounts and references are found however their numbers are typed."""

import pytest
from django.urls import reverse

from accounts.queries import find_account
from cancellations.models import CancellationRequest
from cancellations.queries.requests import named_account
from cancellations.services.common import is_known_to_holder
from messaging.models import OutgoingMessage
from tests import cast

pytestmark = pytest.mark.django_db
SPELLINGS = ["AT-104233", "at 104233", "AT1O4233", "AT–104233", "at-104233."]


@pytest.fixture
def alice():
    cast.policy()
    return cast.subscription(cast.account(account_number="AT-104233"), reference="SUB-20001")


@pytest.mark.parametrize("typed", SPELLINGS)
def test_an_account_is_found(alice, typed):
    assert find_account(account_number=typed, username="") == alice.account
    assert find_account(account_number=typed, username=alice.account.username) == alice.account
    assert find_account(account_number=typed, username="somebody") is None


def test_of_two_numbers_that_look_alike_the_exact_one_is_found(alice):
    other = cast.account(account_number="AT104233")
    assert find_account(account_number="at104233", username="") == other
    assert find_account(account_number="AT-104233", username="") == alice.account
    assert find_account(account_number="AT 104233", username="") is None


@pytest.mark.parametrize("typed", ["", "-", "AT", "..."])
def test_next_to_nothing_finds_nobody(alice, typed):
    assert find_account(account_number=typed, username="") is None


@pytest.mark.parametrize("typed", [*SPELLINGS, "sub 20001", "SUB2OOO1"])
def test_a_request_is_matched_by_it(alice, typed):
    assert named_account(CancellationRequest(account_number_given=typed)) == alice.account
    request = CancellationRequest(email_given=alice.account.email)
    assert is_known_to_holder(request, typed)


@pytest.mark.parametrize("typed", ["{0}", "cr {1} {2}", "CR{1}{2}"])
def test_staff_and_customers_find_a_reference(alice, client, typed):
    request = cast.in_review(alice)
    _, first, second = request.reference.split("-")
    term = typed.format(request.reference, first.lower(), second.lower())
    desk = cast.at_desk(cast.staff("support"))
    found = desk.get(reverse("admin:cancellations_cancellationrequest_changelist"), {"q": term}).content.decode()
    assert request.reference in found
    client.post(reverse("follow"), {"reference": term, "email": request.email_given})
    assert OutgoingMessage.objects.filter(kind="follow_link", about=request.declaration).exists()

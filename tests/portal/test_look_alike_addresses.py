"""An address that Unicode's capitals make equal to somebody else's is still another address.

«ı» has the capital «I», «ſ» the capital «S»: a domain with them is a domain of its own, which a stranger can own.
"""

import pytest

from accounts.models import User
from accounts.queries import accounts_of
from accounts.services.customers import customer_who_may_sign_in
from cancellations.services.submission import send_follow_link
from messaging.addresses import are_same_address, fold_address
from messaging.models import OutgoingMessage
from tests import cast
from tests.portal.test_declarations import by_form, by_mail, prove

pytestmark = pytest.mark.django_db
LOOK_ALIKES = ["alice@gmaıl.example", "alice@gmail.exampleſ", "alıce@gmail.example", "ALİCE@gmail.example"]


@pytest.fixture
def alice():
    cast.policy()
    return cast.subscription(cast.account(email="Alice@gmail.example")).account


@pytest.mark.parametrize("address", LOOK_ALIKES)
def test_it_neither_signs_in_nor_reads(alice, address):
    assert customer_who_may_sign_in(email=address) is None
    assert not accounts_of(User(email=address))
    assert customer_who_may_sign_in(email=" ALICE@GMAIL.example ").email == "alice@gmail.example"


@pytest.mark.parametrize("address", LOOK_ALIKES)
def test_its_mail_is_matched_to_no_account(alice, address):
    row = prove(by_mail(alice, email=address, account_number="", username=""))
    assert (row.account, row.subscription) == (None, None)


@pytest.mark.parametrize("address", LOOK_ALIKES)
def test_its_proof_proves_nothing_else(alice, address):
    own = by_form(alice)
    prove(by_form(alice, email=address))
    assert cast.fresh(own).state == "unverified"
    send_follow_link(reference=own.declaration, email=address, now=cast.NOW)
    assert not OutgoingMessage.objects.filter(kind="follow_link").exists()
    send_follow_link(reference=own.declaration, email="ALICE@gmail.EXAMPLE", now=cast.NOW)
    assert OutgoingMessage.objects.filter(kind="follow_link").exists()


def test_only_the_letters_a_to_z_have_capitals():
    assert fold_address(" ÄB@C.example ") == "Äb@c.example"
    assert are_same_address("Alice@B.example", "alice@b.EXAMPLE")
    assert not any(are_same_address(address, "alice@gmail.example") for address in LOOK_ALIKES)

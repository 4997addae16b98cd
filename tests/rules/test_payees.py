import pytest

from billing.rules.payees import is_same_name


@pytest.mark.parametrize(
    ("payee", "customer"),
    [("Zoë Bäcker", "Zoe Baecker"), ("BÄCKER, ZOË", "Zoë Bäcker"), ("Zoë Bäcker", "Zoë Anna Bäcker"),
     ("Atnt GmbH", "ATNT"), ("Weiß", "Weiss"), ("山田 太郎", "太郎 山田")],
)  # fmt: skip
def test_the_same_name_in_another_writing(payee, customer):
    assert is_same_name(payee, customer)


@pytest.mark.parametrize(
    ("payee", "customer"), [("Zoë Bäcker", "Zoë Adler"), ("Bob", "Alice"), ("", "Alice"), ("Bob", "")]
)
def test_another_name(payee, customer):
    assert not is_same_name(payee, customer)

"""Numbers and references as people type them."""

import pytest

from cancellations.rules.recognition import recognise
from messaging.numbers import number_key, tidy_reference
from tests.cast import NOW


@pytest.mark.parametrize(
    "typed",
    [
        "AT-900001",
        "at-900001.",
        "AT 900001",
        "AT900001",
        " at–900001",
        "AT—900001",
        "AT-9OOOO1",
        "ＡＴ－９００００１",
        "A T 900 001",
    ],
)
def test_a_number_is_the_same_in_each_spelling(typed):
    assert number_key(typed) == "AT900001"


def test_another_number_is_another():
    assert number_key("AT-900001") != number_key("AT-900010")


@pytest.mark.parametrize(
    ("typed", "reference"),
    [
        ("CR-JF4N-XKT9", "CR-JF4N-XKT9"),
        ("cr jf4n xkt9", "CR-JF4N-XKT9"),
        ("CRJF4NXKT9", "CR-JF4N-XKT9"),
        ("cr–jf4n–xkt9.", "CR-JF4N-XKT9"),
        ("CR-JF4N-XKT9-2", "CR-JF4N-XKT9-2"),
        (" hello ", "HELLO"),
        ("", ""),
    ],
)
def test_a_reference_is_tidied(typed, reference):
    assert tidy_reference(typed) == reference


@pytest.mark.parametrize("typed", ["AT-1O4233", "at 104233", "AT–104233", "AT.104233", "AT104233"])
def test_a_mail_names_a_number_in_each_spelling(typed):
    words = f"Please cancel my subscription {typed} now."
    assert recognise("", words, example="AT-104233", received_on=NOW.date()).numbers == ("AT-104233",)

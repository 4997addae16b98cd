"""Addresses as they stand in headers: each is taken whole or not at all."""

import pytest

from messaging.address_syntax import addresses_in, is_sendable, needs_smtputf8

LONG = "a" * 65


class TestAddressesInAHeader:
    @pytest.mark.parametrize(
        ("header", "addresses"),
        [
            ("Alice <alice@customer.example>", [("Alice", "alice@customer.example")]),
            ("<alice@customer.example> (at work)", [("", "alice@customer.example")]),
            ("alice@customer.example (Alice (at work))", [("Alice (at work)", "alice@customer.example")]),
            ('"Adler, \\"Ali\\"" <a@b.example>, c@d.example', [('Adler, "Ali"', "a@b.example"), ("", "c@d.example")]),
            ("Team: a@b.example, <c@d.example>;", [("", "a@b.example"), ("", "c@d.example")]),
            ("Zoë <zoë@customer.example>", [("Zoë", "zoë@customer.example")]),
            ("Alice <alice@customer.example", [("Alice", "alice@customer.example")]),
            ("Alice alice@customer.example", [("", "alice@customer.example")]),
            ("Alice [mailto:alice@customer.example]", [("", "alice@customer.example")]),
            ("alice@[192.0.2.1]", [("", "alice@[192.0.2.1]")]),
            ("<>", []),
            ("Alice", []),
        ],
    )
    def test_have_the_name_beside_them(self, header, addresses):
        assert addresses_in(header) == addresses

    @pytest.mark.parametrize(
        ("header", "address"),
        [
            ('"alice adler"@customer.example', '"alice adler"@customer.example'),
            ('Alice <"alice@work"@customer.example>', '"alice@work"@customer.example'),
            ('<"al\\"ice"@customer.example>', '"al\\"ice"@customer.example'),
            ('<".alice"@customer.example>', '".alice"@customer.example'),
            ('"alice.adler"@customer.example', "alice.adler@customer.example"),
        ],
    )
    def test_may_have_a_quoted_local_part(self, header, address):
        ((_, read),) = addresses_in(header)
        assert read == address

    @pytest.mark.parametrize(
        "header",
        [
            f"{LONG}@customer.example",
            f"Alice <{LONG}@customer.example>",
            f"Alice {LONG}@customer.example",
            f'"{LONG}"@customer.example',
            f"<{'é' * 33}@customer.example>",
            f"alice@{'b' * 64}.example",
            f"alice@{'b.' * 130}example",
            "alice@customer.example@elsewhere.example",
            "<alice@customer.example@elsewhere.example>",
            "alice@customer..example",
        ],
    )
    def test_that_no_server_accepts_are_left_out_and_never_cut(self, header):
        assert addresses_in(header) == []

    def test_in_a_display_name_are_not_the_address(self):
        assert addresses_in("ceo@bigcorp.example <x@evil.example>") == [("ceo@bigcorp.example", "x@evil.example")]


@pytest.mark.parametrize(("local_part", "expected"), [("a" * 64, True), (LONG, False), ("é" * 32, True), ("", False)])
def test_the_limit_of_a_local_part_is_in_octets(local_part, expected):
    assert is_sendable(f"{local_part}@customer.example") is expected


def test_only_a_local_part_beyond_ascii_needs_smtputf8():
    assert needs_smtputf8("zoë@customer.example")
    assert not needs_smtputf8("zoe@bücher.example")

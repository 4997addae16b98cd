"""Whether money goes to the customer: comparing the name of an account holder. Pure: no Django, no clock."""

import re
import unicodedata

# How German names are written without umlauts, and what is left of them without marks
_UMLAUTS = {"ae": "a", "oe": "o", "ue": "u", "ß": "ss"}


def is_same_name(payee: str, customer: str) -> bool:
    """Whether the names have the same words, or one has all words of the other, in any order and writing."""
    one, other = _words(payee), _words(customer)
    return bool(one and other) and (one <= other or other <= one)


def _words(name: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    for written, letter in _UMLAUTS.items():
        plain = plain.replace(written, letter)
    return set(re.findall(r"\w+", plain))

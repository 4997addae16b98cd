"""Which passwords of staff are refused: what is soon guessed by somebody who knows the company and the person.

zxcvbn estimates the guesses (D. L. Wheeler, USENIX Security 2016). It knows 30,000 leaked passwords, names, words,
keyboard patterns, dates, repetitions and sequences. The company's and the person's own words count for nothing.
"""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from zxcvbn import zxcvbn

from accounts.models import User

LEAST_GUESSES = 10**10  # "very unguessable", zxcvbn's highest grade
MOST_CHARACTERS = 500
MOST_READ = 72  # characters; what follows makes a password only better
SHORTEST_WORD = 3
WORDS_HERE = ("portal", "staff", "support", "admin", "administrator", "cancel", "cancellation", "refund", "password")
LOOK_ALIKES = str.maketrans("4@3105$7", "aaeiosst")


class NotGuessable:
    """A validator of AUTH_PASSWORD_VALIDATORS."""

    def validate(self, password: str, user: object = None) -> None:
        words = _words(user)
        if min(_guesses(variant, words) for variant in _variants(password[:MOST_READ])) < LEAST_GUESSES:
            raise ValidationError(
                "This password is easy to guess. Use several words that have nothing to do with you or the company, "
                "or one that your password manager makes.",
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        return (
            "Several unusual words are good, and so is what a password manager makes. Words of the company and your "
            "own count for nothing."
        )


class NotTooLong:
    """A validator of AUTH_PASSWORD_VALIDATORS: no password is chosen that the sign-in page would refuse."""

    def validate(self, password: str, user: object = None) -> None:
        if len(password) > MOST_CHARACTERS:
            raise ValidationError(f"Use at most {MOST_CHARACTERS} characters.", code="password_too_long")

    def get_help_text(self) -> str:
        return ""


def is_weak(password: str, user: User) -> bool:
    """Whether a password that was chosen before would be refused today."""
    try:
        validate_password(password, user)
    except ValidationError:
        return True
    return False


def _guesses(text: str, words: list[str]) -> float:
    """How many guesses the text needs without the words."""
    rest = re.sub("|".join(map(re.escape, words)), "", text)
    return float(zxcvbn(rest)["guesses"]) if rest else 1


def _variants(password: str) -> Iterator[str]:
    """The password as typed, with digits and signs that stand for letters, and backwards; in small letters."""
    text = unicodedata.normalize("NFKC", password).casefold()
    for variant in (text, text.translate(LOOK_ALIKES)):
        yield variant
        yield variant[::-1]


def _words(user: object) -> list[str]:
    """The words of the company and the person, the longest first."""
    texts = [settings.BRAND_NAME, settings.COMPANY_NAME, settings.SUPPORT_EMAIL, urlsplit(settings.SITE_URL).hostname]
    if isinstance(user, User):
        texts += [user.name, user.email]
    words = {word for text in texts for word in re.split(r"[\W_]+", (text or "").casefold())} | set(WORDS_HERE)
    return sorted((word for word in words if len(word) >= SHORTEST_WORD), key=lambda word: (-len(word), word))

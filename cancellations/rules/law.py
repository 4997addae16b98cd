"""What the law of a place says and what it changes, with sources and the days on which it holds. Pure: no Django."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Requirement = Literal["needed", "optional", "never"]


@dataclass(frozen=True)
class Source:
    title: str
    url: str
    language: str = "en"  # of the title


@dataclass(frozen=True)
class Statement:
    """A sentence about the law of a place, or about what we do without a law (`source` is None).

    It holds from `valid_from` on and before `valid_to`, the first day on which it no longer does. `read_on` is the day
    on which somebody read it. What nobody has verified is shown as such, and the portal does not act on it.
    `announced` says in words when it is expected to hold, if the day is not set; `valid_from` is then the earliest.
    """

    text: str
    source: Source | None = None
    valid_from: date | None = None
    read_on: date | None = None
    valid_to: date | None = None
    verified: bool = True
    announced: str = ""

    def holds(self, day: date) -> bool:
        is_current = (self.valid_from or day) <= day and (self.valid_to is None or day < self.valid_to)
        return self.verified and is_current


@dataclass(frozen=True)
class WithdrawalWords:
    """The words of the buttons for the cooling-off right in a language that the portal's pages do not speak."""

    language: str
    entry_label: str
    confirm_label: str


@dataclass(frozen=True)
class Profile:
    """A jurisdiction. If `labels_in` names a language, the labels are the words of the law in that language.

    `withdrawal_words` replace the labels of the cooling-off right, except on pages in one of the languages `speaks`.
    """

    code: str
    name: str
    countries: frozenset[str]
    entry_label: str
    confirm_label: str
    statements: tuple[Statement, ...]
    regions: frozenset[str] = frozenset()  # of the countries, if the profile is for these alone
    labels_in: str = ""
    one_page: bool = False  # the form declares at once, and nothing else is on its page
    identity: tuple[str, ...] = ("account_number", "username", "email")  # what a guest enters
    reason: Requirement = "never"
    offers: bool = False  # an offer to stay may stand on the entry page
    end_notice: bool = False  # the confirmation is the end-of-contract notice that the law requires
    cooling_off: bool = True  # each page links to the form of the cooling-off right
    withdrawal_words: WithdrawalWords | None = None
    speaks: frozenset[str] = frozenset()

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of all statements, each once."""
        return tuple(dict.fromkeys(each.source for each in self.statements if each.source is not None))


@dataclass(frozen=True)
class Change:
    """A statement about a place that began or ceased to hold on a day. `is_settled` is False if nobody verified it."""

    day: date
    place: str
    statement: Statement
    is_new: bool

    @property
    def is_settled(self) -> bool:
        return self.statement.verified


def changes(places: dict[str, tuple[Statement, ...]]) -> list[Change]:
    """Returns what changed when, newest first, by the names of the places."""
    found = [
        Change(day, place, statement, is_new)
        for place, statements in places.items()
        for statement in statements
        for day, is_new in ((statement.valid_from, True), (statement.valid_to, False))
        if day is not None
    ]
    return sorted(found, key=lambda change: change.day, reverse=True)


def statement_texts(statements: tuple[Statement, ...]) -> list[str]:
    """Returns the English texts, for the translation catalogues."""
    return [text for each in statements for text in (each.text, each.announced) if text]

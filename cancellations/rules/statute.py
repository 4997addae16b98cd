"""The latest end that the law of a place allows, beside the policy's own. Pure: no Django, no clock.

Some places limit how long a consumer can be held after the first term. Each rule is one entry of `RULES`, with its
source and the day on which somebody read it. A rule that nobody has verified is kept, marked so, and never applied.
This is no legal advice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from billing.rules.periods import Interval, next_billing_date, period_containing
from cancellations.rules.law import Profile, Source, Statement
from cancellations.rules.reminders import reminder_statements


@dataclass(frozen=True)
class StatutoryEnd:
    """The latest end by law: the first day without service.

    `refund_days` are the calendar days within which the unused part has to be paid back; None where the law sets none.
    `assumed` names the parameters of `latest_end` that were not known and that the date rests on.
    """

    effective_on: date
    source: str
    refund_days: int | None = None
    assumed: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Contract:
    """What a rule looks at; all dates are local to the account.

    `term_ends_on` is the end of the minimum term, or without one the first billing date after the start.
    `renewed_on` is the last renewal at or before the receipt; None within the first term.
    """

    received_on: date
    term_ends_on: date
    renewed_on: date | None
    reminded_on: date | None


@dataclass(frozen=True)
class Rule:
    """One rule of one country (ISO 3166-1 alpha-2).

    It applies to contracts concluded from `contracts_from` on, and to requests received from `valid_from` on and
    before `valid_to` (the first day on which it no longer holds). `end` gives the latest end, or None.
    """

    country: str
    text: str
    source: str
    url: str
    end: Callable[[Contract], date | None]
    valid_from: date
    read_on: date
    valid_to: date | None = None
    contracts_from: date | None = None
    refund_days: int | None = None
    verified: bool = True

    @property
    def statement(self) -> Statement:
        """What customers read about the rule."""
        source = Source(self.source, self.url, self.country.lower())
        return Statement(
            self.text, source, self.valid_from, self.read_on, valid_to=self.valid_to, verified=self.verified
        )

    def applies(self, country: str, *, received_on: date, concluded_on: date) -> bool:
        return (
            self.verified
            and self.country == country
            and self.valid_from <= received_on
            and (self.valid_to is None or received_on < self.valid_to)
            and (self.contracts_from is None or self.contracts_from <= concluded_on)
        )


def _month_after_receipt(contract: Contract) -> date:
    """After the term, at most one month of notice: the request takes effect on the day after that month."""
    return max(contract.term_ends_on, contract.received_on + relativedelta(months=1) + timedelta(days=1))


def _at_once_without_reminder(*, earliest: relativedelta, latest: relativedelta) -> Callable[[Contract], date | None]:
    """At once, if the contract was renewed without a reminder in time.

    The last day to refuse a renewal is the day before it. A reminder is in time from `earliest` to `latest` before
    that day, both included.
    """

    def end(contract: Contract) -> date | None:
        if contract.renewed_on is None:
            return None
        last_day = contract.renewed_on - timedelta(days=1)
        reminded_on = contract.reminded_on
        in_time = reminded_on is not None and last_day - earliest <= reminded_on <= last_day - latest
        return None if in_time else contract.received_on

    return end


MONTH_TEXT = (
    "After the first term, the contract of a consumer ends at most one month after the day on which the cancellation "
    "arrived."
)
RULES: tuple[Rule, ...] = (
    Rule(
        country="DE",
        text=MONTH_TEXT,
        source="BGB § 309 Nr. 9",
        url="https://www.gesetze-im-internet.de/bgb/__309.html",
        end=_month_after_receipt,
        contracts_from=date(2022, 3, 1),
        valid_from=date(2022, 3, 1),
        read_on=date(2026, 11, 25),
    ),
    Rule(
        country="NL",
        text=MONTH_TEXT,
        source="BW 6:236 sub j, p",
        url="https://wetten.overheid.nl/BWBR0005289/",
        end=_month_after_receipt,
        contracts_from=date(2011, 12, 1),
        valid_from=date(2011, 12, 1),
        read_on=date(2026, 11, 25),
    ),
    Rule(
        country="FR",
        text="After a renewal, the contract of a consumer ends at once if no reminder came one to three months before "
        "the last day to refuse the renewal. The unused part is paid back within 30 days.",
        source="Code de la consommation L215-1",
        url="https://www.legifrance.gouv.fr/codes/article_lc/LEGIARTI000032227035",
        end=_at_once_without_reminder(earliest=relativedelta(months=3), latest=relativedelta(months=1)),
        valid_from=date(2016, 7, 1),
        read_on=date(2026, 11, 25),
        refund_days=30,
    ),
    Rule(
        country="IT",
        text="After a renewal, the contract of a consumer ends at once if no reminder came at least 30 days before.",
        source="Codice del consumo art. 65-bis",
        url="https://www.normattiva.it/uri-res/N2Ls?urn:nir:stato:decreto.legislativo:2005-09-06;206~art65bis",
        end=_at_once_without_reminder(earliest=relativedelta(years=1), latest=relativedelta(days=30)),
        valid_from=date(2023, 12, 31),
        read_on=date(2026, 11, 25),
    ),
)


def statements_of(profile: Profile) -> tuple[Statement, ...]:
    """Returns what customers read about the law of the profile: about the form, and about the latest end."""
    return (
        *profile.statements,
        *(rule.statement for rule in RULES if rule.country in profile.countries),
        *reminder_statements(profile),
    )


def latest_end(
    *,
    received_on: date,
    started_on: date,
    anchor: date,
    interval: Interval,
    country: str,
    consumer: bool,
    minimum_term_ends_on: date | None = None,
    concluded_on: date | None = None,
    reminded_on: date | None = None,
) -> StatutoryEnd | None:
    """The latest end by the law of the country on the day of receipt; None where no rule sets one.

    A contract whose day of conclusion is not known (`concluded_on` is None) counts as concluded on its start.
    `reminded_on` is the day on which the customer was reminded of the renewal. Raises ValueError where the calendar
    ends.
    """
    if not consumer:
        return None
    try:
        contract = _contract(received_on, started_on, anchor, interval, minimum_term_ends_on, reminded_on)
        for rule in RULES:
            if rule.applies(country.upper(), received_on=received_on, concluded_on=concluded_on or started_on):
                effective_on = rule.end(contract)
                if effective_on is not None:
                    is_conclusion_assumed = concluded_on is None and rule.contracts_from is not None
                    is_term_assumed = (
                        minimum_term_ends_on is None and received_on < effective_on == contract.term_ends_on
                    )
                    assumed = ("concluded_on",) * is_conclusion_assumed + ("minimum_term_ends_on",) * is_term_assumed
                    return StatutoryEnd(effective_on, rule.source, rule.refund_days, assumed)
    except OverflowError as error:
        raise ValueError(f"The calendar ends before the latest end of a request received on {received_on}.") from error
    return None


def _contract(
    received_on: date,
    started_on: date,
    anchor: date,
    interval: Interval,
    minimum_term_ends_on: date | None,
    reminded_on: date | None,
) -> Contract:
    term_ends_on = minimum_term_ends_on or next_billing_date(anchor, interval, started_on)
    renewed_on = None
    if received_on >= term_ends_on:
        in_periods = received_on >= anchor
        renewed_on = max(
            term_ends_on, period_containing(anchor, interval, received_on).start if in_periods else term_ends_on
        )
    return Contract(received_on, term_ends_on, renewed_on, reminded_on)

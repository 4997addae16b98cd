"""Reminders of a renewal that the law of a place asks for. Pure: data, no Django, no clock. This is no legal advice."""

from dataclasses import dataclass
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from cancellations.rules.law import Profile, Source, Statement

ALL_PERIODS = 31  # days: shorter and monthly periods are never reminded of, they renew more often than the law counts


@dataclass(frozen=True)
class ReminderRule:
    """A consumer is reminded from `earliest` to `latest` before the last day to cancel, both included.

    It applies to the country (ISO 3166-1 alpha-2), or to one of its regions, and to periods of more than `over_days`.
    """

    country: str
    statement: Statement
    earliest: relativedelta
    latest: relativedelta
    region: str = ""
    over_days: int = ALL_PERIODS
    counts_to_renewal: bool = False

    def is_due(self, *, today: date, last_day: date, renews_on: date, period_days: int) -> bool:
        """Whether a reminder is due today, for a renewal on `renews_on` that can be refused until `last_day`.

        With `counts_to_renewal`, a reminder also has to be in time for the day before the renewal, as
        `statute.latest_end` counts, which knows no notice period.
        """
        counted_day = renews_on - timedelta(days=1) if self.counts_to_renewal else last_day
        in_time = counted_day - self.earliest <= today <= last_day - self.latest
        return self.statement.holds(today) and period_days > self.over_days and in_time


RULES: tuple[ReminderRule, ...] = (
    ReminderRule(
        "FR",
        Statement(
            "We remind consumers one to three months before the last day to refuse a renewal.",
            Source(
                "Code de la consommation, article L. 215-1",
                "https://www.legifrance.gouv.fr/codes/article_lc/LEGIARTI000032227035",
                "fr",
            ),
            date(2016, 7, 1),
            date(2026, 11, 26),
        ),
        relativedelta(months=3),
        relativedelta(months=1),
        counts_to_renewal=True,
    ),
    ReminderRule(
        "IT",
        Statement(
            "We remind consumers at least 30 days before the last day to refuse a renewal.",
            Source(
                "Codice del consumo, articolo 65-bis",
                "https://www.normattiva.it/uri-res/N2Ls?urn:nir:stato:decreto.legislativo:2005-09-06;206~art65bis",
                "it",
            ),
            date(2023, 12, 31),
            date(2026, 11, 26),
        ),
        relativedelta(days=60),
        relativedelta(days=30),
    ),
    ReminderRule(
        "ES",
        Statement(
            "We remind consumers at least 15 days before a renewal.",
            Source("Ley 10/2025, de 26 de diciembre", "https://www.boe.es/eli/es/l/2025/12/26/10", "es"),
            date(2025, 12, 28),
            date(2026, 11, 26),
        ),
        relativedelta(days=45),
        relativedelta(days=15),
    ),
    ReminderRule(
        "US",
        Statement(
            "We remind consumers 5 to 30 days before the last day to cancel, if the period is longer than 31 days.",
            Source(
                "940 Code of Massachusetts Regulations 38.05",
                "https://www.mass.gov/regulations/940-CMR-3800-unfair-and-deceptive-fees",
            ),
            date(2025, 9, 2),
            date(2026, 11, 26),
        ),
        relativedelta(days=30),
        relativedelta(days=5),
        region="MA",
    ),
    ReminderRule(
        "US",
        Statement(
            "We remind consumers 15 to 45 days before the last day to cancel, if the period is a year or longer.",
            Source("New York General Business Law, § 527-a", "https://www.nysenate.gov/legislation/laws/GBS/527-A"),
            date(2023, 12, 13),
            date(2026, 11, 26),
        ),
        relativedelta(days=45),
        relativedelta(days=15),
        region="NY",
        over_days=364,
    ),
)


def reminder_rule(country: str, region: str) -> ReminderRule | None:
    """Returns the rule of a place; None if its law asks for no reminder, as in Germany."""
    rules = (rule for rule in RULES if rule.country == country.upper() and rule.region in ("", region.upper()))
    return next(rules, None)


def reminder_statements(profile: Profile) -> tuple[Statement, ...]:
    """Returns what customers read about the reminders of a place."""
    return tuple(
        rule.statement
        for rule in RULES
        if rule.country in profile.countries
        and (rule.region in profile.regions if rule.region else not profile.regions)
    )

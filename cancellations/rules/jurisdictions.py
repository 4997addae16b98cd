"""Jurisdiction profiles: what the law of a place changes about a cancellation. Pure: data, no Django.

This is no legal advice. Each profile names its sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DEFAULT = "default"
_CODES = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
EU = frozenset(_CODES.split(" "))  # with the EEA, where the same directives hold

Requirement = Literal["needed", "optional", "never"]


@dataclass(frozen=True)
class Source:
    title: str
    url: str
    language: str = "en"  # of the title


@dataclass(frozen=True)
class Profile:
    """A jurisdiction. If `labels_in` names a language, the labels are the words of the law in that language."""

    code: str
    name: str
    countries: frozenset[str]
    entry_label: str
    confirm_label: str
    sources: tuple[Source, ...]
    summary: tuple[str, ...]
    regions: frozenset[str] = frozenset()  # of the countries, if the profile is for these alone
    labels_in: str = ""
    one_page: bool = False  # the form declares at once, and nothing else is on its page
    identity: tuple[str, ...] = ("account_number", "username", "email")  # what a guest enters
    reason: Requirement = "never"
    offers: bool = False  # an offer to stay may stand on the entry page
    end_notice: bool = False  # the confirmation is the end-of-contract notice that the law requires


PROFILES: Mapping[str, Profile] = {
    profile.code: profile
    for profile in (
        Profile(
            code=DEFAULT,
            name="Everywhere else",
            countries=frozenset(),
            reason="needed",
            offers=True,
            sources=(),
            summary=(
                "You fill in a form, check your answers with the end date, and confirm.",
                "We ask for the account number, the username, an e-mail address and a reason.",
            ),
            entry_label="Cancel a subscription",
            confirm_label="Cancel my subscription",
        ),
        Profile(
            code="DE",
            name="Germany",
            countries=frozenset({"DE"}),
            entry_label="Verträge hier kündigen",
            confirm_label="jetzt kündigen",
            labels_in="de",
            one_page=True,
            identity=("name", "account_number", "email"),
            summary=(
                "One page with one button and nothing else. You need no reason and no sign-in.",
                "You can save the declaration with date and time, and a message confirms its content, its receipt "
                "and the end at once.",
                "Without a date, the contract ends as early as possible.",
            ),
            sources=(
                Source("Bürgerliches Gesetzbuch, § 312k", "https://www.gesetze-im-internet.de/bgb/__312k.html", "de"),
                Source("Bürgerliches Gesetzbuch, § 314", "https://www.gesetze-im-internet.de/bgb/__314.html", "de"),
            ),
        ),
        Profile(
            code="FR",
            name="France",
            countries=frozenset({"FR"}),
            entry_label="Résilier votre contrat",
            confirm_label="Notifier la résiliation",
            labels_in="fr",
            identity=("name", "account_number", "email"),
            summary=(
                "Before you give notice of cancellation, you see a summary where you can change everything.",
                "You never need to create an account, and you give a reason only where the law requires one.",
            ),
            sources=(
                Source(
                    "Code de la consommation, articles L. 215-1-1 et D. 215-1 à D. 215-3",
                    "https://www.legifrance.gouv.fr/codes/id/LEGITEXT000006069565/",
                    "fr",
                ),
            ),
        ),
        Profile(
            code="US-CA",
            name="California",
            countries=frozenset({"US"}),
            regions=frozenset({"CA"}),
            entry_label="Cancel subscription",
            confirm_label="Click to cancel",
            reason="optional",
            offers=True,
            summary=(
                "Online, at any time, without obstacles. The reason is optional.",
                "An offer to stay appears only next to an equally visible button to cancel.",
            ),
            sources=(
                Source(
                    "California Business and Professions Code, § 17602",
                    "https://leginfo.legislature.ca.gov/faces/codes_displaySection.xhtml?lawCode=BPC&sectionNum=17602",
                ),
            ),
        ),
        Profile(
            code="US",
            name="United States, except California",
            countries=frozenset({"US"}),
            entry_label="Cancel subscription",
            confirm_label="Click to cancel",
            reason="optional",
            summary=(
                "Online, at any time, without obstacles. The reason is optional.",
                "There is no offer to stay, because some states restrict it and we have not read the law of each "
                "state.",
            ),
            sources=(
                Source(
                    "Restore Online Shoppers’ Confidence Act, 15 U.S.C. § 8403",
                    "https://www.law.cornell.edu/uscode/text/15/8403",
                ),
            ),
        ),
        Profile(
            code="UK",
            name="United Kingdom",
            countries=frozenset({"GB"}),
            reason="needed",
            offers=True,
            end_notice=True,
            summary=(
                "Online and straightforward.",
                "The end-of-contract notice comes within 24 hours of an online request: here, at once.",
            ),
            sources=(
                Source(
                    "Digital Markets, Competition and Consumers Act 2024, part 4, chapter 2",
                    "https://www.legislation.gov.uk/ukpga/2024/13/part/4/chapter/2",
                ),
            ),
            entry_label="Cancel a subscription",
            confirm_label="Cancel my subscription",
        ),
    )
}


@dataclass(frozen=True)
class CoolingOffRight:
    """The right to withdraw from a new contract without a reason, in two steps."""

    countries: frozenset[str]
    entry_label: str
    confirm_label: str
    identity: tuple[str, ...]
    days: int  # counted from the day after the conclusion
    refund_days: int  # calendar days from receipt to repayment
    summary: tuple[str, ...]
    sources: tuple[Source, ...]


COOLING_OFF = CoolingOffRight(
    countries=EU,
    entry_label="Withdraw from contract here",
    confirm_label="Confirm withdrawal",
    identity=("name", "account_number", "email"),
    days=14,
    refund_days=14,
    summary=(
        "Within the cooling-off days you withdraw in two steps; we ask for name, contract and address only, and for "
        "none of them if you are signed in.",
        "What you paid is returned within 14 days.",
    ),
    sources=(
        Source(
            "Directive 2011/83/EU, articles 9 to 13, and article 11a by Directive (EU) 2023/2673",
            "https://eur-lex.europa.eu/eli/dir/2023/2673/oj",
        ),
    ),
)


def profile_for(country: str, default: str = DEFAULT, *, region: str = "") -> Profile:
    """Returns the profile of a country (ISO 3166-1 alpha-2), or `default` (a code) if the country is not known.

    A profile of the region (ISO 3166-2 without the country) comes first. Raises KeyError if `default` names no profile.
    """
    if not country:
        return PROFILES[default]
    of_country = [profile for profile in PROFILES.values() if country.upper() in profile.countries]
    of_region = [profile for profile in of_country if region.upper() in profile.regions]
    of_all = [profile for profile in of_country if not profile.regions]
    return next(iter(of_region + of_all), PROFILES[DEFAULT])


def countries_with_profile() -> frozenset[str]:
    """Returns the countries that have a profile or the cooling-off right."""
    return EU.union(*(profile.countries for profile in PROFILES.values()))


def texts() -> list[str]:
    """Returns the English texts of the profiles, for the translation catalogues. The law's own words are left out."""
    english = [COOLING_OFF.entry_label, COOLING_OFF.confirm_label, *COOLING_OFF.summary]
    for profile in PROFILES.values():
        english += [
            profile.name,
            *profile.summary,
            *(() if profile.labels_in else (profile.entry_label, profile.confirm_label)),
        ]
    return english

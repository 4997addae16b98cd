"""What the law of a place makes different when somebody leaves there. Pure: data, without Django.

Public law in testable sentences, and no legal advice. Each profile names the sources that it rests on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DEFAULT = "default"
_CODES = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
EU = frozenset(_CODES.split(" "))  # with the EEA, where the same directives hold

Asked = Literal["needed", "optional", "never"]


@dataclass(frozen=True)
class Source:
    title: str
    url: str
    language: str = "en"  # of the title


@dataclass(frozen=True)
class Profile:
    """A place. Labels are the law's own words where `labels_in` names their language, else they are translated."""

    code: str
    name: str
    countries: frozenset[str]
    entry_label: str
    confirm_label: str
    sources: tuple[Source, ...]
    summary: tuple[str, ...]
    labels_in: str = ""
    one_page: bool = False  # no page between the form and the declaration, and nothing else on it
    identity: tuple[str, ...] = ("account_number", "username", "email")  # what a guest is asked
    reason: Asked = "never"
    offers: bool = False  # an offer to stay may stand on the entry page
    end_notice: bool = False  # the message that confirms the end is the notice which the law demands


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
                "One page and one button, with nothing else on it; without a reason and without a sign-in.",
                "You can save the declaration with date and time, and a message confirms its content, its receipt "
                "and the end at once.",
                "Without a date, the contract ends as early as it can.",
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
                "A summary on which everything can be changed comes before the notice of cancellation.",
                "Never with an account to be made, and with a ground only where the law needs one.",
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
            name="United States (by the law of California)",
            countries=frozenset({"US"}),
            entry_label="Cancel subscription",
            confirm_label="Click to cancel",
            reason="optional",
            offers=True,
            summary=(
                "Online, at will, without a step that obstructs; the reason is optional.",
                "An offer to stay stands only beside a button to cancel that is just as visible.",
            ),
            sources=(
                Source(
                    "California Business and Professions Code, § 17602",
                    "https://leginfo.legislature.ca.gov/faces/codes_displaySection.xhtml?lawCode=BPC&sectionNum=17602",
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
    """Leaving a contract within the first days of it, without a reason: two steps, and nothing asked twice."""

    countries: frozenset[str]
    entry_label: str
    confirm_label: str
    identity: tuple[str, ...]
    days: int  # counted from the day after the conclusion
    refund_days: int  # calendar days from the receipt of the declaration to the money's return
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


def profile_for(country: str, default: str = DEFAULT) -> Profile:
    """The profile of a country (ISO 3166-1, two letters); that of the site where the country is not known.

    Raises KeyError where the site's default names no profile.
    """
    if not country:
        return PROFILES[default]
    return next((one for one in PROFILES.values() if country.upper() in one.countries), PROFILES[DEFAULT])


def known_countries() -> frozenset[str]:
    """The countries whose law makes a difference here."""
    return EU.union(*(one.countries for one in PROFILES.values()))


def texts() -> list[str]:
    """All English text of the profiles, for the catalogues of translations; not the law's own words."""
    found = [COOLING_OFF.entry_label, COOLING_OFF.confirm_label, *COOLING_OFF.summary]
    for one in PROFILES.values():
        found += [one.name, *one.summary, *(() if one.labels_in else (one.entry_label, one.confirm_label))]
    return found

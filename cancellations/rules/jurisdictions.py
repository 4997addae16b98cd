"""Jurisdiction profiles: what the law of a place changes about a cancellation. Pure: data, no Django.

This is no legal advice. Each sentence names its source, the day from which it holds, and the day on which it was read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from cancellations.rules.law import Profile, Source, Statement, WithdrawalWords, statement_texts

DEFAULT = "default"
_CODES = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
EU = frozenset(_CODES.split(" "))  # with the EEA, where the same directives hold

READ = date(2026, 11, 26)
CONSUMER_RIGHTS = Source("Directive 2011/83/EU, articles 9 to 14", "https://eur-lex.europa.eu/eli/dir/2011/83/oj")
WITHDRAWAL_BUTTON = Source(
    "Directive (EU) 2023/2673, which adds article 11a to Directive 2011/83/EU",
    "https://eur-lex.europa.eu/eli/dir/2023/2673/oj",
)
BUTTON_FROM = date(2026, 6, 19)  # Directive (EU) 2023/2673, article 2
DMCC = Source(
    "Digital Markets, Competition and Consumers Act 2024, part 4, chapter 2",
    "https://www.legislation.gov.uk/ukpga/2024/13/part/4/chapter/2",
)
SPRING_2027 = date(2027, 3, 20)  # announced for spring 2027; the day is not set


def _german() -> Profile:
    button = Source("Bürgerliches Gesetzbuch, § 312k", "https://www.gesetze-im-internet.de/bgb/__312k.html", "de")
    cause = Source("Bürgerliches Gesetzbuch, § 314", "https://www.gesetze-im-internet.de/bgb/__314.html", "de")
    words = Source("Bürgerliches Gesetzbuch, § 356a", "https://www.gesetze-im-internet.de/bgb/__356a.html", "de")
    since = date(2022, 7, 1)
    return Profile(
        code="DE",
        name="Germany",
        countries=frozenset({"DE"}),
        entry_label="Verträge hier kündigen",
        confirm_label="jetzt kündigen",
        labels_in="de",
        one_page=True,
        identity=("name", "account_number", "email"),
        statements=(
            Statement(
                "One page with one button and nothing else. You need no reason and no sign-in.", button, since, READ
            ),
            Statement(
                "You can save the declaration with date and time, and a message confirms its content, its receipt "
                "and the end at once.",
                button,
                since,
                READ,
            ),
            Statement("Without a date, the contract ends as early as possible.", button, since, READ),
            Statement(
                "For an important reason you can end the contract at once, without notice.",
                cause,
                date(2002, 1, 1),
                READ,
            ),
            Statement(
                "The buttons of the cooling-off right say “Vertrag widerrufen” and “Widerruf bestätigen”.",
                words,
                BUTTON_FROM,
                READ,
            ),
        ),
    )


def _french() -> Profile:
    online = Source(
        "Code de la consommation, articles L. 215-1-1 et D. 215-1 à D. 215-3",
        "https://www.legifrance.gouv.fr/codes/id/LEGITEXT000006069565/",
        "fr",
    )
    words = Source(
        "Code de la consommation, article L. 221-21",
        "https://www.legifrance.gouv.fr/codes/article_lc/LEGIARTI000032226842",
        "fr",
    )
    since = date(2023, 6, 1)
    return Profile(
        code="FR",
        name="France",
        countries=frozenset({"FR"}),
        entry_label="Résilier votre contrat",
        confirm_label="Notifier la résiliation",
        labels_in="fr",
        identity=("name", "account_number", "email"),
        statements=(
            Statement(
                "Before you give notice of cancellation, you see a summary where you can change everything.",
                online,
                since,
                READ,
            ),
            Statement(
                "You never need to create an account, and you give a reason only where the law requires one.",
                online,
                since,
                READ,
            ),
            Statement("The button of the cooling-off right says “renoncer au contrat ici”.", words, BUTTON_FROM, READ),
        ),
    )


def _european(
    code: str, name: str, *statements: Statement, words: WithdrawalWords | None = None, speaks: str = ""
) -> Profile:
    """A country of the EU whose law asks for no other form. No offer, because its law on offers is not read."""
    return Profile(
        code=code,
        name=name,
        countries=frozenset({code}),
        entry_label="Cancel a subscription",
        confirm_label="Cancel my subscription",
        reason="needed",
        statements=statements,
        withdrawal_words=words,
        speaks=frozenset(speaks.split()),
    )


def _europeans() -> tuple[Profile, ...]:
    dutch = Source("Burgerlijk Wetboek, artikel 6:230oa", "https://wetten.overheid.nl/BWBR0005289/", "nl")
    italian = Source(
        "Codice del consumo, articolo 54-bis",
        "https://www.normattiva.it/uri-res/N2Ls?urn:nir:stato:decreto.legislativo:2005-09-06;206~art54bis",
        "it",
    )
    austrian = Source(
        "Fern- und Auswärtsgeschäfte-Gesetz, §§ 11 bis 16",
        "https://www.ris.bka.gv.at/GeltendeFassung.wxe?Abfrage=Bundesnormen&Gesetzesnummer=20008847",
        "de",
    )
    belgian = Source(
        "Code de droit économique, article VI.91",
        "https://www.ejustice.just.fgov.be/eli/loi/2013/02/28/2013A11134/justel",
        "fr",
    )
    return (
        _european(
            "NL",
            "Netherlands",
            Statement(
                "The cooling-off right has a visible button of its own: “hier de overeenkomst ontbinden”, and then "
                "“ontbinding bevestigen”.",
                dutch,
                BUTTON_FROM,
                READ,
            ),
            words=WithdrawalWords("nl", "hier de overeenkomst ontbinden", "ontbinding bevestigen"),
        ),
        _european(
            "IT",
            "Italy",
            Statement(
                "The buttons of the cooling-off right say “recedere dal contratto qui” and “conferma recesso”.",
                italian,
                BUTTON_FROM,
                READ,
            ),
            words=WithdrawalWords("it", "recedere dal contratto qui", "conferma recesso"),
        ),
        _european(
            "ES",
            "Spain",
            Statement(
                "The buttons of the cooling-off right say “desistir del contrato aquí” and “confirmar desistimiento”, "
                "the words of the Spanish text of the directive.",
                WITHDRAWAL_BUTTON,
                BUTTON_FROM,
                READ,
            ),
            words=WithdrawalWords("es", "desistir del contrato aquí", "confirmar desistimiento"),
        ),
        _european(
            "AT",
            "Austria",
            Statement(
                "On German pages the buttons of the cooling-off right say “Vertrag widerrufen” and “Widerruf "
                "bestätigen”, the words of the German text of the directive.",
                WITHDRAWAL_BUTTON,
                BUTTON_FROM,
                READ,
            ),
            Statement(
                "Austrian law calls the cooling-off right “Rücktritt”.",
                austrian,
                date(2014, 6, 13),
                READ,
                verified=False,
            ),
        ),
        _european(
            "BE",
            "Belgium",
            Statement(
                "The buttons of the cooling-off right say “overeenkomst hier herroepen” and “herroeping bevestigen”, "
                "on French and German pages the words of these texts of the directive.",
                WITHDRAWAL_BUTTON,
                BUTTON_FROM,
                READ,
            ),
            Statement(
                "A contract that was renewed tacitly can be ended at any time, with at most two months of notice.",
                belgian,
                date(2014, 5, 31),
                READ,
                verified=False,
            ),
            words=WithdrawalWords("nl", "overeenkomst hier herroepen", "herroeping bevestigen"),
            speaks="fr de",
        ),
    )


def _american(code: str, name: str, *statements: Statement, state: str = "", offers: bool = False) -> Profile:
    """The United States, or one of them. Offers only where the law of the state is read and allows them."""
    return Profile(
        code=code,
        name=name,
        countries=frozenset({"US"}),
        regions=frozenset({state} if state else ()),
        entry_label="Cancel subscription",
        confirm_label="Click to cancel",
        reason="optional",
        offers=offers,
        cooling_off=False,
        statements=statements,
    )


def _americans() -> tuple[Profile, ...]:
    federal = Source(
        "Restore Online Shoppers’ Confidence Act, 15 U.S.C. § 8403", "https://www.law.cornell.edu/uscode/text/15/8403"
    )
    california = Source(
        "California Business and Professions Code, § 17602",
        "https://leginfo.legislature.ca.gov/faces/codes_displaySection.xhtml?lawCode=BPC&sectionNum=17602",
    )
    new_york = Source("New York General Business Law, § 527-a", "https://www.nysenate.gov/legislation/laws/GBS/527-A")
    massachusetts = Source(
        "940 Code of Massachusetts Regulations 38.05",
        "https://www.mass.gov/regulations/940-CMR-3800-unfair-and-deceptive-fees",
    )
    minnesota = Source(
        "Minnesota Statutes, sections 325G.56 to 325G.62", "https://www.revisor.mn.gov/statutes/cite/325G"
    )
    online = "Online, at any time, without obstacles. The reason is optional."
    return (
        _american(
            "US-CA",
            "California",
            Statement(online, california, date(2018, 7, 1), READ),
            Statement(
                "An offer to stay appears only next to an equally visible button to cancel.",
                california,
                date(2025, 7, 1),
                READ,
            ),
            state="CA",
            offers=True,
        ),
        _american(
            "US-NY",
            "New York",
            Statement(online, new_york, date(2021, 2, 9), READ),
            Statement(
                "There is no offer to stay, because we have not verified what the law of this state allows.",
                new_york,
                date(2025, 11, 5),
                READ,
            ),
            state="NY",
        ),
        _american(
            "US-MA",
            "Massachusetts",
            Statement(online, massachusetts, date(2025, 9, 2), READ),
            Statement(
                "There is no offer to stay, because we have not verified what the law of this state allows.",
                massachusetts,
                date(2025, 9, 2),
                READ,
            ),
            state="MA",
        ),
        _american(
            "US-MN",
            "Minnesota",
            Statement(online, minnesota, date(2025, 1, 1), READ),
            Statement("While you cancel, there is no offer to stay.", minnesota, date(2025, 1, 1), READ),
            state="MN",
        ),
        _american(
            "US",
            "United States, other states",
            Statement(online, federal, date(2010, 12, 29), READ),
            Statement(
                "There is no offer to stay, because some states restrict it and we have not read the law of each state."
            ),
        ),
    )


def _british() -> Profile:
    today = Source(
        "Consumer Contracts (Information, Cancellation and Additional Charges) Regulations 2013",
        "https://www.legislation.gov.uk/uksi/2013/3134",
    )
    return Profile(
        code="UK",
        name="United Kingdom",
        countries=frozenset({"GB"}),
        reason="needed",
        offers=True,
        end_notice=True,
        entry_label="Cancel a subscription",
        confirm_label="Cancel my subscription",
        statements=(
            Statement("Online and straightforward."),
            Statement(
                "You can cancel within 14 days of the conclusion of the contract, and what you paid is returned within "
                "14 days.",
                today,
                date(2014, 6, 13),
                READ,
            ),
            Statement(
                "The end-of-contract notice comes within 24 hours of an online request. We send it already, at once.",
                DMCC,
                SPRING_2027,
                READ,
                verified=False,
                announced="spring 2027",
            ),
            Statement(
                "You have another 14 days to leave after a trial ends and after a contract of a year or longer renews.",
                DMCC,
                SPRING_2027,
                READ,
                verified=False,
                announced="spring 2027",
            ),
            Statement(
                "A reminder comes before each renewal that you pay for, at least every six months.",
                DMCC,
                SPRING_2027,
                READ,
                verified=False,
                announced="spring 2027",
            ),
        ),
    )


PROFILES: Mapping[str, Profile] = {
    profile.code: profile
    for profile in (
        Profile(
            code=DEFAULT,
            name="Everywhere else",
            countries=frozenset(),
            reason="needed",
            offers=True,
            statements=(
                Statement("You fill in a form, check your answers with the end date, and confirm."),
                Statement("We ask for the account number, the username, an e-mail address and a reason."),
            ),
            entry_label="Cancel a subscription",
            confirm_label="Cancel my subscription",
        ),
        _german(),
        _french(),
        *_europeans(),
        *_americans(),
        _british(),
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
    statements: tuple[Statement, ...]


COOLING_OFF = CoolingOffRight(
    countries=EU,
    entry_label="Withdraw from contract here",
    confirm_label="Confirm withdrawal",
    identity=("name", "account_number", "email"),
    days=14,
    refund_days=14,
    statements=(
        Statement(
            "You can withdraw from a contract within 14 days of its conclusion, without a reason.",
            CONSUMER_RIGHTS,
            date(2014, 6, 13),
            READ,
        ),
        Statement("What you paid is returned within 14 days.", CONSUMER_RIGHTS, date(2014, 6, 13), READ),
        Statement(
            "Within the cooling-off days you withdraw in two steps; we ask for name, contract and address only, and "
            "for none of them if you are signed in.",
            WITHDRAWAL_BUTTON,
            BUTTON_FROM,
            READ,
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


def profile_of_code(code: str) -> Profile:
    """Returns the profile with the code. During a deployment, a newer release may store one that this one lacks."""
    return PROFILES.get(code, PROFILES[DEFAULT])


def countries_with_profile() -> frozenset[str]:
    """Returns the countries that have a profile or the cooling-off right."""
    return EU.union(*(profile.countries for profile in PROFILES.values()))


def texts() -> list[str]:
    """Returns the English texts of the profiles, for the translation catalogues. The law's own words are left out."""
    english = [COOLING_OFF.entry_label, COOLING_OFF.confirm_label, *statement_texts(COOLING_OFF.statements)]
    for profile in PROFILES.values():
        english += [
            profile.name,
            *statement_texts(profile.statements),
            *(() if profile.labels_in else (profile.entry_label, profile.confirm_label)),
        ]
    return english

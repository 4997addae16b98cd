"""When it should end, in the words of a mail: no date, a date that was read, or one that cannot be read."""

from datetime import date

import pytest

from cancellations.rules.wished_end import Wish, wished_end

TODAY = date(2026, 2, 12)


def read(sentence: str, *others: str) -> Wish:
    return wished_end([sentence.lower()], [other.lower() for other in others], TODAY)


@pytest.mark.parametrize(
    ("sentence", "day"),
    [
        ("Ich kündige meinen Vertrag zum 31.12.26", "2026-12-31"),
        ("Ich kündige zum 31.12.2026", "2026-12-31"),
        ("Ich kündige zum 31. 12. 2026", "2026-12-31"),
        ("Ich kündige zum 31.12.", "2026-12-31"),
        ("Ich kündige zum 1.1.", "2027-01-01"),
        ("Ich kündige zum 31. Dezember", "2026-12-31"),
        ("Ich kündige ab dem 1. März 2027", "2027-03-01"),
        ("Hiermit kündige ich zum Jahresende", "2026-12-31"),
        ("Hiermit kündige ich zum Ende des Jahres", "2026-12-31"),
        ("Hiermit kündige ich zum Monatsende", "2026-02-28"),
        ("Hiermit kündige ich zum Ende des nächsten Monats", "2026-03-31"),
        ("Hiermit kündige ich zum Quartalsende", "2026-03-31"),
        ("Hiermit kündige ich Ende Januar 2027", "2027-01-31"),
        ("Hiermit kündige ich mit Ablauf des 31.12.2026", "2027-01-01"),
        ("Hiermit kündige ich bis einschließlich 30.06.2026", "2026-07-01"),
        ("Mein letzter Tag ist der 30.06.2026", "2026-07-01"),
        ("Please cancel my plan on 31/12/26", "2026-12-31"),
        ("Please cancel my plan effective 12/31/2026", "2026-12-31"),
        ("Please cancel my plan at the end of January", "2027-01-31"),
        ("Please cancel my plan by the end of the month", "2026-02-28"),
        ("Please cancel my plan by the end of the year", "2026-12-31"),
        ("Please cancel my plan, effective Jan. 31st, 2027", "2027-01-31"),
        ("Please cancel my plan as of January 31", "2027-01-31"),
        ("Please cancel my plan from 3rd of March 2027", "2027-03-03"),
        ("Please cancel my plan, last day 2027-01-31", "2027-02-01"),
        ("Please cancel my plan in March 2027", "2027-03-01"),
        ("Please cancel my plan on 2026-12-31", "2026-12-31"),
        ("Please cancel my plan until 31 May 2026", "2026-05-31"),
        ("Je résilie mon contrat à effet du 31/12/2026", "2026-12-31"),
        ("Je résilie mon contrat au 31 décembre", "2026-12-31"),
        ("Je résilie mon contrat le 1er mars 2027", "2027-03-01"),
        ("Je résilie mon contrat fin janvier", "2027-01-31"),
        ("Je résilie mon contrat à la fin du mois", "2026-02-28"),
        ("Je résilie mon contrat pour le 15 déc. 2026", "2026-12-15"),
        ("Quiero cancelar mi contrato el 31 de diciembre de 2026", "2026-12-31"),
        ("Disdico il contratto dal 1 gennaio 2027", "2027-01-01"),
        ("Ik zeg mijn abonnement op met ingang van 1 maart 2027", "2027-03-01"),
        ("Ik zeg mijn abonnement op per 31-12-2026", "2026-12-31"),
    ],
)
def test_a_date_is_read(sentence, day):
    assert read(sentence) == Wish(day=date.fromisoformat(day))


@pytest.mark.parametrize(
    "sentence",
    [
        "Hiermit kündige ich meinen Vertrag AT-104233",
        "Ich kündige meinen Vertrag vom 1.3.2024",
        "Ich kündige zum nächstmöglichen Termin, spätestens zum 31.12.2026",
        "Ich kündige spätestens zum 31.12.2026",
        "Ich kündige zum nächstmöglichen Zeitpunkt",
        "Ich kündige zum Vertragsende",
        "Ich kündige mit sofortiger Wirkung",
        "Please cancel my plan, no later than 31 May 2026",
        "Please cancel my plan at the end of the billing period",
        "Please cancel my plan as soon as possible",
        "Please cancel the subscription that I took on 3 March 2025",
        "Please cancel, my telephone number is 0171 31 12 26",
        "Je résilie mon contrat au plus tard le 31 décembre 2026",
        "I may cancel my plan",
        "We have 12 seats, please cancel all",
    ],
)
def test_no_date_means_the_earliest_end(sentence):
    assert read(sentence) == Wish()


@pytest.mark.parametrize(
    "sentence",
    [
        "Please cancel my plan on 01/02/2027",
        "Please cancel my plan on 01-02-27",
        "Ich kündige zum 31.12.2026 oder zum 31.01.2027",
        "Ich kündige zum nächstmöglichen Termin, also zum 31.12.2026",
        "Please cancel my plan in three months",
        "Please cancel my plan next month",
        "Ich kündige nach Weihnachten",
        "Please cancel my plan in Q3",
    ],
)
def test_what_cannot_be_read_for_certain_is_no_early_end(sentence):
    wish = read(sentence)
    assert wish.day is None
    assert wish.unread


def test_another_sentence_may_say_when():
    wish = read("Please cancel my plan", "Thank you for all", "The last day should be 2027-01-31")
    assert wish == Wish(day=date(2027, 2, 1))
    assert read("Please cancel my plan", "We met on 31 May 2026") == Wish()
    assert read("Please cancel on 1 May 2026", "The last day should be 2027-01-31") == Wish(day=date(2026, 5, 1))


@pytest.mark.parametrize("text", ["1" * 20_000, "zum " * 5_000, "31.12." * 3_000, "ende des " * 2_000])
def test_long_texts_cost_little(text):
    wished_end([text[:600]], [text[:600]] * 50, TODAY)

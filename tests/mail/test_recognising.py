"""Whether somebody wants to leave, in words that they chose."""

from datetime import date

import pytest

from cancellations.rules.recognition import recognise

ON = date(2026, 11, 23)


def read(words="", subject=""):
    return recognise(subject, words, example="AT-104233", received_on=ON)


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("I want to cancel my subscription AT-104233.", "en"),
        ("Please cancel my account. Username: zoe", "en"),
        ("Could you please cancel my subscription?", "en"),
        ("I'd like to cancel.", "en"),
        ("pls cancel sub AT-104233 thx 👋", "en"),
        ("Hello,\nI no longer need the CRM. Please terminate our contract at the next possible date.\nThanks", "en"),
        ("I am writing to give notice that I am ending my contract", "en"),
        ("Please accept this email as my formal notice of cancellation", "en"),
        ("I've decided to cancel my subscription because it's too expensive.", "en"),
        ("We would like to discontinue our subscription", "en"),
        ("I would like my subscription cancelled", "en"),
        ("Please cancel my subscription and send me a final invoice.", "en"),
        ("I’d like to end my membership", "en"),
        ("Stop my plan", "en"),
        ("I am hereby cancelling my contract AT-104233 with immediate effect.", "en"),
        ("Please be advised that we will be cancelling our subscription", "en"),
        ("We are terminating our agreement with you.", "en"),
        ("Please consider this message my cancellation.", "en"),
        ("Cancel please", "en"),
        ("Take me off your service and cancel everything", "en"),
        ("Kündigung bitte", "de"),
        ("Kündigen!", "de"),
        ("Wir möchten unser Abonnement nicht fortsetzen", "de"),
        ("I am writing to formally cancel my account, username jdoe, because it is too expensive.", "en"),
        ("I am requesting that my account be closed", "en"),
        ("❌ cancel my subscription 🙏", "en"),
        ("We will not renew our subscription", "en"),
        ("I no longer wish to use your service. Kindly cancel.", "en"),
        ("Bitte verlängern Sie den Vertrag nicht mehr, ich möchte ihn nicht verlängern.", "de"),
        ("Je ne souhaite pas renouveler mon abonnement", "fr"),
        ("Veuillez procéder à la résiliation de mon contrat", "fr"),
        ("hiermit kündige ich meinen Vertrag AT-104233 fristgerecht zum nächstmöglichen Zeitpunkt.", "de"),
        ("Hiermit kuendige ich mein Abo.", "de"),
        ("Bitte mein Abo zum nächstmöglichen Termin kündigen.", "de"),
        ("Ich möchte mein Abonnement kündigen.", "de"),
        ("Ich bitte um Kündigung meines Abos", "de"),
        ("K\ufffdndigung meines Vertrages", "de"),
        ("Bitte beenden Sie mein Abo", "de"),
        ("Ich spreche hiermit die Kündigung aus", "de"),
        ("Ich will nicht mehr. Bitte Vertrag kündigen.", "de"),
        ("Sehr geehrte Damen und Herren,\n\nhiermit kündigen wir den Vertrag zum 31. Dezember 2026.", "de"),
        ("Je souhaite résilier mon abonnement.", "fr"),
        ("Par la présente, je vous informe de ma volonté de résilier mon contrat n° AT-104233.", "fr"),
        ("Merci de bien vouloir résilier mon abonnement", "fr"),
        ("Bonjour,\nje voudrais mettre fin à mon abonnement.", "fr"),
        ("Veuillez annuler mon abonnement", "fr"),
        ("Nous résilions notre abonnement", "fr"),
        ("Resiliation de mon abonnement SVP", "fr"),
    ],
)
def test_who_wants_to_leave_is_understood(words, language):
    found = read(words)
    assert found.is_certain, found
    assert (found.language, found.kind) == (language, "ordinary")


@pytest.mark.parametrize(
    "words",
    [
        "How can I cancel?",
        "I am having trouble cancelling my subscription",
        "I am considering cancelling my account",
        "The cancel button does not work",
        "I received an email about a cancellation I did not request",
        "Ich habe keine Kündigung geschickt!",
        "Was ist die Kündigungsfrist?",
        "La résiliation est-elle gratuite ?",
        "I can't cancel my subscription on your page, it shows an error",
        "Can I cancel any time?",
        "What happens if I cancel my subscription?",
        "If I cancel my subscription today, will I get a refund?",
        "Please do not cancel my subscription",
        "I don't want to cancel my subscription",
        "I cancelled my subscription last month but you charged me",
        "I am thinking about cancelling my account",
        "Please cancel my appointment tomorrow",
        "Please delete my phone number from my account",
        "Ich möchte meinen Vertrag nicht kündigen",
        "Wie kann ich kündigen?",
        "Kann ich mein Abo kündigen?",
        "Falls ich kündige, bekomme ich Geld zurück?",
        "Ich habe bereits gekündigt",
        "Comment puis-je résilier mon abonnement ?",
        "J'ai résilié mon abonnement le mois dernier",
        "Je ne veux pas résilier",
    ],
)
def test_a_question_a_doubt_or_a_complaint_goes_to_a_person(words):
    found = read(words)
    assert not found.is_certain
    assert found.is_possible or "appointment" in words or "phone" in words


@pytest.mark.parametrize(
    "words",
    [
        "I want to withdraw my cancellation",
        "I changed my mind, please ignore my cancellation.",
        "Ich ziehe meine Kündigung zurück",
        "Bitte stornieren Sie meine Kündigung",
        "Je souhaite annuler ma résiliation",
    ],
)
def test_who_takes_it_back_does_not_leave(words):
    found = read(words)
    assert (found.is_certain, found.takes_back) == (False, True)


@pytest.mark.parametrize("words", ["Where is my invoice?", "I want to upgrade my plan", "Thank you", ""])
def test_everything_else_is_none(words):
    found = read(words)
    assert (found.is_certain, found.is_possible, found.takes_back) == (False, False, False)


@pytest.mark.parametrize(
    ("subject", "words", "sure"),
    [
        ("Kündigung", "", True),
        ("Kündigung AT-104233", "siehe Anhang", True),
        ("Cancellation", "Hi, see subject.", True),
        ("Cancelation of subscription", "", True),
        ("Account closure request", "See below. AT-104233", True),
        ("Vertragskündigung", "Anbei", True),
        ("Abo kündigen", "Hallo, s. Betreff", True),
        ("Kündigungsbestätigung", "Ich warte noch auf die Bestätigung", False),
        ("Cancellation", "I did not cancel anything, what is this mail?", False),
        ("Unsubscribe", "Please remove me from your newsletter", False),
        ("Résiliation", "Bonjour", True),
        ("Cancellation policy question", "hello", False),
        ("Re: Your cancellation", "thanks", False),
        ("Kündigung", "Wie kann ich kündigen?", False),
        ("Fwd: Kündigung", "fyi", False),
    ],
)
def test_a_subject_alone_will_do_unless_the_words_say_otherwise(subject, words, sure):
    assert read(words, subject).is_certain is sure


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Hiermit widerrufe ich den Vertrag", "cooling_off"),
        ("I wish to withdraw from my contract", "cooling_off"),
        ("Je me rétracte du contrat", "cooling_off"),
        ("Ich kündige fristlos, weil der Export nicht geht", "for_cause"),
        ("We hereby terminate the contract for cause because of your breach", "for_cause"),
        ("Cancel my subscription immediately", "ordinary"),
    ],
)
def test_the_kind_of_cancellation(words, kind):
    found = read(words)
    assert (found.is_certain, found.kind) == (True, kind)


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("Please cancel my subscription as of 31 December 2026", date(2026, 12, 31)),
        ("Please cancel my subscription effective December 31st, 2026.", date(2026, 12, 31)),
        ("Cancel my plan on 2027-03-01", date(2027, 3, 1)),
        ("Hiermit kündige ich zum 31.12.2026", date(2026, 12, 31)),
        ("Hiermit kündige ich meinen Vertrag zum 31. März 2027.", date(2027, 3, 31)),
        ("Bitte kündigen Sie meinen Vertrag Ende Januar 2027", date(2027, 1, 31)),
        ("Je souhaite résilier mon abonnement au 1er janvier 2027", date(2027, 1, 1)),
        ("Merci de résilier mon contrat au 31/12/2026", date(2026, 12, 31)),
        ("Please cancel my subscription on 02/03/2027", None),  # in March or in February: a person asks
        ("Please cancel my subscription. I joined on 3 May 2024.", None),
        ("Cancel my plan on 2027-02-30", None),
        ("Cancel my plan on 2126-01-01", None),
        ("Cancel my subscription now", None),
    ],
)
def test_the_wished_end(words, end):
    assert read(words).requested_end == end


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("Cancel my subscription AT-104233", ("AT-104233",)),
        ("Cancel at 104233 and AT104234 please", ("AT-104233", "AT-104234")),
        ("Meine Kundennummer lautet 88-1234-X", ("88-1234-X",)),
        ("Contract number: SUB-00012.", ("SUB-00012",)),
        ("My phone is 0043 1 234 567, order 2026-10-12", ()),
        ("CR-7KQ4-M9XT", ()),
    ],
)
def test_the_numbers_that_are_named(words, numbers):
    assert read(words).numbers == numbers


def test_words_made_to_hold_it_up_do_not():
    hostile = ["cancel " * 20_000, "please " * 30_000 + "cancel", "kündig" * 20_000, "> " * 50_000, "\n" * 100_000]
    for words in hostile:
        read(words, subject=words[:250])  # each pattern looks at a bounded stretch; a test that hangs fails


@pytest.mark.parametrize(
    "words",
    [
        "Hiermit kündige ich meinen Vertrag AT-104233 zum nächstmöglichen Zeitpunkt. Die Einzugsermächtigung widerrufe ich "
        "zum Vertragsende.",
        "Hiermit kündige ich meinen Vertrag AT-104233. Das SEPA-Lastschriftmandat widerrufe ich mit Wirksamwerden der "
        "Kündigung.",
        "Hiermit kündige ich meinen Vertrag und widerrufe zugleich die erteilte Einzugsermächtigung.",
        "Hiermit kündige ich meinen Vertrag fristgerecht. Auf § 355 BGB und mein Widerrufsrecht weise ich hin.",
        "Please cancel my plan. I also know about my right of withdrawal.",
    ],
)
def test_revoking_something_else_beside_a_cancellation_does_not_change_its_kind(words):
    found = read(words)
    assert (found.is_certain, found.kind, found.takes_back) == (True, "ordinary", False)


def test_a_number_before_a_full_stop_ends_a_sentence():
    found = read("Hiermit kündige ich den Vertrag AT-104233. Die Rechnung vom 1. Dezember ist bezahlt.")
    assert found.requested_end is None
    assert read("Hiermit kündige ich den Vertrag AT-104233 zum 31. Dezember. Danke.").requested_end == date(
        2026, 12, 31
    )


@pytest.mark.parametrize(
    "words",
    [
        "I/We (*) hereby give notice that I/We (*) withdraw from my/our (*) contract of sale of the following goods (*)/for "
        "the provision of the following service (*): CRM",
        "Hiermit widerrufe(n) ich/wir (*) den von mir/uns (*) abgeschlossenen Vertrag über die Erbringung der folgenden "
        "Dienstleistung (*): CRM",
        "Je vous notifie par la présente ma rétractation du contrat portant sur la prestation de services (*): CRM",
        "Hiermit widerrufe ich den Vertrag, hilfsweise kündige ich ihn zum nächstmöglichen Termin.",
    ],
)
def test_the_model_form_of_the_directive_is_a_withdrawal(words):
    found = read(words)
    assert (found.is_certain, found.kind) == (True, "cooling_off")


@pytest.mark.parametrize(
    "words",
    [
        "Hiermit widerrufe ich die Einzugsermächtigung für mein Konto.",
        "What is the status of my cancellation from last week?",
        "Please cancel the user j.miller",
        "Please unsubscribe me from your newsletter",
        "Please cancel the downgrade, we stay on the big plan",
        "Please reduce our plan to 8 seats",
        "Si le problème n'est pas résolu d'ici vendredi, je résilie",
        "Wenn das bis Freitag nicht behoben ist, kündige ich",
        "Ich möchte den Newsletter abbestellen",
        "No quiero cancelar mi suscripción",
        "Als het niet wordt opgelost, zeg ik mijn abonnement op",
    ],
)
def test_something_else_is_no_cancellation(words):
    assert not read(words).is_certain


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("I want to cancle my subscribtion", "en"),
        ("Please shut down our account", "en"),
        ("Please remove us from auto renewal", "en"),
        ("Please make sure our plan isn't renewed", "en"),
        ("I first thought about downgrading but no, just cancel the whole thing", "en"),
        ("Ich kündge meinen Vertrag", "de"),
        ("Ich möchte mich von Ihrem Dienst abmelden", "de"),
        ("Annulez mon abonnement", "fr"),
        ("Je souhaite me désabonner", "fr"),
        ("Quiero cancelar mi suscripción", "es"),
        ("Solicito la baja de mi contrato", "es"),
        ("Voglio disdire il mio abbonamento", "it"),
        ("Con la presente comunico la disdetta del contratto", "it"),
        ("Ik wil mijn abonnement opzeggen", "nl"),
        ("Hierbij zeg ik mijn abonnement op", "nl"),
    ],
)
def test_other_words_and_languages_are_understood(words, language):
    found = read(words)
    assert (found.is_certain, found.kind, found.language) == (True, "ordinary", language)


def test_stop_taking_money_is_for_a_person():
    assert read("Please stop taking money from my card").is_possible

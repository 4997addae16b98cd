"""Recognising a cancellation in the text of a mail, in English, German and French (policy 1.1).

Pure: text in, result out. A mail that may be a cancellation goes to staff, and one that is recognised still needs
the sender's proof.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

MAX_NUMBERS = 5
YEARS_AHEAD = 3
K = r"k(?:ü|ue|u|\ufffd|\?|Ã¼)ndig"  # also with an umlaut that was lost in transit
E = "[eéè\ufffd?]"

_THING = (
    r"(?:subscription|subscribtion|sub|account|contract|plan|membership|service|agreement|licen[cs]es?|seats?"
    r"|[a-z]{2,4}-?\d{4,10})"
)
_VERB = r"(?:cancel|terminate|end|close|discontinue|stop|quit|delete|unsubscribe(?: from)?)"
_WISH = (
    r"(?:(?:want|wish|need|like|have|going|decided|intend|plan|ask(?:ing)? you|request(?:ing)?(?: you)?|you|prefer"
    r"|writing|write|mail|ready|wanna) to|hereby|herewith|please|pls|plz|kindly|then|so|therefore|also|and|can you|could you|would you|will you|let me|i|we)"
)
ENGLISH = (
    rf"(?:^|\b{_WISH} )(?:please |kindly |hereby |now |also |just |[a-z]+ly )*{_VERB}\b"
    rf"(?:(?!\b(?:from|number|data|file|address|user|contact|card|meeting)\b).){{0,80}}\b{_THING}\b",
    rf"\b(?:am|are|i'm|we're|be) (?:hereby |now |[a-z]+ly )*(?:cancell?ing|terminating|ending|closing|discontinuing|leaving)\b"
    rf".{{0,80}}\b(?:{_THING}|with you)\b",
    r"\b(?:consider|treat|take|regard) this .{0,40}\b(?:notice|cancellation|termination)\b",
    r"\b(?:not|n't) (?:to |wish to |want to |going to |be )*(?:auto-?)?renew(?:ed|ing)?\b|\bnon-?renewal\b",
    rf"\b(?:want|like|need|have|get|please|request\w*|ask\w*) .{{0,40}}\b{_THING}\b.{{0,30}}\b(?:cancell?ed|terminated|closed|ended)\b",
    r"(?:^|\b(?:want|wish|like|need|decided|going|you|hereby|herewith|please|pls|kindly|and|then|so|i|we)(?: to)? )(?:hereby |herewith )*"
    r"(?:cancel|terminate)(?: (?:it|this|everything|all|both|please|pls|immediately|as soon as possible|asap|effective|as of|with|at|now|"
    r"today|because|since|the|my|our|on|from)\b|\s*[,:-]|\s*$)",
    r"\b(?:give|giving|gives?) (?:you )?(?:my |our |formal |written |due )*notice\b",
    r"\b(?:this|the following) (?:is|e-?mail|mail|letter|message).{0,40}\b(?:notice|cancellation|termination)\b",
    r"\bnotice of (?:cancellation|termination)\b|\bcancellation notice\b",
    r"\baccept this .{0,40}\b(?:notice|cancellation|termination|request)\b",
    rf"\b(?:request|ask for|apply for|demand|want|confirm)(?:ing)? (?:the |a |my |our |for )*(?:immediate )?"
    rf"(?:cancellation|termination|closure) of\b.{{0,60}}\b{_THING}\b",
    r"\bunsubscribe me\b|\bplease process my cancellation\b|\bformal (?:written )?(?:cancellation|request to cancel)\b",
)
GERMAN_THING = (
    r"(?:vertrag|vertrages|vertrags|verträge|abo|abos|abonnements?|konto|kontos|mitgliedschaft|account|zugang|lizenz"
    r"|lizenzen|tarif|kundenkonto|[a-z]{2,4}-?\d{4,10})"
)
GERMAN = (
    rf"^(?:bitte )?{K}en(?: bitte)?$|^{K}ung bitte\b|\bnicht (?:mehr |länger )*(?:fortsetzen|fortführen|weiterführen)\b",
    r"\bnicht (?:mehr |automatisch |weiter )*(?:zu )?verläng|\bkeine (?:automatische )?verlängerung\b",
    rf"\b(?:ich|wir|hiermit)\b.{{0,60}}\b{K}(?:e|en)\b|\b{K}en? (?:ich|wir)\b|^(?:bitte )?{K}e\b",
    rf"\b(?:möchte|moechte|will|wollen|möchten|würde|würden|muss|werde)\b.{{0,120}}\b{K}en\b",
    rf"\bbitte\b.{{0,80}}\b{K}en\b|\b{K}en sie\b|\bbitte (?:um )?{K}ung\b|\bum .{{0,40}}{K}ung\b",
    rf"\b{K}ung (?:des|der|meines|meiner|unseres|unserer|zum|per|mit|von|vom|für|eines|ist|aus|ein|erfolgt|hiermit|und)\b",
    rf"\b(?:fristgerechte|ordentliche|fristlose|schriftliche|form- und fristgerechte|au(?:ß|ss)erordentliche)n? {K}ung",
    rf"\b(?:meine|unsere|diese|die) {K}ung\b.{{0,60}}\b(?:bestätigen|ein|aus|entgegen|vornehmen|bestätigung)\b",
    rf"\b(?:hiermit|möchte|will|wollen|möchten|bitte|würde|ich|wir)\b.{{0,100}}\b(?:beende|auflös|aufzulös|stornier"
    rf"|abbestell|lösch|schließ)\w*\b.{{0,60}}\b{GERMAN_THING}\b",
    rf"\b(?:hiermit|möchte|will|wollen|möchten|bitte|würde)\b.{{0,60}}\b{GERMAN_THING}\b.{{0,80}}\b(?:beenden"
    rf"|auflösen|aufzulösen|stornieren|abbestellen|löschen|schließen)\b",
    rf"^(?:beenden|stornieren|löschen|schließen) sie\b.{{0,60}}\b{GERMAN_THING}\b",
)
FRENCH_THING = r"(?:abonnements?|contrats?|comptes?|adhésion|adhesion|formule|forfait|services?|[a-z]{2,4}-?\d{4,10})"
R = f"r{E}sili"
FRENCH = (
    r"\bne (?:pas|plus) (?:le |la )?(?:renouvel|reconduir)|\bpas (?:le |la )?(?:renouvel|reconduir)",
    rf"\b(?:souhait\w+|voudrai[st]?|voudrions|veux|voulons|d{E}sir\w+|aimerai[st]?|aimerions|demand\w+|dois|viens|vais|"
    rf"entend\w*|d{E}cid\w+)\b.{{0,60}}\b(?:{R}er|mettre fin|mettre un terme|arr[eê]ter|annuler|cl[oô]turer|"
    rf"interrompre|d{E}sabonner|r{E}siliation|fermer)\b",
    rf"\b(?:je|nous|j')\s*{R}(?:e|ons)\b|\b(?:je|nous) mets?(?:tons)? (?:fin|un terme)\b",
    rf"\b(?:merci|veuillez|pri(?:e|ons)|pouvez-vous|pourriez-vous|prière)\b.{{0,60}}\b(?:{R}er|annuler|mettre fin|"
    rf"mettre un terme|cl[oô]turer|arr[eê]ter|fermer)\b.{{0,60}}\b{FRENCH_THING}\b",
    rf"\bpar la pr{E}sente\b.{{0,100}}\b(?:{R}\w+|mettre fin|met\w* fin)\b",
    rf"\b(?:demande|lettre|notification|avis) de {R}ation\b|\b{R}ation (?:de|du|d')\s?(?:mon|notre|l'|le|la|mes|nos|"
    rf"contrat|abonnement|compte)",
    rf"\b(?:veuillez|merci de) .{{0,30}}{R}er\b|\b{R}ez\b",
)
COOLING_OFF = (
    (r"\b(?:withdraw|rescind) from (?:the|my|this|our|a) \w*\s?(?:contract|agreement|purchase)\b|"
     r"\bright (?:of withdrawal|to withdraw|to cancel within)\b|\bcooling[- ]off\b", "en"),
    (r"\bwiderruf\w*\b.{0,80}\b(?:vertrag|vertrages|vertrags|abo|abonnement|bestellung|kauf)|\bwiderrufsrecht\b|"
     r"\b(?:hiermit )?widerrufe(?:n)? (?:ich|wir)\b|\bvom vertrag zurück", "de"),
    (rf"\br{E}tract(?:er|e|ons|ation)\b", "fr"),
)  # fmt: skip
NOT_COOLING_OFF = re.compile(rf"{K}ung|einwilligung|lastschrift|sepa|mandat|newsletter|consentement")
FOR_CAUSE = re.compile(
    rf"\bfristlos|\bau(?:ß|ss)erordentlich\w* {K}|{K}\w* .{{0,60}}\bau(?:ß|ss)erordentlich|\bwichtige[mn] grund"
    rf"|\bsonder{K}|\bfor (?:good )?cause\b|\b(?:material|your) breach\b|\bmotif l{E}gitime|\bfaute (?:grave|de votre)"
    rf"|\bmanquement"
)
QUESTION = re.compile(
    r"^(?:how|what|when|where|why|is it|is there|are there|can i|could i|may i|do i|does|if|wie|was|wann|wo|kann ich"
    r"|können wir|könnte ich|darf ich|gibt es|ist es|comment|quand|que se|qu'|puis-je|pouvons-nous|est-ce|est-il|quel)\b"
)
POLITE = re.compile(
    r"\b(?:can|could|would|will) you\b|\b(?:können|könnten|würden|möchten) sie\b|\b(?:pouvez|pourriez)-vous\b"
    r"|\b(?:bitte|please|merci|veuillez|hiermit|hereby)\b"
)
DOUBT = re.compile(
    rf"\b(?:not|n't|never) .{{0,30}}\b(?:cancel|terminate|end|close)\b|\b(?:nicht|keine|nie)\b.{{0,20}}\b{K}"
    rf"|\b{K}en? (?:[\wäöüß]+ ){{0,5}}nicht\b|\bne .{{0,20}}pas .{{0,20}}{R}|\bn'annul"
    rf"|\b(?:if|in case|before|unless|whether|without|should|suppose) (?:i|we|you|it)?\b.{{0,30}}\b(?:cancel|terminate)"
    rf"|\b(?:wenn|falls|ob|bevor|sollte) .{{0,60}}{K}|\bsi (?:je|nous) .{{0,20}}{R}"
    rf"|\b(?:think|thinking|consider(?! this)|considering|wonder|wondering|tempted)\b|\b(?:überleg|erwäg|denke darüber)\w*"
    rf"|\b(?:envisag|hésit|réfléchi)\w*|\b(?:already|have|had|has|was|were|did|been) (?:\w+ )?cancel|\b(?:i|we|you|it|they|got) (?:\w+ )?cancell?ed\b"
    rf"|\b(?:habe|hatte|haben|wurde|bereits|schon)\b.{{0,80}}\bge{K[:1]}|\bj'ai {R}|\bavons {R}"
    r"|\b(?:my|our|the|an?|meine|unsere|die|den|einen|meinen|unseren|ma|notre|le|mon) (?:order|appointment|meeting|demo"
    r"|call|webinar|booking|bestellung|termin|rendez-vous|commande)\b"
)
TAKES_BACK = re.compile(
    rf"\b(?:withdraw|undo|revoke|reverse|take back|disregard|ignore|stop|cancel) (?:my|our|the|this) (?:earlier |previous )?"
    rf"(?:cancellation|notice|termination)|\b(?:don't|do not|no longer|not) want to (?:cancel|leave|terminate)"
    rf"|\bchanged my mind|\b(?:want|like) to (?:stay|keep)\b"
    rf"|\bstornier\w* .{{0,20}}{K}ung|\b{K}ung\b.{{0,40}}\b(?:zurück|widerruf|rückgängig|storn)|\b(?:zurückzieh|widerruf|rückgängig|nehme)\w*\b.{{0,40}}"
    rf"\b{K}ung|\bzieh\w* .{{0,40}}{K}ung .{{0,20}}zurück|\bannul\w+ (?:ma|notre|la) {R}ation|\brenonce .{{0,20}}{R}"
)
SUBJECTS = (
    (re.compile(rf"^(?:meine |unsere |ordentliche |fristgerechte |fristlose |au(?:ß|ss)erordentliche )?(?:vertrags|abo|abonnements?|konto)?-?{K}ung\b"
                rf"|^(?:bitte |mein |unser |meinen |unseren )?{GERMAN_THING} (?:bitte )?{K}en\b"), "de"),
    (re.compile(r"^(?:(?:my|our|request for|notice of|formal|subscription|account|contract) )*(?:cancell?ation|termination|closure)"
                r"\b(?! (?:policy|fees?|terms|question|rules|conditions|deadline))|^(?:please )?(?:cancel|terminate)\b"), "en"),
    (re.compile(rf"^(?:ma |demande de |lettre de )?{R}ation\b|^{R}er\b"), "fr"),
)  # fmt: skip
STEMS = re.compile(rf"cancel|terminat|unsubscrib|{K}|widerruf|{R}|r{E}tract|d{E}sabonn|close my account|storn|beend")
REPLIED = re.compile(r"^(?:(?:re|aw|sv|r[ée]f?|tr|fwd?|wg)\s*(?:\[\d+\])?:\s*)+", re.IGNORECASE)
STOP_WORDS = {
    "de": re.compile(r"\b(?:der|die|das|und|ich|nicht|mein|bitte|sehr|geehrte|mit|grüße|grüßen|vielen|dank|hallo)\b"),
    "fr": re.compile(r"\b(?:le|la|les|et|je|mon|bonjour|merci|vous|pour|cordialement|madame|monsieur|ne|pas)\b"),
    "en": re.compile(r"\b(?:the|and|my|to|please|dear|regards|hello|thanks|you|would|is)\b"),
}


@dataclass(frozen=True)
class Recognised:
    """The result. `is_certain` says that it is a cancellation, `is_possible` that staff have to decide.

    `numbers` are account or subscription numbers as typed, `requested_end` is a date in the future.
    """

    is_certain: bool
    is_possible: bool
    takes_back: bool
    kind: str
    language: str
    numbers: tuple[str, ...]
    username: str
    requested_end: date | None


def recognise(subject: str, words: str, *, example: str, received_on: date) -> Recognised:
    """Analyses the text of a mail without its quotations. `example` shows the format of an account number."""
    title = _plain(REPLIED.sub("", subject))
    is_reply = REPLIED.match(subject) is not None
    sentences = list(_sentences(words))
    matches = [(sentence, language) for sentence in sentences for language in _languages(sentence)]
    clear_matches = [match for match in matches if not _is_doubtful(match[0])]
    body = " ".join(sentences)
    takes_back = any(TAKES_BACK.search(sentence) for sentence in [*sentences, title])
    subject_languages = [language for pattern, language in SUBJECTS if pattern.search(title)]
    subject_languages += [language for language in _languages(title) if language not in subject_languages]
    has_doubt = any(_is_doubtful(sentence) and STEMS.search(sentence) for sentence in sentences)
    is_by_subject = bool(subject_languages) and not is_reply and not _is_doubtful(title) and not has_doubt
    cooling_off_languages = list(_cooling_off([title, *sentences]))
    is_certain = (bool(clear_matches) or is_by_subject or bool(cooling_off_languages)) and not takes_back
    languages = [language for _, language in clear_matches] or cooling_off_languages or subject_languages
    kind = (
        "cooling_off" if cooling_off_languages else "for_cause" if FOR_CAUSE.search(f"{title} {body}") else "ordinary"
    )
    sentences_with_date = [sentence for sentence, _ in clear_matches] + (
        [*sentences, title] if is_by_subject or cooling_off_languages else []
    )
    return Recognised(
        is_certain=is_certain,
        is_possible=not is_certain and bool(STEMS.search(f"{title} {body}")),
        takes_back=takes_back,
        kind=kind if is_certain else "ordinary",
        language=languages[0] if languages else _language_of(body or title),
        numbers=tuple(_numbers(f"{subject}\n{words}", example)),
        username=_username(words),
        requested_end=next((day for sentence in sentences_with_date for day in _dates(sentence, received_on)), None),
    )


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("’", "'").replace("‘", "'").replace("´", "'").split())


DOTS = re.compile(r"(\d)\.(?=\s?\d|\s?[a-zä])|\b(nr|no|bzw|ca|z|b|d|h|mr|mrs|dr|inc|st)\.", re.IGNORECASE)


def _sentences(words: str) -> Iterator[str]:
    """Yields the sentences, regardless of line breaks. An empty line also ends a sentence."""
    for block in re.split(r"\n\s*\n|\n(?=\s*[-*•])", words[:20_000]):
        text = DOTS.sub(lambda dot: dot[0].replace(".", "\u2024"), " ".join(block.split()))
        for part in re.split(r"(?<=[.!?;:])\s+", text):
            sentence = _plain(part.replace("\u2024", "."))
            sentence = re.sub(
                r"^(?:hi|hello|hallo|dear|bonjour|guten tag|good (?:morning|day)|moin|hey|servus)\b[^,]{0,60},\s*",
                "",
                sentence,
            )
            if sentence := re.sub(r"^[^\w(\ufffd]+", "", sentence).rstrip(".!: "):
                yield sentence[:600]


def _languages(sentence: str) -> list[str]:
    languages = []
    for language, patterns in (("de", _GERMAN), ("fr", _FRENCH), ("en", _ENGLISH)):
        if any(pattern.search(sentence) for pattern in patterns):
            languages.append(language)
    return languages


def _is_doubtful(sentence: str) -> bool:
    if TAKES_BACK.search(sentence) or DOUBT.search(sentence):
        return True
    is_question = sentence.rstrip().endswith("?") or QUESTION.match(sentence) is not None
    return is_question and not POLITE.search(sentence)


def _cooling_off(sentences: list[str]) -> Iterator[str]:
    for sentence in sentences:
        for pattern, language in _COOLING_OFF:
            if pattern.search(sentence) and not NOT_COOLING_OFF.search(sentence) and not _is_doubtful(sentence):
                yield language


def _language_of(text: str) -> str:
    """Returns the language by its most common words; empty if there are too few of them."""
    counts = {language: len(pattern.findall(text[:5000])) for language, pattern in STOP_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= 2 else ""


_ENGLISH, _GERMAN, _FRENCH = ([re.compile(pattern) for pattern in group] for group in (ENGLISH, GERMAN, FRENCH))
_COOLING_OFF = [(re.compile(pattern), language) for pattern, language in COOLING_OFF]

# Numbers and names

LABELLED = re.compile(
    r"\b(?:account|customer|contract|client|subscription|membership|kunden|vertrags?|konto|kundenkonto|abo|mitglieds"
    r"|compte|contrat|abonnement)[\s-]{0,2}(?:number|no|nr|nummer|num[ée]ro|id|n[°º]|#)\.?\s{0,3}"
    r"(?:is|lautet|ist|est)?\s{0,3}[:=#]?\s{0,3}([a-z0-9][a-z0-9/_-]{2,38}[a-z0-9])"
    r"|\b(?:num[ée]ro|n[°º]) de (?:compte|client|contrat|abonnement)\s{0,3}(?:est)?\s{0,3}:?\s{0,3}"
    r"([a-z0-9][a-z0-9/_-]{2,38}[a-z0-9])",
    re.IGNORECASE,
)
USERNAME = re.compile(
    r"\b(?:user ?name|user id|login(?: name)?|benutzer(?:name)?|nutzername|nom d['’]utilisateur|identifiant)"
    r"\s{0,3}(?:is|ist|lautet|est)?\s{0,3}[:=]?\s{0,3}[\"'«„]?([\w.@+-]{2,150})",
    re.IGNORECASE,
)


def _numbers(text: str, example: str) -> Iterator[str]:
    """Yields the numbers that look like the example, and those labelled as account or subscription number."""
    numbers: dict[str, str] = {}
    for typed in _pattern_of(example).findall(text[:20_000]):
        numbers.setdefault(_normalised(typed), _format_as(typed, example))
    for groups in LABELLED.findall(text[:20_000]):
        typed = next(filter(None, groups), "")
        if any(character.isdigit() for character in typed):
            numbers.setdefault(_normalised(typed), typed.upper())
    yield from list(numbers.values())[: MAX_NUMBERS + 1]


def _pattern_of(example: str) -> re.Pattern[str]:
    """Returns a pattern for numbers with the letters and digits of the example; separators are optional."""
    runs = re.findall(r"[A-Za-z]+|\d+", example)
    parts = [rf"[A-Za-z]{{{len(run)}}}" if run.isalpha() else rf"\d{{{len(run)}}}" for run in runs]
    if not any(run.isalpha() for run in runs):
        parts = [re.escape(example)] if len(example) < 5 else parts
    return re.compile(r"(?<![\w-])" + r"[-\s/]?".join(parts) + r"(?![\w-])" if parts else r"(?!)")


def _normalised(typed: str) -> str:
    return "".join(character for character in typed.upper() if character.isalnum())


def _format_as(typed: str, example: str) -> str:
    """Formats a number like the example: «at 104233» becomes «AT-104233»."""
    characters = iter(_normalised(typed))
    return "".join(next(characters, "") if character.isalnum() else character for character in example)


def _username(words: str) -> str:
    match = USERNAME.search(words[:20_000])
    return match[1].rstrip(".,;:") if match else ""


# The requested end date

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar jänner janvier jan", "february februar fevrier février feb", "march märz maerz mars mar",
            "april avril apr", "may mai", "june juni juin jun", "july juli juillet jul", "august août aout aug",
            "september septembre sept sep", "october oktober octobre oct okt", "november novembre nov",
            "december dezember décembre decembre dec dez",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
DATES = re.compile(
    r"\b(?:as of|as from|effective(?: from| on)?|with effect (?:from|on)|from|on|by|per|until|to|for|at|ends?|end"
    r"|zum|ab|ab dem|bis(?: zum)?|mit wirkung (?:zum|ab)|am|au|pour le|à compter du|a compter du|à partir du|le|jusqu'au)"
    r"\s+(?:the |dem |den |le )?(?:(?P<iso>\d{4}-\d{2}-\d{2})|(?P<dotted>\d{1,2}\.\s?\d{1,2}\.\s?\d{4})"
    r"|(?P<slashed>\d{1,2}/\d{1,2}/\d{4})"
    rf"|(?P<d1>\d{{1,2}})(?:st|nd|rd|th|er|\.)?(?: of)?\s(?P<m1>{_MONTH})\.?,?\s(?P<y1>\d{{4}})"
    rf"|(?P<m2>{_MONTH})\.?\s(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,?\s(?P<y2>\d{{4}}))"
)
ENDS_OF = re.compile(rf"\b(?:(?:the )?end of|ende(?: des monats)?|fin|monatsende)\s+(?P<m>{_MONTH})\.?\s(?P<y>\d{{4}})")


def _dates(sentence: str, received_on: date) -> Iterator[date]:
    """Yields the future dates in a sentence. An ambiguous date is left to staff."""
    for match in DATES.finditer(sentence):
        day = _read_date(match.groupdict())
        if day is not None and received_on < day <= received_on + timedelta(days=366 * YEARS_AHEAD):
            yield day
    for match in ENDS_OF.finditer(sentence):
        year, month = int(match["y"]), MONTHS[match["m"]]
        if received_on.year <= year <= received_on.year + YEARS_AHEAD:
            yield date(year, month, calendar.monthrange(year, month)[1])


def _read_date(groups: dict[str, str | None]) -> date | None:
    try:
        if iso := groups["iso"]:
            return date.fromisoformat(iso)
        if dotted := groups["dotted"]:
            day, month, year = (int(part) for part in dotted.split("."))
            return date(year, month, day)
        if slashed := groups["slashed"]:
            first, second, year = (int(part) for part in slashed.split("/"))
            if first > 12 or first == second:
                return date(year, second, first)
            return date(year, first, second) if second > 12 else None
        form = "1" if groups["m1"] else "2"
        return date(int(groups[f"y{form}"] or 0), MONTHS[groups[f"m{form}"] or ""], int(groups[f"d{form}"] or 0))
    except (ValueError, KeyError):
        return None

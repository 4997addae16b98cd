"""Whether somebody who writes wants to leave, in their own words: English, German and French (policy 1.1).

Pure: words in, findings out. In doubt nothing is decided here: what may be a cancellation goes to a person, and
what is recognised as one still needs the sender's proof.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

MOST_NUMBERS = 5
YEARS_AHEAD = 3
K = r"k(?:ü|ue|u|\ufffd|\?|Ã¼)ndig"  # also where the umlaut was lost on the way
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
TELLING = {
    "de": re.compile(r"\b(?:der|die|das|und|ich|nicht|mein|bitte|sehr|geehrte|mit|grüße|grüßen|vielen|dank|hallo)\b"),
    "fr": re.compile(r"\b(?:le|la|les|et|je|mon|bonjour|merci|vous|pour|cordialement|madame|monsieur|ne|pas)\b"),
    "en": re.compile(r"\b(?:the|and|my|to|please|dear|regards|hello|thanks|you|would|is)\b"),
}


@dataclass(frozen=True)
class Recognised:
    """What was found. `sure` says that it is a cancellation, `maybe` that a person has to look whether it is.

    `numbers` are account or contract numbers as typed, `requested_end` a date in the future that was named.
    """

    sure: bool
    maybe: bool
    takes_back: bool
    kind: str
    language: str
    numbers: tuple[str, ...]
    username: str
    requested_end: date | None


def recognise(subject: str, words: str, *, example: str, received_on: date) -> Recognised:
    """Reads what somebody wrote, without what was quoted. `example` is an account number, for the look of one."""
    title = _plain(REPLIED.sub("", subject))
    replied = REPLIED.match(subject) is not None
    sentences = list(_sentences(words))
    hits = [(one, language) for one in sentences for language in _languages(one)]
    clear = [hit for hit in hits if not _is_doubtful(hit[0])]
    body = " ".join(sentences)
    takes_back = any(TAKES_BACK.search(one) for one in [*sentences, title])
    named = [language for pattern, language in SUBJECTS if pattern.search(title)]
    named += [language for language in _languages(title) if language not in named]
    doubtful = any(_is_doubtful(one) and STEMS.search(one) for one in sentences)
    by_subject = bool(named) and not replied and not _is_doubtful(title) and not doubtful
    cooling = list(_cooling_off([title, *sentences]))
    sure = (bool(clear) or by_subject or bool(cooling)) and not takes_back
    told = [language for _, language in clear] or cooling or named
    kind = "cooling_off" if cooling else "for_cause" if FOR_CAUSE.search(f"{title} {body}") else "ordinary"
    dated = [one for one, _ in clear] + ([*sentences, title] if by_subject or cooling else [])
    return Recognised(
        sure=sure,
        maybe=not sure and bool(STEMS.search(f"{title} {body}")),
        takes_back=takes_back,
        kind=kind if sure else "ordinary",
        language=told[0] if told else _language_of(body or title),
        numbers=tuple(_numbers(f"{subject}\n{words}", example)),
        username=_username(words),
        requested_end=next((day for one in dated for day in _dates(one, received_on)), None),
    )


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("’", "'").replace("‘", "'").replace("´", "'").split())


DOTS = re.compile(r"(\d)\.(?=\s?\d|\s?[a-zä])|\b(nr|no|bzw|ca|z|b|d|h|mr|mrs|dr|inc|st)\.", re.IGNORECASE)


def _sentences(words: str) -> Iterator[str]:
    """Sentence by sentence, however the lines are broken; an empty line ends one, too."""
    for block in re.split(r"\n\s*\n|\n(?=\s*[-*•])", words[:20_000]):
        kept = DOTS.sub(lambda dot: dot[0].replace(".", "\u2024"), " ".join(block.split()))
        for one in re.split(r"(?<=[.!?;:])\s+", kept):
            told = _plain(one.replace("\u2024", "."))
            told = re.sub(
                r"^(?:hi|hello|hallo|dear|bonjour|guten tag|good (?:morning|day)|moin|hey|servus)\b[^,]{0,60},\s*",
                "",
                told,
            )
            if told := re.sub(r"^[^\w(\ufffd]+", "", told).rstrip(".!: "):
                yield told[:600]


def _languages(sentence: str) -> list[str]:
    told = []
    for language, patterns in (("de", _GERMAN), ("fr", _FRENCH), ("en", _ENGLISH)):
        if any(pattern.search(sentence) for pattern in patterns):
            told.append(language)
    return told


def _is_doubtful(sentence: str) -> bool:
    if TAKES_BACK.search(sentence) or DOUBT.search(sentence):
        return True
    asks = sentence.rstrip().endswith("?") or QUESTION.match(sentence) is not None
    return asks and not POLITE.search(sentence)


def _cooling_off(sentences: list[str]) -> Iterator[str]:
    for one in sentences:
        for pattern, language in _COOLING_OFF:
            if pattern.search(one) and not NOT_COOLING_OFF.search(one) and not _is_doubtful(one):
                yield language


def _language_of(text: str) -> str:
    """The language by its small words; empty where there are too few to say."""
    counts = {language: len(pattern.findall(text[:5000])) for language, pattern in TELLING.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= 2 else ""


_ENGLISH, _GERMAN, _FRENCH = ([re.compile(one) for one in group] for group in (ENGLISH, GERMAN, FRENCH))
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
    """Account and contract numbers: such as look like the example, and such as are called so."""
    found: dict[str, str] = {}
    for typed in _like(example).findall(text[:20_000]):
        found.setdefault(_same(typed), _as_example(typed, example))
    for told in LABELLED.findall(text[:20_000]):
        typed = next(filter(None, told), "")
        if any(mark.isdigit() for mark in typed):
            found.setdefault(_same(typed), typed.upper())
    yield from list(found.values())[: MOST_NUMBERS + 1]


def _like(example: str) -> re.Pattern[str]:
    """What has as many letters and digits as the example, in its order; hyphens and spaces between are optional."""
    runs = re.findall(r"[A-Za-z]+|\d+", example)
    shaped = [rf"[A-Za-z]{{{len(run)}}}" if run.isalpha() else rf"\d{{{len(run)}}}" for run in runs]
    if not any(run.isalpha() for run in runs):
        shaped = [re.escape(example)] if len(example) < 5 else shaped
    return re.compile(r"(?<![\w-])" + r"[-\s/]?".join(shaped) + r"(?![\w-])" if shaped else r"(?!)")


def _same(typed: str) -> str:
    return "".join(mark for mark in typed.upper() if mark.isalnum())


def _as_example(typed: str, example: str) -> str:
    """Typed as the example is written: «at 104233» becomes «AT-104233»."""
    marks = iter(_same(typed))
    return "".join(next(marks, "") if mark.isalnum() else mark for mark in example)


def _username(words: str) -> str:
    found = USERNAME.search(words[:20_000])
    return found[1].rstrip(".,;:") if found else ""


# The wished end

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
    """The days named in it that lie ahead; one that can be read in two ways is left to a person."""
    for found in DATES.finditer(sentence):
        day = _read_date(found.groupdict())
        if day is not None and received_on < day <= received_on + timedelta(days=366 * YEARS_AHEAD):
            yield day
    for found in ENDS_OF.finditer(sentence):
        year, month = int(found["y"]), MONTHS[found["m"]]
        if received_on.year <= year <= received_on.year + YEARS_AHEAD:
            yield date(year, month, calendar.monthrange(year, month)[1])


def _read_date(told: dict[str, str | None]) -> date | None:
    try:
        if iso := told["iso"]:
            return date.fromisoformat(iso)
        if dotted := told["dotted"]:
            day, month, year = (int(one) for one in dotted.split("."))
            return date(year, month, day)
        if slashed := told["slashed"]:
            first, second, year = (int(one) for one in slashed.split("/"))
            if first > 12 or first == second:
                return date(year, second, first)
            return date(year, first, second) if second > 12 else None
        named = "1" if told["m1"] else "2"
        return date(int(told[f"y{named}"] or 0), MONTHS[told[f"m{named}"] or ""], int(told[f"d{named}"] or 0))
    except (ValueError, KeyError):
        return None

"""Recognising a cancellation in the text of a mail (policy 1.1), in English, German, French, Spanish, Italian and Dutch.

Pure: text in, result out. A mail that may be a cancellation goes to staff, and one that is recognised still needs
the sender's proof.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from cancellations.rules.wished_end import month_names, wished_end

MAX_NUMBERS = 5
K = r"k(?:ü|ue|u|\ufffd{1,2}|\?|Ã¼)ndi?g"  # also with an umlaut that was lost in transit, and misspelt
E = "[eéè\ufffd?]"

_THING = (
    r"(?:subscription|subscribtion|sub|account|contract|plan|membership|service|agreement|licen[cs]es?|seats?"
    r"|[a-z]{2,4}-?\d{4,10})"
)
CANCEL = r"(?:cancel|cancle|cancell|cansel|cancal)"  # also misspelt
_VERB = rf"(?:{CANCEL}|terminate|end|close|close down|shut down|discontinue|deactivate|stop|quit|delete|unsubscribe(?: from)?)"
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
    r"(?:\bnot|n't) (?:to |wish to |want to |going to |be |get )*(?:auto-?)?renew(?:ed|ing)?\b|\bnon-?renewal\b",
    r"\b(?:remove|take) (?:me|us|my \w+|our \w+) (?:from|off) (?:the )?auto(?:matic)?[- ]?renew"
    rf"|\b(?:turn off|switch off|disable|stop|end|{CANCEL}) (?:the |my |our )*auto(?:matic)?[- ]?renew",
    rf"\b(?:want|like|need|have|get|please|request\w*|ask\w*) .{{0,40}}\b{_THING}\b.{{0,30}}\b(?:cancell?ed|terminated|closed|ended)\b",
    r"(?:^|\b(?:want|wish|like|need|decided|going|you|hereby|herewith|please|pls|kindly|just|and|then|so|i|we)(?: to)? )(?:hereby |herewith )*"
    rf"(?:{CANCEL}|terminate)(?: (?:it|this|everything|all|both|please|pls|immediately|as soon as possible|asap|effective|as of|with|at|now|"
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
    r"\b(?:ich|wir|hiermit|bitte)\b.{0,60}\b(?:von|aus) (?:ihrem|eurem|dem|der|ihrer)\b.{0,30}"
    r"\b(?:dienst|service|abo\w*|vertrag|mitgliedschaft)\b.{0,30}\b(?:abmeld|austret|ausstei)\w*",
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
    rf"^(?:s'il vous plaît,? |svp,? )?(?:annulez|arr[eê]tez|cl[oô]turez|fermez)\b.{{0,60}}\b{FRENCH_THING}\b",
)
SPANISH_THING = r"(?:suscripci[oó]n|contrato|cuenta|plan|abono|servicio|licencias?|[a-z]{2,4}-?\d{4,10})"
SPANISH = (
    r"\b(?:quiero|queremos|deseo|deseamos|quisiera|solicito|solicitamos|necesito|pido|ruego|me gustaría|nos gustaría)\b"
    r".{0,60}\b(?:cancelar|cancelaci[oó]n|(?:dar(?:me|nos)?|la) (?:de )?baja|rescindir|rescisi[oó]n|anular|finalizar)\b",
    rf"\b(?:cancel(?:o|amos|e|en)|rescind(?:o|imos|a|an)|anul(?:o|amos|e|en))\b.{{0,60}}\b{SPANISH_THING}\b",
    r"\b(?:doy|damos) por (?:terminad|finalizad|resuelt)\w+\b|\b(?:me|nos) (?:doy|damos) de baja\b"
    r"|\bpor la presente\b.{0,100}\b(?:rescind|rescisi|cancel|baja)\w*",
)
ITALIAN = (
    r"\b(?:voglio|vogliamo|desidero|desideriamo|vorrei|vorremmo|chiedo|chiediamo|intendo|intendiamo)\b.{0,60}"
    r"\b(?:disdire|disdetta|recedere|cancellare|annullare|rescindere|cessare|chiudere)\b",
    r"\bdisdi(?:co|ciamo)\b|\b(?:comunic|invi)(?:o|amo|hiamo)\b.{0,60}\bdisdetta\b"
    r"|\bcon la presente\b.{0,100}\b(?:disdett|disdi|reced|recesso)\w*",
)
DUTCH = (
    r"\b(?:ik|wij|we|hierbij|graag)\b.{0,80}\b(?:opzeggen|op te zeggen|beëindig\w*|te beëindigen|stopzetten|stop te zetten"
    r"|annuleren|annuleer)\b",
    r"\b(?:zeg|zeggen)\b.{0,80}\b(?:abonnement|contract|overeenkomst|account|lidmaatschap)\b.{0,40}\bop\b"
    r"|\bopzegging van (?:mijn|ons|het|de)\b|\bstop(?:pen)? met (?:mijn|ons|het) (?:abonnement|contract|lidmaatschap)\b",
)
COOLING_OFF = (
    (r"\b(?:withdraw|rescind) from (?:the|my|this|our|a|my/our) \w*\s?(?:contract|agreement|purchase)\b|"
     r"\bright (?:of withdrawal|to withdraw|to cancel within)\b|\bcooling[- ]off\b", "en"),
    (r"\bwiderruf\w*\b.{0,80}\b(?:vertrag|vertrages|vertrags|abo|abonnement|bestellung|kauf)|\bwiderrufsrecht\b|"
     r"\b(?:hiermit )?widerrufe(?:n)? (?:ich|wir)\b|\bvom vertrag zurück", "de"),
    (rf"\br{E}tract(?:er|e|ons|ation)\b", "fr"),
    (r"\bdesist(?:o|imos|imiento)\b.{0,60}\bcontrato\b|\bderecho de desistimiento\b", "es"),
    (r"\bdiritto di ripensamento\b", "it"),
    (r"\b(?:ontbind|herroep)\w*\b.{0,60}\bovereenkomst\b|\bovereenkomst\b.{0,60}\b(?:ontbind|herroep)\w*"
     r"|\bherroepingsrecht\b", "nl"),
)  # fmt: skip
# What else can be revoked: a verb counts with its object
OTHER_OBJECT = re.compile(
    r"einwilligung|lastschrift|sepa|mandat|einzugserm|bankeinzug|abbuchung|newsletter|werbung|consentement|prélèvement"
    r"|direct debit|standing order|consent\b|domiciliaci|addebito|incasso"
)
OF_THE_CONTRACT = re.compile(
    r"\bwiderruf\w*(?:\(n\))? .{0,60}\b(?:vertrag(?!sende|slauf|snummer|sablauf)\w*|bestellung|kauf|abo|abonnements?)\b"
    r"|\b(?:vertrag\w*|bestellung|kauf|abo|abonnements?)\b.{0,20}\bwiderruf\w*|\bcontrat\b|\bcontract\b"
)
# Mentions of the right alone, which do not use it where somebody cancels beside
RIGHT_ALONE = re.compile(
    r"\bwiderrufsrecht\b|\bright (?:of withdrawal|to withdraw|to cancel within)\b|§ ?355|\bdroit de r"
)
FOR_CAUSE = re.compile(
    rf"\bfristlos|\bau(?:ß|ss)erordentlich\w* {K}|{K}\w* .{{0,60}}\bau(?:ß|ss)erordentlich|\bwichtige[mn] grund"
    rf"|\bsonder{K}|\bfor (?:good )?cause\b|\b(?:material|your) breach\b|\bmotif l{E}gitime|\bfaute (?:grave|de votre)"
    rf"|\bmanquement"
)
# Verbs whose object is no contract
OTHER_VERB = re.compile(
    rf"\b(?:{CANCEL}|delete|remove|close|terminate|stop|end|deactivate) (?:the|my|our|your|this|that|a|an|all)?\s?(?:\w+ ){{0,2}}"
    r"(?:users?|seats? of|downgrade|upgrade|order|invoice|meeting|appointment|newsletter|demo|call|webinar|booking|ticket"
    r"|payment|transfer|add-?on|reminders?|e-?mails|event|invitation|cancellation|change)\b"
    r"|\bunsubscribe (?:me|us) from (?:\w+ ){0,3}(?:newsletter|mailings?|e-?mails?|lists?|marketing)\b"
    r"|\bnewsletter\b.{0,30}\b(?:abbestell|kündig|abmeld)|\b(?:abbestell|abmeld)\w*\b.{0,30}\bnewsletter\b"
    r"|\bstornier\w*\b.{0,30}\brechnung"
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
    rf"|\b(?:wenn|falls|ob|bevor|sollte) .{{0,60}}{K}|\bsi (?:je|nous) .{{0,20}}{R}|^si\b.{{0,200}}\b{R}|\bsi\b.{{0,100}}, (?:je|nous) {R}"
    rf"|^(?:wenn|falls)\b.{{0,200}}{K}|^if\b.{{0,200}}\b(?:{CANCEL}|terminat)|\bno (?:quiero|queremos|deseo) .{{0,20}}(?:cancel|baja)"
    r"|^si\b.{0,200}\b(?:cancel|baja|rescind)|\bnon (?:voglio|desidero) .{0,20}disd|^se\b.{0,200}\bdisd|\bniet .{0,20}opzeg|^als\b.{0,200}\bop(?:zeg)?"
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
    (re.compile(r"^(?:solicitud de )?(?:baja|cancelaci[oó]n|rescisi[oó]n)\b"), "es"),
    (re.compile(r"^(?:richiesta di )?disdetta\b"), "it"),
    (re.compile(r"^opzegging\b"), "nl"),
)  # fmt: skip
STEMS = re.compile(
    rf"cancel|cancle|cansel|terminat|unsubscrib|{K}|widerruf|{R}|r{E}tract|d{E}sabonn|\bannulez\b|storn|beend|abmeld"
    r"|(?:close|shut) (?:down )?(?:my|our) account|auto(?:matic)?[- ]?renew|n't (?:be |get )?renew"
    r"|\bstop (?:taking|charging|billing|debiting)\b|\bbaja\b|rescind|rescisi|disdett|disdi[rc]|recesso|ripensamento"
    r"|opzeg|op te zeggen|\bzeg\b.{0,60}\bop\b|beëindig|stoppen met"
)
REPLIED = re.compile(r"^(?:(?:re|aw|sv|r[ée]f?|tr|fwd?|wg)\s*(?:\[\d+\])?:\s*)+", re.IGNORECASE)
STOP_WORDS = {
    "de": re.compile(r"\b(?:der|die|das|und|ich|nicht|mein|bitte|sehr|geehrte|mit|grüße|grüßen|vielen|dank|hallo)\b"),
    "fr": re.compile(r"\b(?:le|la|les|et|je|mon|bonjour|merci|vous|pour|cordialement|madame|monsieur|ne|pas)\b"),
    "es": re.compile(r"\b(?:el|los|las|y|mi|por|favor|hola|gracias|para|usted|saludos|estimados|no|una)\b"),
    "it": re.compile(r"\b(?:il|lo|gli|mio|per|favore|buongiorno|grazie|vostro|saluti|gentili|non|una|di)\b"),
    "nl": re.compile(r"\b(?:het|een|mijn|ik|graag|beste|geachte|met|vriendelijke|groet|dank|niet|van|wij)\b"),
    "en": re.compile(r"\b(?:the|and|my|to|please|dear|regards|hello|thanks|you|would|is)\b"),
}


@dataclass(frozen=True)
class Recognised:
    """The result. `is_certain` says that it is a cancellation, `is_possible` that staff have to decide.

    `numbers` are account or subscription numbers as typed. `requested_end` is a date in the future; `end_unread` holds
    the words about a date that could not be read for certain.
    """

    is_certain: bool
    is_possible: bool
    takes_back: bool
    kind: str
    language: str
    numbers: tuple[str, ...]
    username: str
    requested_end: date | None
    end_unread: str


def recognise(subject: str, words: str, *, example: str, received_on: date) -> Recognised:
    """Analyses the text of a mail without its quotations. `example` shows the format of an account number."""
    title = _plain(REPLIED.sub("", subject))
    is_reply = REPLIED.match(subject) is not None
    sentences = list(_sentences(words))
    matches = [(sentence, language) for sentence in sentences for language in _languages(sentence)]
    clear_matches = [match for match in matches if not _is_doubtful(match[0])]
    body = " ".join(sentences)
    takes_back = any(_takes_back(sentence) for sentence in [*sentences, title])
    subject_languages = [language for pattern, language in SUBJECTS if pattern.search(title)]
    subject_languages += [language for language in _languages(title) if language not in subject_languages]
    has_doubt = any(_is_doubtful(sentence) and STEMS.search(sentence) for sentence in sentences)
    is_by_subject = bool(subject_languages) and not is_reply and not _is_doubtful(title) and not has_doubt
    cooling_off_languages = list(_cooling_off([title, *sentences], cancels=bool(clear_matches)))
    is_certain = (bool(clear_matches) or is_by_subject or bool(cooling_off_languages)) and not takes_back
    languages = [language for _, language in clear_matches] or cooling_off_languages or subject_languages
    kind = (
        "cooling_off" if cooling_off_languages else "for_cause" if FOR_CAUSE.search(f"{title} {body}") else "ordinary"
    )
    sentences_with_date = [sentence for sentence, _ in clear_matches] + (
        [*sentences, title] if is_by_subject or cooling_off_languages else []
    )
    wish = wished_end(sentences_with_date, [*sentences, title], received_on)
    return Recognised(
        is_certain=is_certain,
        is_possible=not is_certain and bool(STEMS.search(f"{title} {body}")),
        takes_back=takes_back,
        kind=kind if is_certain else "ordinary",
        language=languages[0] if languages else _language_of(body or title),
        numbers=tuple(_numbers(f"{subject}\n{words}", example)),
        username=_username(words),
        requested_end=wish.day,
        end_unread=wish.unread,
    )


def _plain(text: str) -> str:
    text = text.replace("(*)", "")  # of the model form of Directive 2011/83/EU
    return " ".join(text.lower().replace("’", "'").replace("‘", "'").replace("´", "'").split())


# Dots that end no sentence: in a date, but not after a number such as AT-104233, and in abbreviations
_MONTH_NAMES = "|".join(map(re.escape, month_names()))
DOTS = re.compile(
    rf"(?<!\d)(\d{{1,2}})\.(?=\s?\d|\s?(?:{_MONTH_NAMES})\b)|\b(nr|no|bzw|ca|z|b|d|h|mr|mrs|dr|inc|st|{_MONTH_NAMES})\.(?=\s[\da-z])",
    re.IGNORECASE,
)


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
    for language, patterns in _PATTERNS.items():
        if any(pattern.search(sentence) for pattern in patterns):
            languages.append(language)
    return languages


def _is_doubtful(sentence: str) -> bool:
    if _takes_back(sentence) or DOUBT.search(sentence) or OTHER_VERB.search(sentence):
        return True
    is_question = sentence.rstrip().endswith("?") or QUESTION.match(sentence) is not None
    return is_question and not POLITE.search(sentence)


def _takes_back(sentence: str) -> bool:
    """Whether an earlier cancellation is taken back, and not something else such as a direct debit."""
    return TAKES_BACK.search(sentence) is not None and not OTHER_OBJECT.search(sentence)


def _cooling_off(sentences: list[str], *, cancels: bool) -> Iterator[str]:
    """Yields the languages of sentences that use the right to withdraw from the contract.

    Beside an ordinary cancellation (`cancels`), a sentence that only mentions the right does not use it.
    """
    for sentence in sentences:
        is_of_contract = OF_THE_CONTRACT.search(sentence) is not None
        if (OTHER_OBJECT.search(sentence) and not is_of_contract) or re.search(rf"{K}ung", sentence):
            continue
        if cancels and RIGHT_ALONE.search(sentence):
            continue
        for pattern, language in _COOLING_OFF:
            if pattern.search(sentence) and not _is_doubtful(sentence):
                yield language


def _language_of(text: str) -> str:
    """Returns the language by its most common words; empty if there are too few of them."""
    counts = {language: len(pattern.findall(text[:5000])) for language, pattern in STOP_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= 2 else ""


_PATTERNS = {
    language: [re.compile(pattern) for pattern in patterns]
    for language, patterns in {
        "de": GERMAN, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "nl": DUTCH, "en": ENGLISH,
    }.items()
}  # fmt: skip
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
        if any(character.isdigit() for character in typed):
            numbers.setdefault(_normalised(typed), _format_as(typed, example))
    for groups in LABELLED.findall(text[:20_000]):
        typed = next(filter(None, groups), "")
        if any(character.isdigit() for character in typed):
            numbers.setdefault(_normalised(typed), typed.upper())
    yield from list(numbers.values())[: MAX_NUMBERS + 1]


def _pattern_of(example: str) -> re.Pattern[str]:
    """Returns a pattern for numbers with the letters and digits of the example; separators are optional."""
    runs = re.findall(r"[A-Za-z]+|\d+", example)
    parts = [rf"[A-Za-z]{{{len(run)}}}" if run.isalpha() else rf"[\dOo]{{{len(run)}}}" for run in runs]
    if not any(run.isalpha() for run in runs):
        parts = [re.escape(example)] if len(example) < 5 else parts
    return re.compile(r"(?<![\w-])" + r"[-–—\s/.]?".join(parts) + r"(?![\w-])" if parts else r"(?!)")


def _normalised(typed: str) -> str:
    return "".join(character for character in typed.upper() if character.isalnum())


def _format_as(typed: str, example: str) -> str:
    """Formats a number like the example: «at 1O4233» becomes «AT-104233»."""
    characters = iter(_normalised(typed))
    return "".join(_like(next(characters, ""), model) if model.isalnum() else model for model in example)


def _like(character: str, model: str) -> str:
    """The letter O in the place of a digit is a zero."""
    return "0" if character == "O" and model.isdigit() else character


def _username(words: str) -> str:
    match = USERNAME.search(words[:20_000])
    return match[1].rstrip(".,;:") if match else ""

"""Reading when a subscription should end, in the words of a mail. Pure: text in, result out.

There are three states. No date is named: the earliest end is meant. A date was read. Or a date is named that could not
be read for certain, such as 01/02/2027 or two different ones: then somebody asks, and nothing ends before.
"""

import calendar
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from babel import Locale
from dateutil.relativedelta import relativedelta

LANGUAGES = ("en", "de", "fr", "es", "it", "nl")
YEARS_AHEAD = 10
MAX_WORDS = 120

# Words before a date, by what they make of it. Each list holds all languages, because people mix them.
CUES = {
    # the day itself, or the first possible one after it
    "on": (
        "as of", "as from", "effective", "effective from", "effective on", "effective as of", "with effect from",
        "with effect on", "from", "starting", "on", "by", "per", "for", "at", "ends", "end", "ends on", "end on", "end it on",
        "zum", "zu", "ab", "ab dem", "mit wirkung zum", "mit wirkung ab", "mit wirkung ab dem", "mit wirkung vom", "am",
        "termin", "wirksam ab", "wirksam zum", "pünktlich zum",
        "au", "pour le", "à compter du", "a compter du", "à partir du", "a partir du", "à effet du", "à effet au",
        "avec effet au", "dès le", "le", "en date du",
        "el", "a partir del", "con efecto el", "con efecto desde el", "con fecha", "al", "dal", "a partire dal",
        "con effetto dal", "con decorrenza dal", "per il", "il", "per", "met ingang van", "ingaande", "vanaf", "op",
        "end date", "termination date", "cancellation date", "kündigungstermin", "wunschtermin", "date d'effet",
        "date de fin", "fecha de baja", "einddatum", "opzegdatum", "to", "is", "ist", "on the",
    ),
    # the last day with service, so that the next day is the first one without
    "through": (
        "mit ablauf des", "mit ablauf vom", "zum ablauf des", "bis einschließlich", "bis einschliesslich", "bis inklusive",
        "last day", "last day is", "last day of service", "last day will be", "last day should be", "final day", "through",
        "letzter tag", "letzter tag ist", "letzter tag soll", "letzter tag ist der", "mein letzter tag ist der",
        "dernier jour", "dernier jour le", "dernier jour est le", "último día", "ultimo giorno", "laatste dag",
        "laatste dag is", "tot en met",
    ),
    # until a day, which leaves open whether it is included: to the nearest billing date it makes no difference
    "until": ("until", "till", "bis", "bis zum", "jusqu'au", "jusqu'à", "hasta el", "fino al", "tot", "end of"),
    # not after: the earliest end is meant
    "latest": (
        "spätestens zum", "spätestens am", "spätestens bis", "spätestens bis zum", "spätestens", "at the latest on",
        "at the latest by", "no later than", "not later than", "latest by", "latest", "at the latest", "au plus tard le",
        "a más tardar el", "al più tardi il", "entro il", "uiterlijk op", "uiterlijk",
    ),
}  # fmt: skip
# Ends of a span of time. What follows names the month or year, if anything does.
ENDS = {
    "month": (
        "monatsende", "ende des monats", "ende dieses monats", "ende diesen monats", "ende des laufenden monats",
        "end of the month", "end of this month", "end of month", "month end", "month's end", "fin du mois",
        "fin de ce mois", "fin de mes", "fine del mese", "fine mese", "einde van de maand",
    ),
    "next month": (
        "ende des nächsten monats", "ende nächsten monats", "ende des kommenden monats", "end of next month",
        "end of the next month", "fin du mois prochain", "fin del próximo mes", "fine del prossimo mese",
        "einde van volgende maand",
    ),
    "year": (
        "jahresende", "ende des jahres", "ende dieses jahres", "ende diesen jahres", "end of the year", "end of this year",
        "end of year", "year end", "year's end", "fin de l'année", "fin d'année", "fin de cette année", "fin de año",
        "fine dell'anno", "fine anno", "einde van het jaar",
    ),
    "quarter": (
        "quartalsende", "ende des quartals", "end of the quarter", "end of this quarter", "fin du trimestre",
        "fin de trimestre", "fine del trimestre", "einde van het kwartaal",
    ),
}  # fmt: skip
END_OF = ("the end of", "end of", "ende", "ende des monats", "ablauf des monats", "fin", "fin de", "finales de", "fine", "eind",
          "einde", "einde van")  # fmt: skip
# The earliest end, in so many words. The end of a period that is running is the same.
EARLIEST = re.compile(
    r"n(?:ä|ae)chst ?(?:m(?:ö|oe)glich|erreichbar)|frühest ?m(?:ö|oe)glich|frühest(?:en|er) termin|schnellst ?m(?:ö|oe)glich"
    r"|so (?:bald|schnell|früh) wie m(?:ö|oe)glich|(?:ab )?sofort|umgehend|unverzüglich|mit sofortiger wirkung"
    r"|\basap\b|as soon as (?:possible|you can)|as early as possible|earliest|next possible|immediate|right away|at once"
    r"|dès que possible|(?:au )?plus (?:vite|tôt)(?! tard)|immédiat|prochaine échéance|prochain terme"
    r"|lo antes posible|cuanto antes|prima possibile|subito|zo (?:snel|spoedig) mogelijk|per direct|eerstvolgende"
    r"|vertragsende|ende de[rs] (?:vertrags|mindest)?laufzeit|vertragslaufzeit|laufzeitende|abrechnungs(?:zeitraum|periode)"
    r"|end of (?:the|my|our|this) (?:current |paid |billing |contract |subscription )*(?:period|term|cycle|contract|subscription)"
    r"|fin (?:de la|du) (?:période|contrat|terme)"
)
# What names a time and is read by nobody here
UNREADABLE = re.compile(
    r"\b(?:in|within|innerhalb von|binnen|dans|en|entro|over) (?:a|an|one|two|three|four|six|ein(?:em|er)?|zwei|drei|vier|sechs"
    r"|un|une|deux|trois|\d{1,3}) (?:days?|weeks?|months?|years?|tage?n?|wochen?|monate?n?|jahre?n?|jours?|semaines?|mois"
    r"|ans?)\b"
    r"|\b(?:next|nächste[nrs]?|kommende[nrs]?|übernächste[nrs]?) (?:month|year|quarter|week|monat|monats|jahr|jahres|quartal"
    r"|woche)\b|\b(?:mois|année|semaine|trimestre) prochaine?\b"
    r"|\bq[1-4](?:[ /-]\d{2,4})?\b|\b[1-4]\. quartal\b|\bhalbjahr\w*\b"
    r"|\b(?:weihnachten|christmas|noël|ostern|easter|pâques|silvester|neujahr|new year|summer|sommer|winter|spring|frühjahr"
    r"|autumn|herbst)\b"
)
# What else makes a sentence one about the end
ABOUT_THE_END = re.compile(
    r"\b(?:last|final) day\b|\bletzter tag\b|\bdernier jour\b|\b(?:should|shall|will|to) end\b|\bsoll\b.{0,40}\benden\b"
    r"|\bend date\b|\btermination date\b|\bcancellation date\b|\beffective\b|\bwirksam\b|\bkündigungstermin\b|\bwunschtermin\b"
    r"|\bdate d'effet\b|\bdate de fin\b|\blaatste dag\b|\bopzegdatum\b|\beinddatum\b|\búltimo día\b|\bultimo giorno\b"
)
ORDINAL = r"(?:st|nd|rd|th|er|ère|º|ª|°|\.)?"


@dataclass(frozen=True)
class Wish:
    """When it should end: on `day`, or as early as possible without one.

    `unread` holds the words about a date that could not be read for certain.
    """

    day: date | None = None
    unread: str = ""


@dataclass(frozen=True)
class _Found:
    """An expression of time in a sentence: its place, how it is introduced, and the days that it may mean."""

    start: int
    end: int
    cue: str
    days: tuple[date, ...]


def wished_end(sentences: Iterable[str], others: Iterable[str], received_on: date) -> Wish:
    """Reads the wish in the sentences that cancel, or else in other ones that are about the end.

    Sentences are in lower case. Days up to the receipt are no wish.
    """
    wish = _wish_in(list(sentences), received_on)
    if wish != Wish():
        return wish
    return _wish_in([sentence for sentence in others if ABOUT_THE_END.search(sentence)], received_on)


def _wish_in(sentences: list[str], received_on: date) -> Wish:
    days: set[date] = set()
    words: list[str] = []
    is_unclear, is_earliest = False, False
    for sentence in sentences:
        found = list(_expressions(sentence, received_on))
        is_earliest = is_earliest or EARLIEST.search(sentence) is not None
        is_earliest = is_earliest or any(each.cue == "latest" for each in found)
        for each in found:
            future = {
                day for day in map(_after_last_day if each.cue == "through" else _same, each.days) if day > received_on
            }
            if each.cue == "latest" or not future:
                continue
            days |= future
            is_unclear = is_unclear or len(each.days) > 1
            words.append(_around(sentence, each))
        rest = _without(sentence, found)
        if not found and not EARLIEST.search(sentence) and (unread := UNREADABLE.search(rest)):
            is_unclear = True
            words.append(unread[0])
    if is_unclear or len(days) > 1 or (days and is_earliest):
        return Wish(unread="; ".join(dict.fromkeys(words))[:MAX_WORDS])
    return Wish(day=days.pop()) if days else Wish()


def _same(day: date) -> date:
    return day


def _after_last_day(day: date) -> date:
    return day + timedelta(days=1)


def _around(sentence: str, found: _Found) -> str:
    return sentence[max(0, found.start - 20) : found.end].strip()


def _without(sentence: str, found: list[_Found]) -> str:
    for each in found:
        sentence = sentence[: each.start] + " " * (each.end - each.start) + sentence[each.end :]
    return sentence


def _expressions(sentence: str, received_on: date) -> Iterator[_Found]:
    """Yields what is introduced as a wish: dates, ends of months and years, and months alone."""
    taken: list[tuple[int, int]] = []
    readings = [*_dates(sentence, received_on), *_ends(sentence, received_on), *_months(sentence, received_on)]
    for start, end, days, needs_cue in readings:
        if any(start < other_end and other_start < end for other_start, other_end in taken):
            continue
        cue = _cue_before(sentence[:start])
        if cue or not needs_cue:
            taken.append((start, end))
            yield _Found(start, end, cue or "on", days)


@cache
def _cues() -> list[tuple[str, str]]:
    """The cues with what they mean, the longest first."""
    return sorted(((text, name) for name, texts in CUES.items() for text in texts), key=lambda cue: -len(cue[0]))


_MARKS = ' \t:-(,"„“'
_ARTICLES = re.compile(r"\b(?:the|dem|den|der|des|le|de|dia|día|monat)$")


def _cue_before(text: str) -> str:
    """What the words directly before a date make of it; empty if they do not introduce a wish."""
    while text := text.rstrip(_MARKS):
        for cue, name in _cues():
            if text.endswith(cue) and not text[: -len(cue)][-1:].isalnum():
                return name
        if (shorter := _ARTICLES.sub("", text)) == text:
            return ""
        text = shorter
    return ""


@cache
def month_names() -> dict[str, int]:
    """The names of months and their short forms, in lower case and without a full stop."""
    names: dict[str, int] = {"sept": 9, "jänner": 1, "feber": 2, "maerz": 3, "fevrier": 2, "decembre": 12, "aout": 8}
    for language in LANGUAGES:
        months = Locale(language).months
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in months[context][width].items():
                    names.setdefault(name.lower().rstrip("."), number)
    return names


@cache
def _date_patterns() -> list[re.Pattern[str]]:
    month = "|".join(sorted(map(re.escape, month_names()), key=len, reverse=True))
    year = r"(?P<y>(?:19|20)\d{2}|'?\d{2}(?![\d:.]))"
    return [
        re.compile(r"(?<![\w./-])(?P<y>20\d{2})(?P<sep>[-/.])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})(?![\w/-])"),
        re.compile(r"(?<![\w./-])(?P<a>\d{1,2})(?P<sep>[/-])(?P<b>\d{1,2})(?P=sep)(?P<y>20\d{2}|\d{2})(?![\w/-])"),
        re.compile(r"(?<![\w./-])(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>20\d{2}|\d{2})(?![\w/-])"),
        re.compile(r"(?<![\w./-])(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})(?:\.|(?=\s|$))(?!\d)"),
        re.compile(
            rf"(?<![\w./-])(?P<d>\d{{1,2}}){ORDINAL}\s?(?:of |de |del )?\s?(?P<name>{month})\b\.?,?(?:\s(?:de |del )?{year})?"
        ),
        re.compile(rf"\b(?P<name>{month})\.?\s(?:the )?(?P<d>\d{{1,2}}){ORDINAL}(?![\d:])(?:,?\s{year})?"),
    ]


def _dates(sentence: str, received_on: date) -> Iterator[tuple[int, int, tuple[date, ...], bool]]:
    for pattern in _date_patterns():
        for match in pattern.finditer(sentence):
            if days := tuple(sorted(set(_readings(match.groupdict(), received_on)))):
                yield match.start(), match.end(), days, True


def _readings(groups: dict[str, str | None], received_on: date) -> Iterator[date]:
    """Yields the days that the figures may mean: two for 01/02/2027."""
    if groups.get("a"):
        pairs = [(groups["a"], groups["b"]), (groups["b"], groups["a"])]
    else:
        pairs = [(groups["d"], groups.get("m") or str(month_names()[groups.get("name") or ""]))]
    for day, month in pairs:
        if (read := _day(int(day or 0), int(month or 0), groups.get("y"), received_on)) is not None:
            yield read


def _day(day: int, month: int, year: str | None, received_on: date) -> date | None:
    """The day in this year, of two digits or four, or the next such day after the receipt without one."""
    try:
        if year:
            number = int(year.lstrip("'"))
            read = date(number if number > 99 else 2000 + number, month, day)
            return read if abs(read.year - received_on.year) <= YEARS_AHEAD else None
        this_year = date(received_on.year, month, day)
        return this_year if this_year > received_on else date(received_on.year + 1, month, day)
    except ValueError:
        return None


@cache
def _ends_pattern() -> re.Pattern[str]:
    names = sorted((name for texts in ENDS.values() for name in texts), key=len, reverse=True)
    return re.compile(rf"\b(?P<what>{'|'.join(map(re.escape, names))})\b(?:\s(?P<y>20\d{{2}}))?")


def _ends(sentence: str, received_on: date) -> Iterator[tuple[int, int, tuple[date, ...], bool]]:
    for match in _ends_pattern().finditer(sentence):
        what = next(kind for kind, names in ENDS.items() if match["what"] in names)
        year = int(match["y"]) if match["y"] else received_on.year
        if what == "year":
            day = date(year, 12, 31)
        elif what == "quarter":
            day = _last_of(year, (received_on.month + 2) // 3 * 3)
        else:
            shifted = received_on + relativedelta(months=1 if what == "next month" else 0)
            day = _last_of(shifted.year, shifted.month)
        # On the very last day, the end of the next month or year is meant, or this one: somebody has to ask
        yield match.start(), match.end(), (day,), False


def _last_of(year: int, month: int) -> date:
    return date(year, month, calendar.monthrange(year, month)[1])


@cache
def _months_pattern() -> re.Pattern[str]:
    month = "|".join(sorted(map(re.escape, month_names()), key=len, reverse=True))
    ends = "|".join(sorted(map(re.escape, END_OF), key=len, reverse=True))
    first = r"in|im|en|ab|from|as of|starting|à partir de|dès|vanaf|per|da|desde"
    return re.compile(
        rf"\b(?P<how>{ends}|{first}|anfang|beginning of|start of|début)\s(?:dem monat |the month of )?(?P<name>{month})\b\.?"
        rf"(?:,?\s(?:de )?(?P<y>20\d{{2}}))?(?!\s?\d)"
    )


def _months(sentence: str, received_on: date) -> Iterator[tuple[int, int, tuple[date, ...], bool]]:
    """The end of a named month, or the month alone, which means its first day."""
    for match in _months_pattern().finditer(sentence):
        month = month_names()[match["name"]]
        is_end = match["how"] in END_OF
        year = int(match["y"] or received_on.year)
        day = _last_of(year, month) if is_end else date(year, month, 1)
        if not match["y"] and day <= received_on:
            day = _last_of(year + 1, month) if is_end else date(year + 1, month, 1)
        if match["y"] or match["name"] not in ("may", "mar", "mai"):  # also verbs and words
            yield match.start(), match.end(), (day,), False

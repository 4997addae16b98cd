"""What was done, and the working behind an end date, in the reader's language."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from cancellations.rules.explanation import SENTENCES, Step
from messaging.wording import day_words

Frozen = list[object] | str

VERBS: Mapping[str, Any] = {  # what was done with a request or a termination
    "submit": _("Submitted"),
    "verify": _("Address proven"),
    "schedule": _("Scheduled"),
    "decline": _("Declined"),
    "waive": _("Late notice waived"),
    "change_kind": _("Kind changed"),
    "terminate": _("Terminated"),
    "confirm": _("Termination confirmed"),
    "discard": _("Termination discarded"),
    "reverse": _("Termination reversed"),
    "answer": _("Told why"),
    "withdraw": _("Withdrawn"),
    "take_effect": _("Taken into effect"),
    "expire": _("Expired"),
    "supersede": _("Superseded"),
    "set_aside": _("Set aside"),
    "reopen": _("Reopened"),
    "try_again": _("Given back to the worker"),
}


def sentences(working: Iterable[Step | Frozen]) -> list[str]:
    """The steps of an assessment, or those kept with a request, as sentences.

    Requests of the portal's first weeks kept English sentences instead of steps; these stay as they are.
    """
    return [each if isinstance(each, str) else _sentence(each) for each in working]


def _sentence(each: Step | list[object]) -> str:
    tells, figures = (each.tells, each.figures) if isinstance(each, Step) else each
    assert isinstance(figures, Mapping)
    forms = SENTENCES[str(tells)]
    words = ngettext(forms[0], forms[1], figures["days"]) if len(forms) > 1 else gettext(forms[0])
    return words % {name: _told(value) for name, value in figures.items()}


def _told(value: object) -> object:
    if isinstance(value, int):
        return value
    return day_words(value if isinstance(value, date) else date.fromisoformat(str(value)))

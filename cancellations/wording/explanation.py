"""The names of verbs and the explanation of an end date, in the reader's language."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from cancellations.rules.explanation import SENTENCES, Step
from messaging.wording import day_words

Frozen = list[object] | str

VERBS: Mapping[str, Any] = {  # actions on a request or a termination
    "submit": _("Submitted"),
    "verify": _("Address proven"),
    "disown": _("You did not send it"),
    "schedule": _("Scheduled"),
    "decline": _("Declined"),
    "waive": _("Late notice waived"),
    "change_kind": _("Kind changed"),
    "terminate": _("Terminated"),
    "confirm": _("Termination confirmed"),
    "discard": _("Termination discarded"),
    "reverse": _("Termination reversed"),
    "answer": _("Gave a reason"),
    "withdraw": _("Taken back"),
    "take_effect": _("Taken into effect"),
    "expire": _("Expired"),
    "supersede": _("Superseded"),
    "set_aside": _("Set aside"),
    "reopen": _("Reopened"),
    "try_again": _("Returned to automatic processing"),
}


def sentences(steps: Iterable[Step | Frozen]) -> list[str]:
    """Returns the steps of an assessment, or those stored with a request, as sentences.

    Older requests stored English sentences instead of steps. They are returned unchanged.
    """
    return [step if isinstance(step, str) else _sentence(step) for step in steps]


def _sentence(step: Step | list[object]) -> str:
    key, figures = (step.key, step.figures) if isinstance(step, Step) else step
    assert isinstance(figures, Mapping)
    templates = SENTENCES[str(key)]
    template = ngettext(templates[0], templates[1], figures["days"]) if len(templates) > 1 else gettext(templates[0])
    return template % {name: _words(name, value) for name, value in figures.items()}


def _words(name: str, value: object) -> object:
    if isinstance(value, int) or name == "source":
        return value
    return day_words(value if isinstance(value, date) else date.fromisoformat(str(value)))

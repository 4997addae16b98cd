"""All that happened to a request, in one line of time: deeds, messages, notes and files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from cancellations.explaining import STAFF_VERBS
from cancellations.models import CancellationRequest, Termination
from cancellations.queries import Entry, attachments_of, timeline
from messaging.models import MessageState, OutgoingMessage


@dataclass(frozen=True)
class Told:
    """One line; `sort` is deed, message, note or file, and `trouble` says that somebody has to look."""

    at: datetime
    sort: str
    what: str
    who: str = ""
    words: str = ""
    url: str = ""
    trouble: bool = False


def story(row: CancellationRequest) -> list[Told]:
    """The request's story, oldest first."""
    names = staff_names()
    lines = [deed(entry, names) for entry in timeline(row) if entry.verb != "note"]
    lines += [letter(one) for one in OutgoingMessage.objects.filter(about=row.declaration)]
    for note in row.notes.select_related("written_by"):
        lines.append(Told(note.written_at, "note", "Note", str(note.written_by), note.words))
    for file in attachments_of(row).select_related("added_by"):
        url = reverse("admin:cancellations_cancellationrequest_file", args=[row.pk, file.pk])
        lines.append(Told(file.added_at, "file", file.name, str(file.added_by or "the customer"), url=url))
    return sorted(lines, key=lambda line: line.at)


def story_of_termination(row: Termination) -> list[Told]:
    names = staff_names()
    lines = [deed(entry, names) for entry in timeline(row)]
    lines += [letter(one) for one in OutgoingMessage.objects.filter(about=row.reference)]
    return sorted(lines, key=lambda line: line.at)


def staff_names() -> Mapping[int, str]:
    return {person.pk: str(person) for person in User.objects.filter(is_staff=True)}


def deed(entry: Entry, names: Mapping[int, str]) -> Told:
    who = names.get(entry.by or 0, {"customer": "the customer", "system": "the system"}.get(entry.actor, entry.actor))
    outside = entry.verb not in STAFF_VERBS
    return Told(
        entry.at,
        "deed",
        str(STAFF_VERBS.get(entry.verb, entry.verb)),
        who or "somebody unknown",
        entry.words,
        trouble=outside,
    )


def letter(one: OutgoingMessage) -> Told:
    url = reverse("admin:messaging_outgoingmessage_change", args=[one.pk])
    sent = {"sent": "sent", "pending": "waiting to be sent", "dead": "given up"}[one.state]
    return Told(one.created_at, "message", one.subject, f"to {one.recipient}, {sent}", url=url,
                trouble=one.state == MessageState.DEAD)  # fmt: skip


def changed_since(row: CancellationRequest | Termination, since: int) -> list[str]:
    """What happened to the row after the event with this key, a sentence each."""
    names = staff_names()
    told = []
    for entry in timeline(row, after=since):
        line = deed(entry, names)
        words = f": {line.words}" if line.words else ""
        told.append(f"{line.what} by {line.who}, {short_instant(line.at)}{words}.")
    return told or ["It was changed."]


def short_instant(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%d %b %Y, %H:%M}"

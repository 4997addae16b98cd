"""All that happened to a request or a termination, in one line of time: deeds, messages, notes and files."""

from django.urls import reverse

from accounts.timeline import Told, arrived, deed, entries, letter, staff_names
from cancellations.models import CancellationRequest, Termination
from cancellations.queries.requests import attachments_of, mails_about
from messaging.models import OutgoingMessage


def story(row: CancellationRequest) -> list[Told]:
    """The request's story, oldest first."""
    names = staff_names()
    lines = [deed(entry, names) for entry in entries(row)]
    lines += [letter(one) for one in OutgoingMessage.objects.filter(about=row.declaration).reverse()]
    lines += [arrived(one) for one in mails_about(row)]
    for note in row.notes.select_related("written_by"):
        lines.append(Told(note.written_at, "note", "Note", str(note.written_by), note.words))
    for file in attachments_of(row).select_related("added_by"):
        url = reverse("admin:cancellations_cancellationrequest_file", args=[row.pk, file.pk])
        lines.append(Told(file.added_at, "file", file.name, str(file.added_by or "the customer"), url=url))
    return sorted(lines, key=lambda line: line.at)


def story_of_termination(row: Termination) -> list[Told]:
    names = staff_names()
    lines = [deed(entry, names) for entry in entries(row)]
    lines += [letter(one) for one in OutgoingMessage.objects.filter(about=row.reference).reverse()]
    return sorted(lines, key=lambda line: line.at)

"""The timeline of a request or a termination: actions, messages, notes and files, oldest first."""

from django.urls import reverse

from accounts.timeline import TimelineItem, action_item, entries, incoming_item, outgoing_item, staff_names
from cancellations.models import CancellationRequest, Termination
from cancellations.queries.requests import attachments_of, mails_about
from messaging.models import OutgoingMessage


def request_timeline(row: CancellationRequest) -> list[TimelineItem]:
    """The request's timeline, oldest first."""
    names = staff_names()
    items = [action_item(entry, names) for entry in entries(row)]
    items += [outgoing_item(message) for message in OutgoingMessage.objects.filter(about=row.declaration).reverse()]
    items += [incoming_item(message) for message in mails_about(row)]
    for note in row.notes.select_related("written_by"):
        items.append(TimelineItem(note.written_at, "note", "Note", str(note.written_by), note.words))
    for file in attachments_of(row).select_related("added_by"):
        url = reverse("admin:cancellations_cancellationrequest_file", args=[row.pk, file.pk])
        items.append(
            TimelineItem(
                file.added_at, "file", file.name, str(file.added_by or "the customer"), file.why_held,
                url="" if file.is_held else url, trouble=file.is_held,
            )
        )  # fmt: skip
    return sorted(items, key=lambda item: item.at)


def termination_timeline(row: Termination) -> list[TimelineItem]:
    names = staff_names()
    items = [action_item(entry, names) for entry in entries(row)]
    items += [outgoing_item(message) for message in OutgoingMessage.objects.filter(about=row.reference).reverse()]
    return sorted(items, key=lambda item: item.at)

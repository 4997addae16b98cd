"""What happened to a row, as the database recorded it: the entries of its history, and their words for staff."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from messaging.models import IncomingMessage, MessageState, OutgoingMessage

STAFF_VERBS: Mapping[str, str] = {
    "submit": "Submitted",
    "verify": "Address proven",
    "schedule": "Scheduled",
    "decline": "Declined",
    "waive": "Late notice waived",
    "change_kind": "Kind changed",
    "terminate": "Terminated",
    "confirm": "Termination confirmed",
    "discard": "Termination discarded",
    "reverse": "Termination reversed",
    "answer": "Told why",
    "withdraw": "Withdrawn",
    "take_effect": "Taken into effect",
    "expire": "Expired",
    "supersede": "Superseded",
    "set_aside": "Set aside",
    "reopen": "Reopened",
    "try_again": "Given back to the worker",
    "claim": "Claimed",
    "assign": "Assigned",
    "release": "Released",
    "redate": "Refund moved with the end date",
    "propose": "Refund proposed",
    "approve": "Refund approved",
    "send": "Refund sent",
    "settle": "Refund paid",
    "fail": "Transfer failed",
    "void": "Refund void",
    "bank_details": "Bank details entered",
    "gateway_paid": "Paid by the gateway",
    "gateway_failed": "Refused by the gateway",
    "gateway_unclear": "Not yet answered by the gateway",
    "hold": "Data held",
    "lift": "Hold lifted",
    "erase": "Personal data erased",
    "import": "Imported",
    "publish": "Published",
    "write": "Wrote",
    "reply": "Answered",
    "ask": "Asked",
    "file": "Filed under a request",
    "declare": "Made a request of it",
    "close": "Closed",
    "take_up": "Opened again",
    "send_again": "Sent again",
    "undelivered": "A message did not arrive",
}


STATES: Mapping[str, str] = {
    MessageState.SENT: "sent",
    MessageState.PENDING: "waiting to be sent",
    MessageState.DEAD: "given up",
    MessageState.BOUNCED: "came back",
}


@dataclass(frozen=True)
class Entry:
    """One line of a row's history, told by verb; `actor` is customer, staff or system."""

    at: datetime
    verb: str
    state: str
    actor: str
    by: int | None
    words: str


@dataclass(frozen=True)
class Told:
    """One line of a story; `sort` is deed, message, note or file, and `trouble` says that somebody has to look."""

    at: datetime
    sort: str
    what: str
    who: str = ""
    words: str = ""
    url: str = ""
    trouble: bool = False


def entries(row: Any, *, after: int = 0) -> list[Entry]:
    """The row's history, oldest first; `after` the event with that key. The row has `state` and `state_changed_at`."""
    return list(_entries(row, after))


def _entries(row: Any, after: int) -> Iterable[Entry]:
    events = row.events.select_related("pgh_context").order_by("pgh_id")
    before: Any = events.filter(pgh_id__lte=after).last() if after else None
    for event in events.filter(pgh_id__gt=after):
        told = event.pgh_context.metadata if event.pgh_context else {}
        verb = told.get("verb", "changed outside the portal")
        one_deed = before is not None and event.pgh_context_id and event.pgh_context_id == before.pgh_context_id
        if not one_deed:  # one deed may touch the row more than once
            moved = before is None or event.state != before.state
            at = event.state_changed_at if moved else event.pgh_created_at
            at = event.received_at if verb == "submit" and hasattr(event, "received_at") else at
            yield Entry(at, verb, event.state, told.get("actor", ""), told.get("by"), told.get("why", ""))
        before = event


def staff_names() -> Mapping[int, str]:
    return {person.pk: str(person) for person in User.objects.filter(is_staff=True)}


def deed(entry: Entry, names: Mapping[int, str]) -> Told:
    who = names.get(entry.by or 0, {"customer": "the customer", "system": "the system"}.get(entry.actor, entry.actor))
    what, outside = STAFF_VERBS.get(entry.verb, entry.verb), entry.verb not in STAFF_VERBS
    return Told(entry.at, "deed", what, who or "somebody unknown", entry.words, trouble=outside)


def letter(one: OutgoingMessage) -> Told:
    url = reverse("admin:messaging_outgoingmessage_change", args=[one.pk])
    who = f"to {one.recipient}, " + STATES[one.state]
    return Told(one.created_at, "message", one.subject, who, url=url, trouble=one.has_failed)


def arrived(one: IncomingMessage) -> Told:
    url = reverse("admin:messaging_incomingmessage_change", args=[one.pk])
    who = f"from {one.sender or 'somebody unknown'}, {one.get_checked_display()}"
    return Told(one.arrived_at, "message", one.subject or "(no subject)", who, url=url)


def changed_since(row: Any, since: int) -> list[str]:
    """What happened to the row after the event with this key, a sentence each."""
    names, told = staff_names(), []
    for entry in entries(row, after=since):
        line = deed(entry, names)
        words = f": {line.words}" if line.words else ""
        told.append(f"{line.what} by {line.who}, {short_instant(line.at)}{words}.")
    return told or ["It was changed."]


def short_instant(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%d %b %Y, %H:%M}"

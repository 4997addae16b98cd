"""The timeline of a row: the entries of its history, as the database recorded them, and how they read for staff."""

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
    "disown": "Not sent by the holder of the address",
    "schedule": "Scheduled",
    "decline": "Declined",
    "waive": "Late notice waived",
    "change_kind": "Kind changed",
    "terminate": "Terminated",
    "confirm": "Termination confirmed",
    "discard": "Termination discarded",
    "reverse": "Termination reversed",
    "answer": "Reason given",
    "withdraw": "Taken back",
    "take_effect": "Taken into effect",
    "expire": "Expired",
    "supersede": "Superseded",
    "set_aside": "Set aside",
    "reopen": "Reopened",
    "try_again": "Tried again",
    "claim": "Claimed",
    "assign": "Assigned",
    "release": "Released",
    "review_charge": "Charged after the end: review started",
    "redate": "Refund adjusted to the new end date",
    "propose": "Refund proposed",
    "approve": "Refund approved",
    "send": "Refund sent",
    "settle": "Refund paid",
    "fail": "Transfer failed",
    "take_back": "Money came back",
    "void": "Refund voided",
    "bank_details": "Bank details entered",
    "gateway_line": "Answered by the gateway about one payment",
    "payee_checked": "Name of the account holder checked by the bank",
    "cancel": "File of transfers cancelled",
    "gateway_paid": "Paid by the gateway",
    "gateway_failed": "Refused by the gateway",
    "gateway_unclear": "Not yet answered by the gateway",
    "hold": "Data held",
    "lift": "Hold lifted",
    "erase": "Personal data erased",
    "import": "Imported",
    "publish": "Published",
    "recall": "Recalled",
    "write": "Wrote",
    "reply": "Answered",
    "ask": "Asked",
    "file": "Filed under a request",
    "declare": "Turned into a request",
    "close": "Closed",
    "take_up": "Reopened",
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
    """One change in a row's history, named by its verb; `actor` is customer, staff or system."""

    at: datetime
    verb: str
    state: str
    actor: str
    by: int | None
    words: str


@dataclass(frozen=True)
class TimelineItem:
    """One item of a timeline; `kind` is action, message, note or file, `trouble` marks one that needs attention."""

    at: datetime
    kind: str
    what: str
    who: str = ""
    words: str = ""
    url: str = ""
    trouble: bool = False


def entries(row: Any, *, after: int = 0) -> list[Entry]:
    """The row's history, oldest first; `after` the event with that key. Needs `state` and `state_changed_at`."""
    return list(_entries(row, after))


def _entries(row: Any, after: int) -> Iterable[Entry]:
    events = row.events.select_related("pgh_context").order_by("pgh_id")
    before: Any = events.filter(pgh_id__lte=after).last() if after else None
    for event in events.filter(pgh_id__gt=after):
        metadata = event.pgh_context.metadata if event.pgh_context else {}
        verb = metadata.get("verb", "changed outside the portal")
        is_same_action = before is not None and event.pgh_context_id and event.pgh_context_id == before.pgh_context_id
        if not is_same_action:  # one action may change the row more than once
            has_new_state = before is None or event.state != before.state
            at = event.state_changed_at if has_new_state else event.pgh_created_at
            at = event.received_at if verb == "submit" and hasattr(event, "received_at") else at
            yield Entry(at, verb, event.state, metadata.get("actor", ""), metadata.get("by"), metadata.get("why", ""))
        before = event


def staff_names() -> Mapping[int, str]:
    """The names of staff by the key of their user."""
    return {person.pk: str(person) for person in User.objects.filter(is_staff=True)}


def action_item(entry: Entry, names: Mapping[int, str]) -> TimelineItem:
    who = names.get(entry.by or 0, {"customer": "the customer", "system": "the system"}.get(entry.actor, entry.actor))
    what, is_unknown = STAFF_VERBS.get(entry.verb, entry.verb), entry.verb not in STAFF_VERBS
    return TimelineItem(entry.at, "action", what, who or "somebody unknown", entry.words, trouble=is_unknown)


def outgoing_item(message: OutgoingMessage) -> TimelineItem:
    url = reverse("admin:messaging_outgoingmessage_change", args=[message.pk])
    who = f"to {message.recipient}, " + STATES[message.state]
    return TimelineItem(message.created_at, "message", message.subject, who, url=url, trouble=message.has_failed)


def incoming_item(message: IncomingMessage) -> TimelineItem:
    url = reverse("admin:messaging_incomingmessage_change", args=[message.pk])
    who = f"from {message.sender or 'somebody unknown'}, {message.get_checked_display()}"
    return TimelineItem(message.arrived_at, "message", message.subject or "(no subject)", who, url=url)


def changed_since(row: Any, since: int) -> list[str]:
    """What happened to the row after the event with this key, a sentence each."""
    names, sentences = staff_names(), []
    for entry in entries(row, after=since):
        item = action_item(entry, names)
        words = f": {item.words}" if item.words else ""
        sentences.append(f"{item.what} by {item.who}, {short_instant(item.at)}{words}.")
    return sentences or ["It was changed."]


def short_instant(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%d %b %Y, %H:%M}"

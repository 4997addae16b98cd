"""How support shares the work: claiming, assigning and releasing requests, notes, asking for proof again."""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from cancellations.letters.requests import send_letter
from cancellations.models import CancellationRequest, Note
from cancellations.models.states import OPEN, RequestState
from cancellations.services.common import ASSIGN, RequestRefused, locked, put_into_hands
from messaging.models import OutgoingMessage

PERMISSION = ASSIGN
ASKED_AGAIN_AFTER = timedelta(hours=1)


@permitted(PERMISSION)
@transaction.atomic
def assign(*, request: CancellationRequest, to: User | None, by: User, now: datetime) -> CancellationRequest:
    """Puts an open request into somebody's hands, or back into the queue (`to` is None).

    Raises RequestRefused where it is there already or the person may not work on requests, IllegalTransition.
    """
    request = locked(request, "assign", *OPEN)
    put_into_hands(request, to=to, by=by, permission=PERMISSION)
    return request


@permitted(PERMISSION)
def claim(*, request: CancellationRequest, by: User, now: datetime) -> CancellationRequest:
    """Takes a request into one's own hands. Raises RequestRefused where somebody else has it, IllegalTransition."""
    with transaction.atomic():
        request = locked(request, "claim", *OPEN)
        if request.assigned_to_id not in (None, by.pk):
            raise RequestRefused(f"{request.assigned_to} has it in hand. Assign it to yourself if that is agreed.")
        return assign(request=request, to=by, by=by, now=now)


@permitted(PERMISSION)
@transaction.atomic
def add_note(*, request: CancellationRequest, by: User, words: str, now: datetime) -> Note:
    """Writes a note for staff; it is kept as it is. Raises RequestRefused without words."""
    if not words.strip():
        raise RequestRefused("Write the note first.")
    with recorded("note", actor="staff", by=by.pk):
        return Note.objects.create(request=request, words=words.strip(), written_by=by, written_at=now)


@permitted(PERMISSION)
@transaction.atomic
def ask_again(*, request: CancellationRequest, by: User, now: datetime) -> CancellationRequest:
    """Sends the link that proves the address once more. Raises RequestRefused within an hour, IllegalTransition."""
    request = locked(request, "ask again for proof of", RequestState.UNVERIFIED)
    asked = OutgoingMessage.objects.filter(about=request.declaration, kind="prove_address")
    if asked.filter(created_at__gt=now - ASKED_AGAIN_AFTER).exists():
        raise RequestRefused("The link was sent less than an hour ago. Give the mail time to arrive.")
    send_letter("prove_address", request, now=now)
    return request

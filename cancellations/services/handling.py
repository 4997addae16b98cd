"""Sharing the work of support: claiming, assigning and releasing requests, notes, asking for proof again."""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from cancellations.letters.requests import send_letter
from cancellations.models import CancellationRequest, Note
from cancellations.models.states import OPEN, RequestState
from cancellations.services.common import ASSIGN, RequestRefused, assign_to, locked
from messaging.models import OutgoingMessage

PERMISSION = ASSIGN
PROOF_REQUEST_PAUSE = timedelta(hours=1)


@permitted(PERMISSION)
@transaction.atomic
def assign(*, request: CancellationRequest, to: User | None, by: User, now: datetime) -> CancellationRequest:
    """Assigns an open request, or returns it to the queue (`to` is None).

    Raises RequestRefused if that changes nothing or the user may not work on requests, IllegalTransition.
    """
    request = locked(request, "assign", *OPEN)
    assign_to(request, to=to, by=by, permission=PERMISSION)
    return request


@permitted(PERMISSION)
def claim(*, request: CancellationRequest, by: User, now: datetime) -> CancellationRequest:
    """Assigns a request to `by`. Raises RequestRefused if it is assigned to somebody else, IllegalTransition."""
    with transaction.atomic():
        request = locked(request, "claim", *OPEN)
        if request.assigned_to_id not in (None, by.pk):
            raise RequestRefused(f"It is assigned to {request.assigned_to}. Assign it to yourself if you both agree.")
        return assign(request=request, to=by, by=by, now=now)


@permitted(PERMISSION)
@transaction.atomic
def add_note(*, request: CancellationRequest, by: User, words: str, now: datetime) -> Note:
    """Adds a note for staff. It cannot be changed afterwards. Raises RequestRefused if it is empty."""
    if not words.strip():
        raise RequestRefused("Write the note first.")
    with recorded("note", actor="staff", by=by.pk):
        return Note.objects.create(request=request, words=words.strip(), written_by=by, written_at=now)


@permitted(PERMISSION)
@transaction.atomic
def ask_again(*, request: CancellationRequest, by: User, now: datetime) -> CancellationRequest:
    """Sends the proof link again. Raises RequestRefused within an hour of the last one, IllegalTransition."""
    request = locked(request, "ask again for proof of", RequestState.UNVERIFIED)
    proof_requests = OutgoingMessage.objects.filter(about=request.declaration, kind="prove_address")
    if proof_requests.filter(created_at__gt=now - PROOF_REQUEST_PAUSE).exists():
        raise RequestRefused("The link was sent less than an hour ago. Give the mail time to arrive.")
    send_letter("prove_address", request, now=now)
    return request

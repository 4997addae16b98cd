"""Conversations by mail, and what staff have to do about them."""

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Q

from accounts.history import tracked
from accounts.models import Account, User
from billing.rules.references import new_reference
from cancellations.models.requests import CancellationRequest
from cancellations.models.states import CONVERSATION_TRANSITIONS, ConversationState


def conversation_reference() -> str:
    return new_reference("CV")


class Todo(models.TextChoices):
    """What staff have to do."""

    ANSWER = "answer", "answer it"
    MAYBE = "maybe", "is it a cancellation?"
    TAKES_BACK = "takes_back", "takes a cancellation back"
    NOT_UNDERSTOOD = "not_understood", "a mail that could not be read"
    TOO_LARGE = "too_large", "a mail that was too large"
    NOT_INFORMED = "not_informed", "the customer is not informed"
    ASKED = "asked", "we asked a question"


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent())
class Conversation(models.Model):
    """Mail exchanged with one address, or a message that did not arrive, which staff have to handle.

    Its messages have its reference in `thread`.
    """

    reference = models.CharField(max_length=20, unique=True, default=conversation_reference, editable=False)
    state = models.CharField(max_length=8, choices=ConversationState.choices, default=ConversationState.OPEN)
    state_changed_at = models.DateTimeField()
    todo = models.CharField("what to do", max_length=15, choices=Todo.choices)
    request = models.ForeignKey(
        CancellationRequest, models.PROTECT, null=True, blank=True, related_name="conversations"
    )
    account = models.ForeignKey(Account, models.PROTECT, null=True, blank=True, related_name="conversations")
    about = models.CharField(max_length=40, blank=True, help_text="The reference that the customer has")
    email = models.EmailField("e-mail address", max_length=320, blank=True)
    name = models.CharField(max_length=200, blank=True)
    subject = models.CharField(max_length=250, blank=True)
    language = models.CharField(max_length=12, default="en", help_text="BCP 47")
    opened_at = models.DateTimeField()
    waiting_since = models.DateTimeField(null=True, blank=True, help_text="Since when it waits for staff")
    assigned_to = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    closing_words = models.TextField("how it ended", blank=True)

    class Meta:
        permissions = [("answer_conversation", "Can answer, file and close conversations")]
        indexes = [
            models.Index(fields=["waiting_since", "-opened_at", "-id"], name="conversation_queue"),
            models.Index(fields=["state", "waiting_since", "-opened_at", "-id"], name="conversation_queue_by_state"),
            models.Index(fields=["about"], condition=~Q(about=""), name="conversation_about"),
        ]
        constraints = [
            models.CheckConstraint(
                name="conversation_waits_while_open",
                condition=Q(state=ConversationState.OPEN, waiting_since__isnull=False)
                | (~Q(state=ConversationState.OPEN) & Q(waiting_since__isnull=True)),
            ),
        ]
        triggers = [
            pgtrigger.FSM(name="conversation_state", field="state", transitions=list(CONVERSATION_TRANSITIONS)),
            pgtrigger.Protect(name="conversation_stays", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.reference

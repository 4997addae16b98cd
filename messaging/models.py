"""The outbox: each message is a row, written in the transaction of the change that it tells of."""

import uuid
from email.utils import parseaddr

import pgtrigger
from django.conf import settings
from django.db import models


class MessageState(models.TextChoices):
    PENDING = "pending", "waiting to be sent"
    SENT = "sent", "sent"
    DEAD = "dead", "given up"


TRANSITIONS = (
    (MessageState.PENDING, MessageState.SENT),
    (MessageState.PENDING, MessageState.DEAD),
    (MessageState.DEAD, MessageState.PENDING),
)


class OutgoingMessage(models.Model):
    """One e-mail to one address. Delivered at least once, a repeat under the same Message-ID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40)
    about = models.CharField("about", max_length=40, blank=True, db_index=True, help_text="The reference it tells of")
    recipient = models.EmailField(max_length=320)
    subject = models.CharField(max_length=250)
    text = models.TextField()
    html = models.TextField(blank=True)
    holds_secret = models.BooleanField(
        default=False, help_text="Holds a code or a proving link: staff do not see it, and it is wiped once sent"
    )
    state = models.CharField(max_length=10, choices=MessageState.choices, default=MessageState.PENDING)
    due_at = models.DateTimeField(help_text="Next attempt; while a worker holds the row, the end of its lease")
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "outgoing message"
        permissions = [("send_message_again", "Can send a message again that was given up")]
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["due_at"], condition=models.Q(state="pending"), name="message_due")]
        triggers = [pgtrigger.FSM(name="message_state", field="state", transitions=list(TRANSITIONS))]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient}"

    @property
    def message_id(self) -> str:
        """RFC 5322, 3.6.4: the same for every attempt, so that a receiver can see a repeat."""
        domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
        return f"<{self.id}@{domain}>"

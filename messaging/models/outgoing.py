"""The outbox: each message is a row, stored in the same transaction as the change that it is about."""

import uuid
from email.utils import parseaddr

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Upper

from messaging.links import hide_proving_links


class MessageState(models.TextChoices):
    PENDING = "pending", "waiting to be sent"
    SENT = "sent", "sent"
    DEAD = "dead", "given up"
    BOUNCED = "bounced", "came back"


TRANSITIONS = (
    (MessageState.PENDING, MessageState.SENT),
    (MessageState.PENDING, MessageState.DEAD),
    (MessageState.DEAD, MessageState.PENDING),
    (MessageState.SENT, MessageState.BOUNCED),
    (MessageState.BOUNCED, MessageState.PENDING),
)
FAILED = (MessageState.DEAD, MessageState.BOUNCED)
NOT_ARRIVED = models.Q(state__in=FAILED, settled_at__isnull=True)  # the recipient has not been informed


class Priority(models.IntegerChoices):
    """Which of the due messages leave first."""

    FIRST = 0, "somebody waits for it"
    NORMAL = 1, "normal"
    BULK = 2, "one of many"


class OutgoingMessage(models.Model):
    """One e-mail to one address. Delivered at least once; a repeat has the same Message-ID.

    A message that was given up or returned has failed, and its recipient was not informed. It stays open
    (`settled_at` is empty) until it is sent again or staff inform the recipient in another way.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40)
    about = models.CharField(
        "about", max_length=40, blank=True, db_index=True, help_text="The reference that it is about"
    )
    thread = models.CharField(max_length=20, blank=True, help_text="The conversation that it belongs to")
    recipient = models.EmailField(max_length=320)
    subject = models.CharField(max_length=250)
    text = models.TextField()
    html = models.TextField(blank=True)
    language = models.CharField(max_length=12, blank=True)
    in_reply_to = models.CharField(max_length=250, blank=True, help_text="Message-ID that it answers (RFC 5322, 3.6.4)")
    references = ArrayField(models.CharField(max_length=250), default=list, blank=True)
    holds_secret = models.BooleanField(
        default=False, help_text="Holds a code or a proving link: staff do not see it, and it is wiped once sent"
    )
    state = models.CharField(max_length=10, choices=MessageState.choices, default=MessageState.PENDING)
    priority = models.PositiveSmallIntegerField(
        choices=Priority.choices, default=Priority.NORMAL, db_default=Priority.NORMAL, editable=False
    )
    due_at = models.DateTimeField(help_text="Next attempt; while a worker holds the row, the end of its lease")
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    written_at = models.DateTimeField(
        db_default=models.Func(function="clock_timestamp", output_field=models.DateTimeField()),
        editable=False,
        help_text="Database time: the order of messages with the same created_at",
    )
    sent_at = models.DateTimeField(null=True, blank=True)
    noticed = models.BooleanField(default=False, help_text="Staff were notified of the failure")
    settled_at = models.DateTimeField(
        null=True, blank=True, help_text="When staff recorded that they informed the recipient in another way"
    )

    class Meta:
        verbose_name = "outgoing message"
        permissions = [("send_message_again", "Can send a message again that was given up or came back")]
        ordering = ["-created_at", "-written_at"]
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(state="pending"), name="message_due"
            ),  # of the release before
            models.Index(fields=["priority", "due_at"], condition=models.Q(state="pending"), name="message_due_first"),
            models.Index(fields=["id"], condition=models.Q(state__in=["dead", "bounced"]), name="message_failed"),
            models.Index(OpClass(Upper("recipient"), "text_pattern_ops"), "sent_at", name="message_recipient"),
            models.Index(fields=["thread"], condition=~models.Q(thread=""), name="message_thread"),
            models.Index(fields=["-created_at", "-id"], name="message_newest"),
        ]
        triggers = [pgtrigger.FSM(name="message_state", field="state", transitions=list(TRANSITIONS))]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient}"

    @property
    def shown_text(self) -> str:
        """The text that staff may read, without codes and links that prove the customer's address."""
        if self.holds_secret:
            return "(Holds a code or a proving link, which only its reader may see.)"
        return hide_proving_links(self.text)

    @property
    def has_failed(self) -> bool:
        return self.state in FAILED and self.settled_at is None

    @property
    def message_id(self) -> str:
        """The Message-ID (RFC 5322, 3.6.4): the same at each attempt, so that a receiver can recognise a repeat."""
        domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
        return f"<{self.id}@{domain}>"

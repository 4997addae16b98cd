"""The outbox: each message is a row, written in the transaction of the change that it tells of."""

import re
import string
import uuid
from collections.abc import Mapping
from email.utils import parseaddr

import pgtrigger
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

PROVING_LINK = re.compile(r"/requests/proof/[^\s>/]+/")


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
    def shown_text(self) -> str:
        """The text as staff may read it: what proves the customer's address is left out."""
        if self.holds_secret:
            return "(Holds a code or a proving link, which only its reader may see.)"
        return PROVING_LINK.sub("/requests/proof/…/", self.text)

    @property
    def message_id(self) -> str:
        """RFC 5322, 3.6.4: the same for every attempt, so that a receiver can see a repeat."""
        domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
        return f"<{self.id}@{domain}>"


VARIABLES = {
    "name": "the customer’s name",
    "reference": "the reference that the customer has",
    "plan": "the subscription",
    "end_date": "the end date, empty where there is none yet",
    "amount": "the sum of the refund, empty where there is none",
    "support_email": "our address",
}


def refuse_unknown_variables(text: str) -> None:
    """Raises ValidationError where the text names what no page can fill in."""
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValidationError("A brace stands alone. Variables look like {name}.") from error
    if unknown := [name for name in named if name not in VARIABLES]:
        known = ", ".join(f"{{{name}}}" for name in VARIABLES)
        raise ValidationError(f"{{{unknown[0]}}} is not known. You can write {known}.")


class CannedReply(models.Model):
    """Words that staff send often, in each language, with variables that the page fills in."""

    USES = [("any", "requests and refunds"), ("request", "requests"), ("refund", "refunds")]

    name = models.CharField(max_length=80, unique=True, help_text="By which staff find it; customers do not see it")
    used_for = models.CharField(max_length=7, choices=USES, default="any")
    text_en = models.TextField("text, English", validators=[refuse_unknown_variables])
    text_de = models.TextField("text, German", blank=True, validators=[refuse_unknown_variables])
    text_fr = models.TextField("text, French", blank=True, validators=[refuse_unknown_variables])

    class Meta:
        verbose_name_plural = "canned replies"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def told(self, language: str, values: Mapping[str, str]) -> str:
        """The text in the language, English where it has none; a variable without a value becomes empty."""
        text = getattr(self, f"text_{language}", "") or self.text_en
        return string.Formatter().vformat(text, (), {name: values.get(name, "") for name in VARIABLES})
